"""The command `receipts-gateway`: it names its commands, and imports each from `gateway.commands` when it is used."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module
from io import BytesIO, TextIOWrapper
from typing import Any

import click

from gateway.commands.options import fail
from gateway.version import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    "demo",
    "serve",
    "check",
    "query",
    "watch",
    "operations",
    "schema",
    "mcp",
    "sandbox",
    "dashboard",
    "docs",
    "healthcheck",
)
"""The commands in the order of `--help`. NAME is the function NAME of the module `gateway.commands.NAME`."""


class _Main(click.Group):
    """The group of all commands. It prints a message for every error, on every terminal."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; return None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gateway.commands.{cmd_name}"), cmd_name)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line, with usable standard input and output."""
        # What is imported stays, so that a search for garbage among it is in vain: while it is imported, and before exit.
        gc.set_threshold(50_000, 20, 20)
        atexit.register(gc.freeze)
        sys.stdin = sys.stdin or TextIOWrapper(BytesIO())  # None when it is closed.
        if isinstance(sys.stdout, TextIOWrapper):  # None when it is closed.
            sys.stdout.reconfigure(errors="backslashreplace")
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; report an error of the system in one line, with exit code 2."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # The reader has closed its end, as `head` does: click exits without a message.
        except OSError as error:
            file = f"{error.filename}: " if error.filename else ""
            fail(f"The system refuses: {file}{error.strerror or error}.")


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="receipts-gateway")
def main() -> None:
    """A GraphQL gateway over Twilio Conversations' delivery receipts.

    To try it without an account: receipts-gateway demo
    """
