"""`receipts-gateway dashboard`: a Grafana dashboard, and alert rules for Prometheus."""

from __future__ import annotations

import click

__all__ = ["dashboard"]


@click.command()
@click.option("--alerts", is_flag=True, help="Print alert rules for Prometheus instead, as YAML.")
def dashboard(alerts: bool) -> None:
    """Print a Grafana dashboard of the metrics, as JSON."""
    from importlib.resources import files

    click.echo(
        files("gateway").joinpath("alerts.yml" if alerts else "dashboard.json").read_text(encoding="utf-8"), nl=False
    )
