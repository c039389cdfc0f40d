"""The options and arguments that several commands share, their settings, and how they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.settings import Settings

__all__ = [
    "CLIENT_SCHEMAS",
    "FORMAT",
    "HOST",
    "SEED",
    "TAGS",
    "TOKEN",
    "VARIABLES",
    "CommandWithSettings",
    "check_url",
    "complete_document",
    "fail",
    "is_example",
    "load_or_fail",
    "port_option",
    "read_document",
]

_Option = Callable[[Callable[..., None]], Callable[..., None]]


def fail(*lines: str) -> NoReturn:
    """Print lines on standard error, and end the command with exit code 2."""
    for line in lines:
        click.echo(line, err=True)
    raise click.exceptions.Exit(2)


def _split_variables(context: click.Context, option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    variables = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            fail(f"--var takes NAME=VALUE, such as --var first=10; got {pair!r}.")
        variables[name] = text
    return variables


HOST: _Option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")

SEED: _Option = click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**31 - 1),
    help="Seed of the sandbox's data: the same seed gives the same data.",
)

TOKEN: _Option = click.option("--token", envvar="RECEIPTS_GATEWAY_TOKEN", help="Bearer token to send to a URL.")

VARIABLES: _Option = click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_split_variables,
    help="Set a variable, by its type: text for a string, an ID or an enum, and JSON for others. May be repeated.",
)

TAGS: _Option = click.option(
    "--tag", "tags", multiple=True, metavar="NAME", help="Another name of the tag gql; may be repeated."
)

CLIENT_SCHEMAS: _Option = click.option(
    "--client-schema",
    "client_schemas",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="SDL of fields that the client resolves itself; may be repeated. Relay's schemaExtensions are read without it.",
)

FORMAT: _Option = click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "github", "junit", "sarif"]),
    default="text",
    show_default=True,
    help="Output for people, for programs, as annotations of lines on GitHub, as tests, or for code scanning.",
)


def check_url(option: str, url: str) -> None:
    """Fail if the value of an option is not an address of HTTP."""
    if not url.lower().startswith(("http://", "https://")):
        fail(f"{option}: {url} is not an address: it must start with http:// or https://.")


def port_option(name: str, default: int, help: str) -> _Option:
    """Return an option that takes a port."""
    return click.option(name, default=default, show_default=True, type=click.IntRange(0, 65535), help=help)


class CommandWithSettings(click.Command):
    """A command whose help lists the settings that it reads from the environment."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of settings."""
        from gateway.settings import SETTINGS

        with formatter.section("Environment"):
            formatter.write_dl(
                [(setting.env, f"{setting.description} [{setting.default or 'not set'}]") for setting in SETTINGS],
                col_max=28,
            )


def load_or_fail() -> tuple[Settings, Mapping[str, str]]:
    """Return the settings in the environment and the trusted documents that they name, by id.

    Fails with a line for each problem. A variable that is probably a misspelt setting is reported, as are those that name a
    region to Twilio's own libraries (https://www.twilio.com/docs/global-infrastructure/using-the-twilio-rest-api-in-a-non-us-region).
    """
    from gateway.app import load_settings
    from gateway.settings import SettingsError, misspelt

    edge, region = os.environ.get("TWILIO_EDGE"), os.environ.get("TWILIO_REGION")
    if (edge or region) and not os.environ.get("GATEWAY_UPSTREAM_URL"):
        names = " and ".join(name for name in ("TWILIO_REGION", "TWILIO_EDGE") if os.environ.get(name))
        host = ".".join(filter(None, ("conversations", edge, region or "us1", "twilio.com")))
        click.echo(f"No effect: {names}. Set GATEWAY_UPSTREAM_URL=https://{host} instead.", err=True)

    for name, likely in misspelt(os.environ):
        click.echo(f"{name} is not a setting, and has no effect. Did you mean {likely}?", err=True)
    try:
        return load_settings()
    except SettingsError as error:
        fail(*error.problems)


def complete_document(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the examples that complete a word, and let the shell add files."""
    return [
        *(CompletionItem(name) for name in _example_names() if name.startswith(incomplete)),
        CompletionItem(incomplete, type="file"),
    ]


def _example_names() -> list[str]:
    from importlib.resources import files

    examples = files("gateway").joinpath("examples").iterdir()
    return sorted(file.name.removesuffix(".graphql") for file in examples if file.name.endswith(".graphql"))


def is_example(source: str) -> bool:
    """Return whether a document is named that is an example, and not a file."""
    return source in _example_names() and not Path(source).exists()


def read_document(source: str) -> str:
    """Return the text of a GraphQL document: a file, "-" for standard input, or the name of an example."""
    from importlib.resources import files

    if source == "-":
        return sys.stdin.read()
    if is_example(source):
        return files("gateway").joinpath("examples", f"{source}.graphql").read_text(encoding="utf-8")
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        fail(f"{source} is neither a readable file nor an example. Examples: {', '.join(_example_names())}.")
