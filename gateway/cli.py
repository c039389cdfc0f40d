"""The command `receipts-gateway`. Each part imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from io import BytesIO, TextIOWrapper
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

import gateway
from gateway.commands.docs import docs

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from gateway.callers.callers import Callers
    from gateway.settings import Settings
    from gateway.web.documents import Documents

__all__ = ["main"]

_Option = Callable[[Callable[..., None]], Callable[..., None]]

_HOST: _Option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


def _port(name: str, default: int, help: str) -> _Option:
    return click.option(name, default=default, show_default=True, type=click.IntRange(0, 65535), help=help)


_SEED: _Option = click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Another seed, other data."
)


class _WithSettings(click.Command):
    """A command whose help has the settings it reads from the environment."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of settings."""
        from gateway.settings import SETTINGS

        with formatter.section("Environment"):
            formatter.write_dl(
                [(setting.env, f"{setting.help} [{setting.default or 'not set'}]") for setting in SETTINGS], col_max=28
            )


class _Main(click.Group):
    """The command as a whole: it ends in words, whatever the terminal can show and the system refuses."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run it."""
        sys.stdin = sys.stdin or TextIOWrapper(BytesIO())  # It may be closed.
        if isinstance(sys.stdout, TextIOWrapper):  # Or it is closed.
            sys.stdout.reconfigure(errors="backslashreplace")
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry a command out."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # Who reads has read enough, as `head` does: click ends quietly.
        except OSError as error:
            file = f"{error.filename}: " if error.filename else ""
            raise _refusal(f"The system refuses: {file}{error.strerror or error}.") from None


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gateway.__version__, prog_name="receipts-gateway")
def main() -> None:
    """A GraphQL gateway over Twilio Conversations' delivery receipts.

    Without an account, begin with: receipts-gateway demo
    """


main.add_command(docs)


@main.command()
@_HOST
@_port("--port", 8000, "Port of the gateway; 0 for any free one.")
@_port("--sandbox-port", 0, "Port of the sandbox; 0 for any free one.")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write addresses, credentials and sids here, as JSON, once both answer; removed at the end.",
)
@_SEED
def demo(host: str, port: int, sandbox_port: int, ready_file: Path | None, seed: int) -> None:
    """Run the sandbox and a gateway over it."""
    from gateway.addresses import is_loopback
    from gateway.demo import run_demo
    from gateway.log import configure_log
    from gateway.settings import SETTINGS
    from gateway.web.server import AddressUnusable, run

    if not is_loopback(host):
        raise _refusal(f"The demo has no callers' tokens, so it serves this machine only; {host} is open to others.")
    configure_log("warning")
    names = [setting.env for setting in SETTINGS if setting.env.startswith("GATEWAY_")]
    try:
        run(
            run_demo(
                host=host,
                port=port,
                sandbox_port=sandbox_port,
                seed=seed,
                ready_file=ready_file,
                unread=[name for name in names if os.environ.get(name) or os.environ.get(f"{name}_FILE")],
                say=click.echo,
            )
        )
    except AddressUnusable as error:
        raise _refusal(str(error)) from None
    except OSError as error:
        raise _refusal(f"--ready-file: {ready_file} cannot be written ({error.strerror}).") from None


@main.command(cls=_WithSettings)
@_HOST
@_port("--port", 8000, "Port to listen on; 0 for any free one.")
@click.option(
    "--insecure-no-auth", is_flag=True, help="Serve others though no callers' tokens are set: anyone may ask."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that share the port; each has its own upstream connections, and its own bound on them.",
)
def serve(host: str, port: int, insecure_no_auth: bool, workers: int) -> None:
    """Serve the gateway for a Twilio account, with settings from the environment."""
    settings = _settings()
    from gateway.addresses import is_loopback
    from gateway.app import create_app
    from gateway.log import configure_log
    from gateway.web.server import AddressUnusable, Server, Workers, address, freeze_startup_objects, listen, run

    is_open = not settings.tokens and settings.jwt is None
    if is_open and not is_loopback(host) and not insecure_no_auth:
        raise _refusal(
            f"{host} is open to others, and no callers' tokens are set: set GATEWAY_TOKENS, or serve on 127.0.0.1. "
            "If anyone at all may ask, say so with --insecure-no-auth."
        )
    configure_log(settings.log_level)
    try:
        with listen(host, port, "--port") as listener:
            base = address(listener)
            pages = f", GraphiQL at {base}/graphiql" if settings.graphiql else ""

            def ready() -> None:
                freeze_startup_objects()
                click.echo(f"GraphQL at {base}/graphql{pages}")

            grace = settings.deadline + 1
            if workers > 1:
                Workers(partial(_worker_app, any_host=insecure_no_auth), workers, listener, ready, grace).run()
                return
            app = create_app(settings, any_host=insecure_no_auth)
            server = Server(
                app,
                ready,
                # In a thread of its own: to check many documents takes longer than requests should wait.
                lambda: Thread(target=_reload, args=(app.state.callers, app.state.documents), daemon=True).start(),
                on_stop=lambda: setattr(app.state, "is_stopping", True),
                grace=grace,
            )
            run(server.serve(sockets=[listener]))
    except AddressUnusable as error:
        raise _refusal(str(error)) from None


