"""`receipts-gateway dashboard`: a Grafana dashboard."""

from __future__ import annotations

import click

__all__ = ["dashboard"]


@click.command()
def dashboard() -> None:
    """Print a Grafana dashboard of the metrics at /metrics, as JSON."""
    from importlib.resources import files

    click.echo(files("gateway").joinpath("dashboard.json").read_text(encoding="utf-8"), nl=False)
