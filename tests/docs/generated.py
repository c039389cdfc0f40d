"""The tables of the documentation that are made from the code: `python -m tests.docs` writes them, a test compares them."""

from __future__ import annotations

from gateway.accounts.account import Account
from gateway.docs import read_topics
from gateway.settings import SETTINGS
from gateway.twilio.client import Client
from gateway.twilio.transport import Credentials, Origin
from gateway.web.metrics import Metrics
from gateway.web.request_headers import REQUEST_HEADERS

from .blocks import FILES, read, rows

__all__ = [
    "TABLES",
    "metrics_table",
    "request_headers_table",
    "settings_table",
    "topics_table",
    "with_table",
    "write_tables",
]

_READING_ORDER = (
    "clients",
    "contract-tests",
    "checks",
    "python",
    "errors",
    "costs",
    "http",
    "live",
    "live-clients",
    "webhooks",
    "assistants",
    "federation",
    "configuration",
    "deploy",
    "operate",
    "sandbox",
    "speed",
)
"""README's order of topics; the others follow by name."""


def settings_table() -> str:
    """Return the settings, one row each."""
    lines = []
    for each in SETTINGS:
        default = f"`{each.default}`" if each.default else ""
        lines.append(f"| `{each.env}` | {default} | {each.description} |")
    return "\n".join(["| variable | default | does |", "|---|---|---|", *lines])


def metrics_table() -> str:
    """Return the gateway's own metrics, one row each."""
    client = Client(Origin("http://127.0.0.1:9", Credentials("AC" + "0" * 32, "secret")))
    lines = []
    for metric in Metrics(Account(client), client).collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = ", ".join(f"`{label}`" for label in getattr(metric, "_labelnames", ()))
        lines.append(f"| `{name}` | {metric.type} | {labels} | {metric.documentation} |")
    return "\n".join(["| metric | type | labels | counts or measures |", "|---|---|---|---|", *lines])


def topics_table() -> str:
    """Return the topics with the sentence that says what each is for, one row each."""
    topics = read_topics()
    names = [
        *(name for name in _READING_ORDER if name in topics),
        *(name for name in topics if name not in _READING_ORDER),
    ]
    lines = [f"| [{name}](gateway/docs/{name}.md) | {topics[name].summary} |" for name in names]
    return "\n".join(["| topic | about |", "|---|---|", *lines])


def request_headers_table() -> str:
    """Return the request headers that the endpoint reads, one row each."""
    lines = [f"| `{each.name}` | {each.help} |" for each in REQUEST_HEADERS]
    return "\n".join(["| request header | does |", "|---|---|", *lines])


TABLES = {
    "http": ("request", request_headers_table),
    "README": ("topic", topics_table),
    "configuration": ("variable", settings_table),
    "operate": ("metric", metrics_table),
}
"""The file that has a generated table, the first word of the table's head, and the function that makes it."""


def with_table(text: str, table: str) -> str:
    """Return a file's text with a table in place of the one that has the same first word in its head."""
    head = table[2:].partition(" ")[0]
    start = text.index(f"| {head} ")
    end = start
    while text.startswith("|", end):
        end = text.index("\n", end) + 1
    return f"{text[:start]}{table}\n{text[end:]}"


def write_tables() -> None:
    """Write each generated table into its file."""
    for name, (head, table) in TABLES.items():
        assert rows(read(name), head) is not None
        FILES[name].write_text(with_table(read(name), table()), encoding="utf-8")