@main.command(cls=_WithSettings)
def check() -> None:
    """Try the credentials: which services they see, and how far away Twilio is."""
    settings = _settings()
    from gateway.commands.check import check_account

    ok, report = asyncio.run(check_account(settings))
    click.echo(report, err=not ok)
    if not ok:
        sys.exit(1)


@main.command()
@_HOST
@_port("--port", 8001, "Port to listen on; 0 for any free one.")
@_SEED
@click.option(
    "--size", type=click.Choice(["small", "medium", "large"]), default="small", show_default=True, help="How much data."
)
def sandbox(host: str, port: int, seed: int, size: Any) -> None:
    """Run the pretend Twilio alone."""
    from gateway.sandbox import Sandbox
    from gateway.web.server import run, unusable

    async def serve_it() -> None:
        server = Sandbox(host=host, port=port, seed=seed, size=size)
        try:
            await server.start()
        except OSError as error:
            raise _refusal(str(unusable(error, host, port, "--port"))) from None
        try:
            click.echo(
                f"Sandbox      {server.url}/sandbox\nAccount sid  {server.account_sid}\nAuth token   {server.auth_token}"
            )
            click.echo("".join(f"{name:38} {value}\n" for name, value in server.landmarks.items()) + "Ctrl-C stops it.")
            await _told_to_stop()
        finally:
            await server.stop()

    run(serve_it())


@main.command()
@click.argument("source", metavar="FILE|NAME")
@click.option("--var", "pairs", multiple=True, metavar="NAME=VALUE", help="A variable; VALUE is JSON, or else text.")
@click.option("--operation", help="Which operation, when the document has several.")
@click.option("--url", help="Ask the gateway at this address instead of one over the sandbox.")
@click.option("--token", envvar="RECEIPTS_GATEWAY_TOKEN", help="Caller's token for --url.")
def query(source: str, pairs: tuple[str, ...], operation: str | None, url: str | None, token: str | None) -> None:
    """Run one operation and print its answer.

    FILE is a GraphQL document, "-" for standard input; NAME is one of the examples in the package. Over the sandbox,
    variables such as $serviceSid and $conversationSid have values of their own.
    """
    from gateway.ask import ask_sandbox, ask_url
    from gateway.execution.inputs import undeclared

    document = _document(source)
    variables = dict(_variable(pair) for pair in pairs)
    if unknown := undeclared(document, variables):
        raise _refusal(f"--var: the document declares no variable {', '.join(f'${name}' for name in unknown)}.")
    if url is not None:
        answer = asyncio.run(ask_url(url, document, variables, operation, token))
    else:
        answer = asyncio.run(ask_sandbox(document, variables, operation))
    if isinstance(answer, str):
        raise _refusal(answer)
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    if answer.get("errors"):
        sys.exit(1)


@main.command()
def dashboard() -> None:
    """Print a Grafana dashboard of the metrics at /metrics, as JSON."""
    click.echo(files("gateway").joinpath("dashboard.json").read_text(encoding="utf-8"), nl=False)


@main.group()
def operations() -> None:
    """Look at operations without running them."""


_VARIABLES: _Option = click.option(
    "--var", "pairs", multiple=True, metavar="NAME=VALUE", help="A variable; VALUE is JSON, or else text."
)

_TOKEN: _Option = click.option("--token", envvar="RECEIPTS_GATEWAY_TOKEN", help="Caller's token for a URL.")

_FORMAT: _Option = click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for GitHub to show beside the lines.",
)

_WORST_CASE = """
    A variable that is given with --var is what it is. One with a default has that; one that may be null is left out; `after`
    is null, as for a list's first page. What else is required is made up: `first` and `scan` are 1000, which is the most the
    schema takes; sids and names are of records that differ; an id is of the kind of record that costs most, and a list of ids
    has one. Conditions of @include and @skip are tried both ways. What was made up is told where it makes a difference.
"""


