"""`receipts-gateway serve`: the gateway for a Twilio account."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from gateway.commands.options import HOST, CommandWithSettings, fail, load_or_fail, port_option
from gateway.version import __version__

if TYPE_CHECKING:
    from socket import socket

    from starlette.applications import Starlette

    from gateway.settings import Settings

__all__ = ["serve"]


def _conversations(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from gateway.twilio.paths import is_sid

    for value in values:
        service_sid, _, conversation_sid = value.partition("/")
        if not is_sid(service_sid, "IS") or not is_sid(conversation_sid, "CH"):
            fail(f"--watch takes the sids of a service and a conversation, IS…/CH…; got {value!r}.")
    return values


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
@click.option(
    "--watch",
    multiple=True,
    metavar="IS…/CH…",
    callback=_conversations,
    help="Poll a conversation for changes that no webhook reports, every GATEWAY_RECONCILE_SECONDS. May be repeated.",
)
def serve(host: str, port: int, insecure_no_auth: bool, workers: int, watch: tuple[str, ...]) -> None:
    """Serve the gateway for a Twilio account.

    The settings are environment variables, listed below.
    """
    from threading import Thread

    import structlog

    from gateway.addresses import is_loopback
    from gateway.app import create_app
    from gateway.log import configure_log
    from gateway.web.http_protocol import BoundedProtocol, LingeringProtocol
    from gateway.web.server import AddressUnusable, Server, address, freeze_startup_objects, listen_for_each, run

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
    logger = structlog.get_logger("gateway").bind(version=__version__, workers=workers, address=base)

    def on_ready() -> None:
        freeze_startup_objects()
        click.echo(f"GraphQL at {base}/graphql{graphiql}")
        logger.info("started")

    def on_stop() -> None:
        logger.info("stopping", drain_seconds=settings.drain_seconds)

    if workers > 1:
        ok = _run_workers(settings, documents, listeners, insecure_no_auth, watch, on_ready, on_stop)
    else:
        app = create_app(settings, documents=documents, any_host=insecure_no_auth, watch=watch)
        server = Server(
            app,
            on_ready,
            # In a thread: to check many documents against the schema takes longer than requests should wait.
            lambda: Thread(target=_reload, args=(app,), daemon=True).start(),
            LingeringProtocol if settings.drain_seconds else BoundedProtocol,
            on_stop=on_stop,
            drain=settings.drain_seconds,
            grace=settings.deadline + 1,
        )
        run(server.serve(sockets=listeners))
        ok = True
    logger.info("stopped")
    if not ok:
        sys.exit(1)


def _run_workers(
    settings: Settings,
    documents: Mapping[str, str],
    listeners: list[socket],
    any_host: bool,
    watch: tuple[str, ...],
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
) -> bool:
    """Serve in a process for each listening socket until a signal; return whether all could start."""
    from functools import partial

    from gateway.web.server import Workers

    with _metrics_directory() as directory:
        make_app = partial(_create_worker_app, any_host=any_host, metrics_directory=directory, watch=watch)

        def on_reload() -> Callable[[], Starlette] | None:
            nonlocal settings
            loaded = _load_again(settings.requires_token)
            if loaded is None:
                return None
            settings, _ = loaded
            return partial(make_app, *loaded)

        workers = Workers(
            partial(make_app, settings, documents),
            listeners,
            on_ready,
            on_reload,
            on_stop=on_stop,
            drain=settings.drain_seconds,
            grace=settings.deadline + 1,
        )
        workers.run()
        return not workers.has_failed


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


def _create_worker_app(
    settings: Settings,
    documents: Mapping[str, str],
    *,
    any_host: bool,
    metrics_directory: Path | None,
    watch: tuple[str, ...],
) -> Starlette:
    """Return the application of one of several processes."""
    from gateway.app import create_app
    from gateway.log import configure_log
    from gateway.web.server import freeze_startup_objects

    configure_log(settings.log_level)
    app = create_app(settings, documents=documents, any_host=any_host, metrics_directory=metrics_directory, watch=watch)
    freeze_startup_objects()
    return app


def _reload(app: Starlette) -> None:
    """Load the callers' tokens and the trusted documents again; if there is a problem with either, change nothing."""
    import structlog

    loaded = _load_again(app.state.callers.require_token)
    if loaded is None:
        return
    settings, documents = loaded
    app.replace_tokens(settings.tokens)  # type: ignore[attr-defined]
    app.state.documents.trust(documents)
    if app.state.tools is not None:
        app.state.tools.replace(documents)
    if app.state.webhooks is not None and settings.webhook is not None:
        app.state.webhooks.replace(settings.webhook)
    structlog.get_logger("gateway").info("reloaded", callers=sorted(settings.tokens), documents=len(documents))


def _load_again(require_token: bool) -> tuple[Settings, Mapping[str, str]] | None:
    """Return the settings and the trusted documents as they are now; log a problem with either, and return None.

    With `require_token`, a change that lets everyone in is a problem.
    """
    import structlog

    from gateway.app import load_settings
    from gateway.settings import SettingsError

    try:
        settings, documents = load_settings()
        if require_token and not settings.requires_token:
            raise SettingsError(["No tokens are set. To lock every caller out, stop the gateway."])
    except SettingsError as error:
        structlog.get_logger("gateway").error("not reloaded", problems=error.problems)
        return None
    return settings, documents
