"""The table of settings, which `--help` and the documentation print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from gateway.addresses import parse_origin, parse_url
from gateway.settings import parsing

__all__ = ["SETTINGS", "Setting", "misspelt"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: an environment variable."""

    env: str
    default: str
    help: str
    parse: Callable[[str], Any]
    """Returns the value of a text; raises ValueError with a message for the user."""
    in_file: bool = False
    """Whether `…_FILE` may name a file that holds the value."""
    alias: str | None = None
    """Another name of the variable, from earlier versions."""
    value_aliases: Mapping[str, str] = field(default_factory=dict)
    """Other texts of values, from earlier versions."""

    @property
    def description(self) -> str:
        """The help text with the other ways to set it."""
        also = [f"`{alias}` is an alias of `{value}`." for alias, value in self.value_aliases.items()]
        if self.in_file:
            also.append("Also `_FILE`.")
        if self.alias is not None:
            also.append(f"Alias: `{self.alias}`.")
        return " ".join([self.help, *also])


SETTINGS = (
    Setting("TWILIO_ACCOUNT_SID", "", "The account to read: `AC…`.", parsing.sid("AC"), in_file=True),
    Setting("TWILIO_AUTH_TOKEN", "", "The account's auth token.", parsing.secret, in_file=True),
    Setting(
        "TWILIO_API_KEY", "", "An API key to use in place of the auth token: `SK…`.", parsing.sid("SK"), in_file=True
    ),
    Setting("TWILIO_API_SECRET", "", "The API key's secret.", parsing.secret, in_file=True),
    Setting(
        "GATEWAY_UPSTREAM_URL", "https://conversations.twilio.com", "Origin of Twilio Conversations.", parse_origin
    ),
    Setting(
        "GATEWAY_TOKENS",
        "",
        "Callers and their tokens: `name:token,…`. `name:token:IS…` may read only that service; several are separated by bars. "
        "A file of them is read again on SIGHUP.",
        parsing.tokens,
        in_file=True,
    ),
    Setting("GATEWAY_JWKS_URL", "", "URL of the keys that verify callers' JWTs (a JWK Set).", parse_url),
    Setting(
        "GATEWAY_JWT_KEY",
        "",
        "The one key that verifies callers' JWTs, in place of `GATEWAY_JWKS_URL`.",
        parsing.any_text,
        in_file=True,
    ),
    Setting(
        "GATEWAY_JWT_ISSUER", "", "The issuer (`iss`) that a JWT must have; required with either.", parsing.any_text
    ),
    Setting(
        "GATEWAY_JWT_AUDIENCE", "", "The audience (`aud`) that a JWT must have; required with either.", parsing.any_text
    ),
    Setting("GATEWAY_JWT_ALGORITHMS", "RS256,ES256", "The signature algorithms accepted in a JWT.", parsing.algorithms),
    Setting(
        "GATEWAY_JWT_SERVICES_CLAIM",
        "",
        "The claim that lists the services which a JWT's caller may read; a JWT without the claim may read none.",
        parsing.any_text,
    ),
    Setting(
        "GATEWAY_WEBHOOK_URL",
        "",
        "The public address of `/webhooks/twilio`, exactly as Twilio calls it. Needs `TWILIO_AUTH_TOKEN` or "
        "`GATEWAY_WEBHOOK_KEYS`.",
        parse_url,
    ),
    Setting(
        "GATEWAY_WEBHOOK_KEYS",
        "",
        "Twilio's webhook shared keys, which verify webhooks in place of the auth token: `name:secret,…`. A file of them is "
        "read again on SIGHUP.",
        parsing.webhook_keys,
        in_file=True,
    ),
    Setting(
        "GATEWAY_WEBHOOK_REJECTS",
        "20",
        "Webhooks a second from one peer address that are rejected with a line in the log; more are answered 429. Verified "
        "ones are never limited.",
        parsing.count,
    ),
    Setting(
        "GATEWAY_RECONCILE_SECONDS",
        "30",
        "Seconds between polls of the conversations that subscriptions and `serve --watch` name, for changes that no webhook "
        "reported; 0 means not at all.",
        parsing.lifetime,
    ),
    Setting(
        "GATEWAY_RECONCILE_MESSAGES",
        "100",
        "The newest messages of such a conversation that one poll reads, from 1 to 100.",
        parsing.page_size,
    ),
    Setting("GATEWAY_SUBSCRIPTIONS", "1", "Serve GraphQL subscriptions: 0 or 1.", parsing.switch),
    Setting(
        "GATEWAY_SUBSCRIPTIONS_MAX",
        "10000",
        "Subscriptions of one process at the same time; one more is refused.",
        parsing.calls,
    ),
    Setting(
        "GATEWAY_CALLER_SUBSCRIPTIONS",
        "0",
        "Subscriptions of one caller at one process at the same time; one more is refused. 0 means no limit.",
        parsing.budget,
    ),
    Setting(
        "GATEWAY_SUBSCRIPTION_QUEUE",
        "256",
        "Events that may wait for one subscriber, those of one record merged. One that is slower than that is disconnected.",
        parsing.count,
    ),
    Setting(
        "GATEWAY_REPLAY_EVENTS",
        "10000",
        "Recent events that are held, for subscribers that come back with a cursor.",
        parsing.calls,
    ),
    Setting("GATEWAY_REPLAY_SECONDS", "300", "Seconds for which they are held.", parsing.seconds),
    Setting(
        "GATEWAY_CORS_ORIGINS",
        "",
        "Origins whose pages may send requests, such as `https://app.example.com,http://localhost:*`; `*` means any port.",
        parsing.origins,
    ),
    Setting(
        "GATEWAY_COST_MAX",
        "5000",
        "Upstream calls of an operation in the worst case; one that could take more is rejected before it runs.",
        parsing.calls,
    ),
    Setting(
        "GATEWAY_COST_LIMIT",
        "500",
        "Upstream calls that an operation may make; reads beyond it are errors.",
        parsing.calls,
    ),
    Setting(
        "GATEWAY_DEADLINE",
        "10",
        "Seconds for one operation; what has not been read by then is an error.",
        parsing.seconds,
    ),
    Setting(
        "GATEWAY_DRAIN_SECONDS",
        "0",
        "Seconds after SIGTERM in which `/readyz` replies 503 and connections are still accepted, so that load balancers stop "
        "sending requests first.",
        parsing.drain,
    ),
    Setting(
        "GATEWAY_MAX_OPERATIONS",
        "512",
        "Operations in progress at the same time; one more is rejected with 503.",
        parsing.count,
        alias="GATEWAY_QUEUE",
    ),
    Setting(
        "GATEWAY_CALLER_BUDGET",
        "0",
        "Upstream calls a minute for each caller; an operation that could take more than is left is rejected with 429. 0 means "
        "no limit.",
        parsing.budget,
    ),
    Setting(
        "GATEWAY_HEARTBEAT_SECONDS",
        "12",
        "Seconds between heartbeats of subscriptions over server-sent events and multipart.",
        parsing.seconds,
    ),
    Setting(
        "GATEWAY_SOCKETS",
        "10000",
        "WebSockets that may be open at the same time in one process; one more is closed with 1013.",
        parsing.count,
    ),
    Setting(
        "GATEWAY_SOCKETS_PER_SECOND",
        "2000",
        "WebSockets that may be opened in a second in one process; more are closed with 1013.",
        parsing.count,
    ),
    Setting(
        "GATEWAY_SOCKET_OPERATIONS",
        "100",
        "Operations in progress on one WebSocket, subscriptions included; one more is rejected.",
        parsing.count,
    ),
    Setting("GATEWAY_UPSTREAM_TIMEOUT", "5", "Seconds for one upstream call.", parsing.seconds),
    Setting(
        "GATEWAY_UPSTREAM_CONCURRENCY",
        "",
        "Upstream calls in flight at the same time, at most; fewer after Twilio answers 429. By default, as many as Twilio "
        "accepts, between 64 and 512.",
        parsing.count,
    ),
    Setting(
        "GATEWAY_TRANSPORT",
        "httptools",
        "The library that upstream calls are made with: `httptools`, or `aiohttp`, which takes more CPU and uses the proxies "
        "in `HTTPS_PROXY` and `NO_PROXY`.",
        parsing.transport,
        value_aliases={"lean": "httptools"},
    ),
    Setting(
        "GATEWAY_CACHE_URL",
        "memory://",
        "The cache that several processes share: `redis://…` or `rediss://…`; `memory://` for none.",
        parsing.cache_url,
        in_file=True,
    ),
    Setting(
        "GATEWAY_CACHE_BYTES",
        str(64 * 2**20),
        "Size of the in-memory cache in bytes; 0 means no cache.",
        parsing.byte_count,
    ),
    Setting("GATEWAY_TTL_SERVICES", "60", "Seconds for which a service is fresh.", parsing.lifetime),
    Setting("GATEWAY_TTL_CONVERSATIONS", "30", "Seconds for which a conversation is fresh.", parsing.lifetime),
    Setting("GATEWAY_TTL_PARTICIPANTS", "30", "Seconds for which a participant is fresh.", parsing.lifetime),
    Setting(
        "GATEWAY_TTL_MESSAGES",
        "2",
        "Seconds for which a message, or a list of conversations, is fresh.",
        parsing.lifetime,
    ),
    Setting(
        "GATEWAY_TTL_RECEIPTS", "2", "Seconds for which a receipt is fresh that can still change.", parsing.lifetime
    ),
    Setting(
        "GATEWAY_TTL_FINAL_RECEIPTS",
        "21600",
        "Seconds for which a receipt is fresh that can no longer change.",
        parsing.lifetime,
    ),
    Setting(
        "GATEWAY_TRUSTED_DOCUMENTS",
        "",
        "Manifests of trusted documents, as codegen's client preset, Apollo and Relay write them: files, or directories of "
        "files, separated by commas. They are read again on SIGHUP.",
        parsing.paths,
    ),
    Setting(
        "GATEWAY_TRUSTED_ONLY",
        "0",
        "Reject every document that is not trusted, before it is parsed: 0 or 1.",
        parsing.switch,
    ),
    Setting(
        "GATEWAY_MCP",
        "",
        "Serve tools for assistants at /mcp (needs the extra `mcp`), one for each document: `trusted` for those of "
        "`GATEWAY_TRUSTED_DOCUMENTS`, `shipped` for those of this package, or both.",
        parsing.tool_documents,
    ),
    Setting(
        "GATEWAY_MCP_BUDGET",
        "600",
        "Upstream calls a minute that the tools may cause for each caller; a call that could take more than is left is "
        "refused. 0 means no limit.",
        parsing.budget,
    ),
    Setting(
        "GATEWAY_INTROSPECTION",
        "1",
        "Allow introspection, and suggest names in error messages: 0 or 1.",
        parsing.switch,
    ),
    Setting("GATEWAY_GRAPHIQL", "1", "Serve GraphiQL at /graphiql: 0 or 1.", parsing.switch),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "Where to export traces, by OTLP over HTTP, such as `http://127.0.0.1:4318`. OpenTelemetry's other variables apply.",
        parsing.traces_url,
    ),
    Setting(
        "GATEWAY_LOG_LEVEL", "info", "Lowest level of lines in the log: debug, info, warning or error.", parsing.level
    ),
)


def misspelt(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that are probably misspelt settings, each with the setting that is probably meant."""
    names = [name for setting in SETTINGS for name in (setting.env, setting.alias) if name is not None]
    names += [f"{setting.env}_FILE" for setting in SETTINGS if setting.in_file]
    likely = {
        name: get_close_matches(name, names, n=1, cutoff=0.88)
        for name in sorted(environ)
        if name.startswith(("GATEWAY_", "TWILIO_")) and name not in names
    }
    return [(name, meant[0]) for name, meant in likely.items() if meant]
