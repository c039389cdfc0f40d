"""`receipts-gateway docs`: print the documentation."""

from __future__ import annotations

import click

__all__ = ["docs"]


@click.command()
@click.argument("topic", required=False)
def docs(topic: str | None) -> None:
    """Print the documentation.

    Print a topic as Markdown; without TOPIC, list the topics.

    A link in the documentation, such as "errors.md#codes", is accepted as TOPIC too.
    """
    from gateway.docs import read_topics

    topics = read_topics()
    if topic is None:
        width = max(map(len, topics))
        for each in topics.values():
            click.echo(f"{each.name:{width}}  {each.summary}")
        return
    name = topic.partition("#")[0].removesuffix(".md")
    if name not in topics:
        raise click.UsageError(f"There is no topic {topic!r}. The topics are: {', '.join(topics)}.")
    click.echo(topics[name].text, nl=False)