def _explained(command: Callable[..., None]) -> Callable[..., None]:
    """Tell in a command's help what it takes variables to be."""
    command.__doc__ = (command.__doc__ or "") + _WORST_CASE
    return command


@operations.command()
@click.argument("sources", metavar="FILE…", nargs=-1, required=True)
@_VARIABLES
@_explained
def cost(sources: tuple[str, ...], pairs: tuple[str, ...]) -> None:
    """Tell what operations cost at most, from the schema alone: no account and no call is needed.

    FILE is a GraphQL document, "-" for standard input, the name of an example, or a pattern as in `operations check`. Each
    field that costs is told: in which round trip, how many calls, its place, and the upstream path.
    """
    from gateway.contract import CheckError
    from gateway.contract.operations.check import check_documents
    from gateway.contract.operations.documents import ClientDocument, find_documents
    from gateway.contract.operations.report import cost_lines

    documents: list[ClientDocument] = []
    try:
        for source in sources:
            if (source.isidentifier() and not Path(source).exists()) or source == "-":
                documents.append(ClientDocument(Path(source), _document(source)))
            else:
                documents += find_documents([source])
        report = check_documents(documents, dict(_variable(pair) for pair in pairs))
    except CheckError as error:
        raise _refusal(str(error)) from None
    for operation, cost in report.costs:
        click.echo("\n".join(cost_lines(str(operation.location.path), operation, cost, edges=True)))
    for problem in report.problems:
        click.echo(problem, err=True)
    if report.problems:
        sys.exit(1)


@operations.command("check")
@click.argument("patterns", metavar="PATTERN…", nargs=-1, required=True)
@_VARIABLES
@click.option("--schema", "where", metavar="SCHEMA", help="What is served, if another: a file, a URL or git:REV.")
@_TOKEN
@click.option("--max-calls", type=click.IntRange(0), metavar="N", help="Fail operations that could take more.")
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fail operations that became dearer than in this file; where there is none, write it.",
)
@click.option("--update", is_flag=True, help="Write the snapshot as it is now.")
@_FORMAT
@_explained
def check_operations(
    patterns: tuple[str, ...],
    pairs: tuple[str, ...],
    where: str | None,
    token: str | None,
    max_calls: int | None,
    snapshot: Path | None,
    update: bool,
    output: str,
) -> None:
    """Check a client's operations against the schema, and tell what each costs at most. No account and no call is needed.

    PATTERN is a file, a directory or a pattern such as 'src/**/*.{graphql,gql,ts,tsx,js,jsx}', in quotes. Documents are
    GraphQL files, and in JavaScript and TypeScript what stands behind gql, graphql and /* GraphQL */. Fragments may be in
    other files. What Apollo, urql, gql.tada and Relay take out or compile before they send is taken out and compiled.

    The exit code is 0 when all is right, 1 when something is not, and 2 when the check could not be made.
    """
    from gateway.contract import CheckError
    from gateway.contract.github import workflow_command
    from gateway.contract.operations.check import check_operations
    from gateway.contract.operations.report import as_json, cost_lines, summary_lines
    from gateway.contract.schema.sources import read_source

    if update and snapshot is None:
        raise _refusal("--update writes a snapshot: say which with --snapshot FILE.")
    try:
        report = check_operations(
            patterns,
            dict(_variable(pair) for pair in pairs),
            served=read_source(where, token).schema if where is not None else None,
            max_calls=max_calls,
            snapshot=snapshot,
            update=update,
        )
    except CheckError as error:
        raise _refusal(str(error)) from None
    if output == "json":
        click.echo(as_json(report))
    else:
        for operation, cost in report.costs:
            click.echo("\n".join(cost_lines(str(operation.location), operation, cost)))
        for problem in report.problems:
            shown = workflow_command("error", problem.message, problem.location) if output == "github" else problem
            click.echo(shown, err=output == "text")
        click.echo("\n".join(summary_lines(report)))
    if report.problems:
        sys.exit(1)


@main.group(invoke_without_command=True)
@click.pass_context
def schema(context: click.Context) -> None:
    """Print the schema (SDL); or, with `check`, tell what changed in one."""
    if context.invoked_subcommand is None:
        from gateway.graph.schema import print_schema

        click.echo(print_schema(), nl=False)


