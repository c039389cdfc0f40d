"""`receipts-gateway schema`: prints the schema, or the changes between two."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands.options import CLIENT_SCHEMAS, FORMAT, TAGS, TOKEN, fail

__all__ = ["schema"]


@click.group(invoke_without_command=True)
@click.option(
    "--semantic-nullability",
    is_flag=True,
    help="Mark fields that are null only on error with @semanticNonNull, for clients that handle errors themselves.",
)
@click.pass_context
def schema(context: click.Context, semantic_nullability: bool) -> None:
    """Print the schema, or compare two.

    Without a command, print the schema as SDL.
    """
    if context.invoked_subcommand is None:
        from gateway.graph.schema import print_schema

        click.echo(print_schema(semantic_nullability=semantic_nullability), nl=False)


@schema.command()
@click.argument("old")
@click.argument("new", required=False)
@TOKEN
@click.option(
    "--operations",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Print which operations in these files each change affects.",
)
@TAGS
@CLIENT_SCHEMAS
@click.option("--only-used", is_flag=True, help="Fail only for changes that affect one of the operations.")
@click.option(
    "--fail-on",
    type=click.Choice(["breaking", "dangerous", "none"]),
    default="breaking",
    show_default=True,
    help="Fail for changes of this severity and above.",
)
@click.option(
    "--unpriced-is-free",
    is_flag=True,
    help="Compare prices even if no field of a schema has @upstream: every field of it is free.",
)
@FORMAT
def check(
    old: str,
    new: str | None,
    token: str | None,
    patterns: tuple[str, ...],
    tags: tuple[str, ...],
    client_schemas: tuple[Path, ...],
    only_used: bool,
    fail_on: str,
    unpriced_is_free: bool,
    output: str,
) -> None:
    """Print the changes between two schemas.

    Print those from OLD to NEW (by default this package's): those that break clients, and those that may.

    OLD and NEW are each a file (SDL, or the result of introspection as JSON; "-" for standard input), the URL of a gateway, or
    git:REV or git:REV:PATH for a file at a revision (by default schema.graphql, at the repository's top), or git::PATH for a
    staged file.

    PATTERN is as in `operations check`; the option may be repeated.

    The exit code is 0 when the check passes, 1 when a change is as severe as --fail-on or more, and 2 when the check could not
    be made.
    """
    from gateway.contract import CheckError
    from gateway.contract.junit import as_junit
    from gateway.contract.operations.documents import find_documents
    from gateway.contract.operations.relay_resolvers import find_relay_resolvers
    from gateway.contract.sarif import as_sarif
    from gateway.contract.schema.change import Criticality
    from gateway.contract.schema.check import check_schemas
    from gateway.contract.schema.report import as_json, cases, findings, github_lines, text_lines
    from gateway.contract.schema.sources import read_source

    if only_used and not patterns:
        fail("--only-used needs the operations: name their files with --operations 'src/**/*.{graphql,ts,tsx}'.")
    if old == new == "-":
        fail("Only one of OLD and NEW can be standard input.")
    try:
        report = check_schemas(
            read_source(old, token),
            read_source(new, token),
            find_documents(patterns, tags) if patterns else None,
            fail_on=Criticality(fail_on) if fail_on != "none" else None,
            only_used=only_used,
            unpriced_is_free=unpriced_is_free,
            client_schemas=client_schemas,
            resolvers=find_relay_resolvers(patterns),
        )
    except CheckError as error:
        fail(str(error))
    if output == "json":
        click.echo(as_json(report))
    elif output == "junit":
        click.echo(as_junit("schema check", cases(report)))
    elif output == "sarif":
        default = Path(report.new) if Path(report.new).is_file() else Path("schema.graphql")
        click.echo(as_sarif(findings(report), default))
    else:
        click.echo("\n".join(github_lines(report) if output == "github" else text_lines(report)))
    if report.fails:
        sys.exit(1)
