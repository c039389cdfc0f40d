"""`receipts-gateway serve`: the gateway for a Twilio account."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from gateway.commands.options import HOST, CommandWithSettings, fail, load_or_fail, port_option

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["serve"]


@click.command(cls=CommandWithSettings)
@HOST
@port_option("--port", 8000, "Port to listen on; 0 for any free one.")
@click.option(
    "--insecure-no-auth",
    is_flag=True,
    help="Serve other machines without callers' tokens: anyone may read everything.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes at one address. Each has its own upstream connections, and its own limit on them.",
)
def serve(host: str, port: int, insecure_no_auth: bool, workers: int) -> None:
    """Serve the gateway for a Twilio account.

    The settings are environment variables, listed below.
    """
    from functools import partial
    from threading import Thread

    from gateway.addresses import is_loopback
    from gateway.app import create_app
    from gateway.log import configure_log
    from gateway.web.server import (
        AddressUnusable,
        Server,
        Workers,
        address,
        freeze_startup_objects,
        listen_for_each,
        run,
    )

    settings, documents = load_or_fail()
    if not settings.requires_token and not is_loopback(host) and not insecure_no_auth:
        fail(
            f"Other machines can reach {host}, and no callers' tokens are set: set GATEWAY_TOKENS, or serve on 127.0.0.1. "
            "To let anyone read everything, use --insecure-no-auth."
        )
    configure_log(settings.log_level)
    try:
        listeners = listen_for_each(workers, host, port, "--port")
    except AddressUnusable as error:
        fail(str(error))
    base = address(listeners[0])
    graphiql = f", GraphiQL at {base}/graphiql" if settings.graphiql else ""

    def on_ready() -> None:
        freeze_startup_objects()
        click.echo(f"GraphQL at {base}/graphql{graphiql}")

    grace = settings.deadline + 1
    if workers > 1:
        with _metrics_directory() as directory:
            make_app = partial(_create_worker_app, any_host=insecure_no_auth, metrics_directory=directory)
            Workers(make_app, listeners, on_ready, grace).run()
        return
    app = create_app(settings, documents=documents, any_host=insecure_no_auth)
    server = Server(
        app,
        on_ready,
        # In a thread: to check many documents against the schema takes longer than requests should wait.
        lambda: Thread(target=_reload, args=(app,), daemon=True).start(),
        on_stop=lambda: setattr(app.state, "is_stopping", True),
        grace=grace,
    )
    run(server.serve(sockets=listeners))


@contextmanager
def _metrics_directory() -> Iterator[Path | None]:
    """Make a directory where the workers share their metrics; None where they cannot: `/metrics` is then each worker's own."""
    import structlog

    if sys.platform == "win32":
        yield None
        return
    memory = Path("/dev/shm")  # noqa: S108 The directory is private. Writable in a container whose other file systems are read-only.
    try:
        directory = TemporaryDirectory(prefix="receipts-gateway-", dir=memory if os.access(memory, os.W_OK) else None)
    except OSError as error:
        structlog.get_logger("gateway").warning("metrics not shared", reason=str(error))
        yield None
        return
    with directory as path:
        yield Path(path)


def _create_worker_app(*, any_host: bool, metrics_directory: Path | None) -> Starlette:
    """Return the application of one of several processes, each of which loads the settings again."""
    from gateway.app import create_app
    from gateway.log import configure_log
    from gateway.web.server import freeze_startup_objects

    settings, documents = load_or_fail()
    configure_log(settings.log_level)
    app = create_app(settings, documents=documents, any_host=any_host, metrics_directory=metrics_directory)
    freeze_startup_objects()
    return app


def _reload(app: Starlette) -> None:
    """Load the callers' tokens and the trusted documents again; if there is a problem with either, change nothing."""
    import structlog

    from gateway.app import load_settings
    from gateway.settings import SettingsError

    logger = structlog.get_logger("gateway")
    try:
        settings, documents = load_settings()
    except SettingsError as error:
        logger.error("not reloaded", problems=error.problems)
        return
    if app.state.callers.require_token and not settings.requires_token:
        logger.error("not reloaded", problems=["No tokens are set. To lock every caller out, stop the gateway."])
        return
    app.state.callers.replace(settings.tokens)
    app.state.documents.trust(documents)
    if app.state.webhooks is not None and settings.webhook is not None:
        app.state.webhooks.replace(settings.webhook)
    logger.info("reloaded", callers=sorted(settings.tokens), documents=len(documents))