@schema.command("check")
@click.argument("old")
@click.argument("new", required=False)
@_TOKEN
@click.option(
    "--operations",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Tell which operations in these files are touched.",
)
@click.option("--only-used", is_flag=True, help="Fail for changes that touch an operation, and for no others.")
@click.option(
    "--fail-on",
    type=click.Choice(["breaking", "dangerous", "none"]),
    default="breaking",
    show_default=True,
    help="How bad a change must be to fail.",
)
@_FORMAT
def check_schema(
    old: str,
    new: str | None,
    token: str | None,
    patterns: tuple[str, ...],
    only_used: bool,
    fail_on: str,
    output: str,
) -> None:
    """Tell what changed from the schema OLD to NEW, by default this package's: what breaks clients, and what may.

    OLD and NEW are each a file (SDL, or the result of introspection as JSON; "-" for standard input), the URL of a gateway, or
    git:REV or git:REV:PATH for a file as it was (by default schema.graphql, from the repository's top).

    PATTERN is as in `operations check`; it may be given several times.

    The exit code is 0 when all is well, 1 when something is as bad as --fail-on or worse, and 2 when the check could not be
    made.
    """
    from gateway.contract import CheckError
    from gateway.contract.operations.documents import find_documents
    from gateway.contract.schema.change import Criticality
    from gateway.contract.schema.check import check_schemas
    from gateway.contract.schema.report import as_json, github_lines, text_lines
    from gateway.contract.schema.sources import read_source

    if only_used and not patterns:
        raise _refusal(
            "--only-used needs the operations: say where they are with --operations 'src/**/*.{graphql,ts,tsx}'."
        )
    if old == new == "-":
        raise _refusal("Only one of OLD and NEW can be standard input.")
    try:
        report = check_schemas(
            read_source(old, token),
            read_source(new, token),
            find_documents(patterns) if patterns else None,
            fail_on=Criticality(fail_on) if fail_on != "none" else None,
            only_used=only_used,
        )
    except CheckError as error:
        raise _refusal(str(error)) from None
    if output == "json":
        click.echo(as_json(report))
    else:
        click.echo("\n".join(github_lines(report) if output == "github" else text_lines(report)))
    if report.fails:
        sys.exit(1)


def _settings() -> Settings:
    from gateway.settings import Settings, SettingsError, misspelt

    for name, meant in misspelt(os.environ):
        click.echo(f"{name} is no setting, and has no effect. Is {meant} meant?", err=True)
    try:
        return Settings.load()
    except SettingsError as error:
        raise _refusal(*error.problems) from None


async def _told_to_stop() -> None:
    """Wait for SIGINT or SIGTERM, also where a shell began the process with the first of them ignored."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        await stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refusal(*lines: str) -> click.exceptions.Exit:
    for line in lines:
        click.echo(line, err=True)
    return click.exceptions.Exit(2)


def _worker_app(*, any_host: bool) -> Starlette:
    """The application of one of several processes, each of which reads the settings for itself."""
    from gateway.app import create_app
    from gateway.log import configure_log
    from gateway.web.server import freeze_startup_objects

    settings = _settings()
    configure_log(settings.log_level)
    app = create_app(settings, any_host=any_host)
    freeze_startup_objects()
    return app


def _reload(callers: Callers, documents: Documents) -> None:
    """Read the callers' tokens and the trusted documents again; when something is wrong with either, nothing changes."""
    import structlog

    from gateway.settings import Settings, SettingsError

    logger = structlog.get_logger("gateway")
    try:
        settings = Settings.load()
    except SettingsError as error:
        logger.error("not reloaded", problems=error.problems)
        return
    if callers.require_token and not settings.tokens and settings.jwt is None:
        logger.error("not reloaded", problems=["there are no tokens: stop the gateway to shut everyone out"])
        return
    callers.replace(settings.tokens)
    documents.trust(settings.trusted_documents)
    logger.info("reloaded", callers=sorted(settings.tokens), documents=len(settings.trusted_documents))


def _document(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    examples = files("gateway").joinpath("examples")
    named = examples.joinpath(f"{source}.graphql")
    if not Path(source).exists() and source.isidentifier() and named.is_file():
        return named.read_text(encoding="utf-8")
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        names = sorted(
            item.name.removesuffix(".graphql") for item in examples.iterdir() if item.name.endswith(".graphql")
        )
        raise _refusal(f"{source} is no file that can be read, and no example. Examples: {', '.join(names)}.") from None


def _variable(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals or not name.isidentifier():
        raise _refusal(f"--var takes NAME=VALUE, such as --var first=10; got {pair!r}.")
    try:
        return name, json.loads(text)
    except (ValueError, RecursionError):
        return name, text
