"""`receipts-gateway operations`: checks a client's operations and computes their costs, without running them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gateway.commands.options import (
    CLIENT_SCHEMAS,
    FORMAT,
    TAGS,
    TOKEN,
    VARIABLES,
    complete_document,
    fail,
    is_example,
    read_document,
)

__all__ = ["operations"]

_WORST_CASE = """
    A variable that --var does not set has its default; one that may be null is left out; `after` is null, as for the first
    page of a list. Every other variable gets a value: `first` and `scan` are 1000, the most that the schema accepts; sids
    and names are of different records; an id is of the kind of record that costs most, and a list of ids has one. Conditions
    of @include and @skip are tried both ways. A value that affects the cost is reported.
"""


def _with_worst_case(command: Callable[..., None]) -> Callable[..., None]:
    """Add to a command's help which values it assumes for variables."""
    command.__doc__ = (command.__doc__ or "") + _WORST_CASE
    return command


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Pause the garbage collector: it would search the syntax trees, which stay until the report is printed, in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@click.group()
def operations() -> None:
    """Check operations, or compute their costs.

    Operations are not executed.
    """


@operations.command()
@click.argument("sources", metavar="FILE…", nargs=-1, required=True, shell_complete=complete_document)
@VARIABLES
@TAGS
@click.option(
    "--explain", "is_explained", is_flag=True, help="Print the code generated for each operation, or why there is none."
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "mermaid"]),
    default="text",
    show_default=True,
    help="Text, or one Mermaid flowchart: the calls of each round trip, and what is not called.",
)
@_with_worst_case
def cost(
    sources: tuple[str, ...], variables: dict[str, str], tags: tuple[str, ...], is_explained: bool, output: str
) -> None:
    """Print what operations cost at most.

    Costs are computed from the schema: no account and no call is needed.

    FILE is a GraphQL document, "-" for standard input, the name of an example, or a pattern as in `operations check`. Each
    field that costs has a line: its round trip, the number of calls, its place, and the upstream path.
    """
    from gateway.contract import CheckError
    from gateway.contract.operations.check import check_documents
    from gateway.contract.operations.documents import ClientDocument, find_documents
    from gateway.contract.operations.mermaid import flowchart
    from gateway.contract.operations.report import cost_lines
    from gateway.execution.generate import explain

    if is_explained and output != "text":
        fail("--explain prints code: leave out --format mermaid.")
    documents: list[ClientDocument] = []
    try:
        for source in sources:
            if source == "-" or is_example(source):
                documents.append(ClientDocument(Path(source), read_document(source)))
            else:
                documents += find_documents([source], tags)
        report = check_documents(documents, variables)
    except CheckError as error:
        fail(str(error))
    if output == "mermaid":
        costs = [(f"{operation.location.path} {operation.label}", cost) for operation, cost in report.costs]
        click.echo("\n".join(flowchart(costs)))
    for operation, cost in report.costs if output == "text" else ():
        click.echo("\n".join(cost_lines(str(operation.location.path), operation, cost, edges=True)))
        if is_explained:
            click.echo(explain(cost.estimate.plan))
    for problem in report.problems:
        click.echo(problem, err=True)
    if report.problems:
        sys.exit(1)


@operations.command()
@click.argument("patterns", metavar="PATTERN…", nargs=-1, required=True)
@VARIABLES
@click.option("--schema", "where", metavar="SCHEMA", help="Check against this schema: a file, a URL or git:REV.")
@TOKEN
@CLIENT_SCHEMAS
@click.option("--max-calls", type=click.IntRange(0), metavar="N", help="Fail operations that could take more calls.")
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fail operations that cost more than in this file; write the file if it does not exist.",
)
@TAGS
@click.option("--update", is_flag=True, help="Overwrite the snapshot with the costs found.")
@FORMAT
@_with_worst_case
def check(
    patterns: tuple[str, ...],
    variables: dict[str, str],
    where: str | None,
    token: str | None,
    client_schemas: tuple[Path, ...],
    max_calls: int | None,
    snapshot: Path | None,
    tags: tuple[str, ...],
    update: bool,
    output: str,
) -> None:
    """Check a client's operations and their costs.

    Validate them against the schema, and print what each costs at most. No account and no call is needed.

    PATTERN is a file, a directory or a pattern such as 'src/**/*.{graphql,gql,ts,tsx,js,jsx}', in quotes. Documents are
    GraphQL files, and in JavaScript, TypeScript and the scripts of Vue, Svelte and Astro files the strings after gql, graphql
    and /* GraphQL */; imports of these tags under other names are followed. Fragments may be in other files. What Apollo, urql,
    gql.tada and Relay remove or compile before they send is removed and compiled.

    The exit code is 0 without problems, 1 with problems, and 2 when the check could not be made.
    """
    from gateway.contract import CheckError
    from gateway.contract.github import workflow_command
    from gateway.contract.junit import as_junit
    from gateway.contract.operations.check import check_operations
    from gateway.contract.operations.report import as_json, cases, cost_lines, findings, summary_lines
    from gateway.contract.sarif import as_sarif
    from gateway.contract.schema.sources import read_source

    if update and snapshot is None:
        fail("--update writes a snapshot: name its file with --snapshot FILE.")
    try:
        with _garbage_kept():
            report = check_operations(
                patterns,
                variables,
                served=read_source(where, token).schema if where is not None else None,
                client_schemas=client_schemas,
                max_calls=max_calls,
                snapshot=snapshot,
                update=update,
                tags=tags,
            )
    except CheckError as error:
        fail(str(error))
    if output == "json":
        click.echo(as_json(report))
    elif output == "junit":
        click.echo(as_junit("operations check", cases(report)))
    elif output == "sarif":
        click.echo(as_sarif(findings(report), Path("schema.graphql")))
    else:
        for operation, cost in report.costs:
            click.echo("\n".join(cost_lines(str(operation.location), operation, cost)))
        for problem in report.problems:
            shown = workflow_command("error", problem.message, problem.location) if output == "github" else problem
            click.echo(shown, err=output == "text")
        click.echo("\n".join(summary_lines(report)))
    if report.problems:
        sys.exit(1)
