"""The settings as values, read from the environment or given in Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.addresses import parse_origin, parse_url
from gateway.callers.callers import Token
from gateway.settings.parsing import ALGORITHMS
from gateway.settings.table import SETTINGS, Setting
from gateway.source.lifetimes import Lifetimes
from gateway.twilio.transport import Credentials

__all__ = ["JwtSettings", "Settings", "SettingsError", "WebhookSettings"]


class SettingsError(Exception):
    """Settings that cannot be used.

    Example:
        try:
            gateway.Settings.load({"GATEWAY_DEADLINE": "soon"})
        except gateway.SettingsError as error:
            assert len(error.problems) == 2  # The deadline, and the missing credentials.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        """A line for each problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """How callers' JWTs are verified, with the keys of `jwks_url` or one `key`.

    The fields are the settings `GATEWAY_JWKS_URL` and `GATEWAY_JWT_…`. They need the extra `jwt`.

    Raises:
        SettingsError: Neither or both of `jwks_url` and `key` are set, another field is missing, or algorithms do not fit
            the key (RFC 8725, 3.1), or `jwks_url` is not https, nor http on a loopback address.

    Example:
        jwt = gateway.JwtSettings(
            jwks_url="https://login.example.com/jwks.json", issuer="https://login.example.com", audience="receipts"
        )
        app = gateway.create_app(dataclasses.replace(settings, jwt=jwt))
    """

    issuer: str
    """The `iss` that a token must have."""
    audience: str
    """The `aud` that a token must have."""
    jwks_url: str | None = None
    """The URL of a JWK Set (RFC 7517)."""
    key: str | None = field(default=None, repr=False)
    """One key: PEM, or a shared secret of at least 32 characters for HS algorithms."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    """The signature algorithms accepted."""
    services_claim: str | None = None
    """The claim that lists the services which the caller may read; None lets it read all."""

    def __post_init__(self) -> None:
        problems = []
        if not self.jwks_url and not self.key:
            problems.append("GATEWAY_JWKS_URL or GATEWAY_JWT_KEY is required to verify JWTs.")
        if self.jwks_url:
            try:
                object.__setattr__(self, "jwks_url", parse_url(self.jwks_url))
            except ValueError as error:
                problems.append(f"GATEWAY_JWKS_URL: {error}")
        if self.jwks_url and self.key:
            problems.append("GATEWAY_JWT_KEY: is set in addition to GATEWAY_JWKS_URL; set one of them.")
        if not self.issuer or not self.audience:
            problems.append("GATEWAY_JWT_ISSUER and GATEWAY_JWT_AUDIENCE are required to verify JWTs.")
        if not set(self.algorithms) <= ALGORITHMS:
            problems.append(f"GATEWAY_JWTALGORITHMS: must be some of {', '.join(sorted(ALGORITHMS))}.")
        shared = [name for name in self.algorithms if name.startswith("HS")]
        if shared and (self.jwks_url or len(shared) < len(self.algorithms) or len(self.key or "") < 32):
            problems.append(
                "GATEWAY_JWTALGORITHMS: HS algorithms need a GATEWAY_JWT_KEY of at least 32 characters, and cannot be "
                "combined with others, whose public key would be accepted as the secret."
            )
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            problems.append("JWTs need an extra: pip install 'receipts-gateway[jwt]'.")
        if problems:
            raise SettingsError(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where Twilio sends webhooks, and the secrets that verify them.

    Raises:
        SettingsError: `url` is not https, nor http on a loopback address, or there is neither an auth token nor a key.

    Example:
        webhook = gateway.WebhookSettings(url="https://receipts.example.com/webhooks/twilio", auth_token=auth_token)
        app = gateway.create_app(dataclasses.replace(settings, webhook=webhook))
    """

    url: str
    """The public address that Twilio calls; it is served at `/webhooks/twilio`."""
    auth_token: str | None = field(default=None, repr=False)
    """The account's auth token. An API key cannot verify webhooks."""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets of webhook shared keys, by the names of the keys."""
    account_sid: str | None = None
    """The account whose events are accepted; None for any that a secret verifies."""
    rejects: int = 20
    """Rejected requests a second that are answered in full, for each peer address."""

    def __post_init__(self) -> None:
        problems = []
        try:
            object.__setattr__(self, "url", parse_url(self.url))
        except ValueError as error:
            problems.append(f"GATEWAY_WEBHOOK_URL: {error}")
        if not self.auth_token and not self.keys:
            problems.append(
                "GATEWAY_WEBHOOK_URL: needs TWILIO_AUTH_TOKEN or GATEWAY_WEBHOOK_KEYS to verify webhooks; an API key cannot."
            )
        if problems:
            raise SettingsError(problems)


@dataclass(frozen=True)
class Settings:
    """The settings as values, from the environment (`load`) or given in Python.

    Raises:
        SettingsError: `upstream_url` is not the origin of an https server, or of one on a loopback address.

    Example:
        credentials = gateway.Credentials(account_sid, auth_token)
        settings = gateway.Settings(credentials=credentials, deadline=5.0)
        same = gateway.Settings.load(
            {"TWILIO_ACCOUNT_SID": account_sid, "TWILIO_AUTH_TOKEN": auth_token, "GATEWAY_DEADLINE": "5"}
        )
        assert settings == same
    """

    credentials: Credentials
    """What Twilio authenticates the gateway by."""
    upstream_url: str = "https://conversations.twilio.com"
    """Origin of Twilio Conversations; https, or http on a loopback address."""
    tokens: Mapping[str, Token] = field(default_factory=dict)
    """Callers' tokens, by the callers' names."""
    jwt: JwtSettings | None = None
    """How callers' JWTs are verified; None to accept none."""
    webhook: WebhookSettings | None = None
    """Where Twilio sends webhooks; None to accept none."""
    reconcile_seconds: float = 30.0
    """Seconds between polls of watched conversations; 0 means not at all."""
    reconcile_messages: int = 100
    """The newest messages of a watched conversation that one poll reads."""
    subscriptions: bool = True
    """Whether subscriptions are served."""
    subscriptions_max: int = 10_000
    """Subscriptions of one process at the same time."""
    caller_subscriptions: int = 0
    """Subscriptions of one caller at one process at the same time; 0 means no limit."""
    subscription_queue: int = 256
    """Events that may wait for one subscriber."""
    replay_events: int = 10_000
    """Recent events that are held for subscribers that come back."""
    replay_seconds: float = 300.0
    """Seconds for which they are held."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may send requests; `http://localhost:*` means any port."""
    cost_max: int = 5000
    """Upstream calls of an operation in the worst case; one that could take more is rejected before it runs."""
    cost_limit: int = 500
    """Upstream calls that an operation may make; reads beyond it are errors."""
    deadline: float = 10.0
    """Seconds for one operation."""
    drain_seconds: float = 0.0
    """Seconds in which a server that was told to stop still accepts connections, and `/readyz` replies 503."""
    upstream_timeout: float = 5.0
    """Seconds for one upstream call."""
    max_operations: int = 512
    """Operations in progress at the same time; one more is rejected."""
    caller_budget: int = 0
    """Upstream calls a minute for each caller; 0 means no limit."""
    heartbeat_seconds: float = 12.0
    """Seconds between heartbeats of subscriptions over server-sent events and multipart."""
    sockets: int = 10_000
    """WebSockets that may be open at the same time in one process."""
    sockets_per_second: int = 2_000
    """WebSockets that may be opened in a second in one process."""
    socket_operations: int = 100
    """Operations in progress on one WebSocket, subscriptions included."""
    upstream_concurrency: int | None = None
    """Upstream calls in flight at the same time, at most; None for as many as Twilio accepts, up to 512."""
    transport: str = "httptools"
    """The library that upstream calls are made with: `httptools` or `aiohttp`."""
    cache_url: str = field(default="memory://", repr=False)
    """The cache that processes share (`redis://…`); `memory://` for none."""
    cache_bytes: int = 64 * 2**20
    """Size of the in-memory cache; 0 means no cache."""
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    """Seconds for which records are fresh, by their kind."""
    traces: bool = False
    """Whether to export traces, as OpenTelemetry's environment variables configure."""
    trusted_documents: tuple[Path, ...] = ()
    """Manifests of trusted documents, and directories of them."""
    trusted_only: bool = False
    """Whether documents that are not trusted are rejected."""
    mcp: frozenset[str] = frozenset()
    """The documents that assistants have tools of at `/mcp`: `trusted`, `shipped`, both, or none. They need the extra `mcp`."""
    mcp_budget: int = 600
    """Upstream calls a minute that tools may cause for each caller; 0 means no limit."""
    introspection: bool = True
    """Whether the schema can be introspected."""
    graphiql: bool = True
    """Whether GraphiQL is served."""
    log_level: str = "info"
    """The lowest level of lines in the log: debug, info, warning or error."""

    def __post_init__(self) -> None:
        try:
            url = parse_origin(self.upstream_url)
        except ValueError as error:
            raise SettingsError([f"upstream_url: {error}"]) from None
        object.__setattr__(self, "upstream_url", url)

    @property
    def requires_token(self) -> bool:
        """Whether callers must send a token."""
        return bool(self.tokens) or self.jwt is not None

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings in `environ`.

        Args:
            environ: Values by the names of the table `SETTINGS`, such as `GATEWAY_DEADLINE`; others are ignored.

        Raises:
            SettingsError: Some settings cannot be used, or the credentials are missing.
        """
        problems: list[str] = []
        settings = cls.read(environ, problems)
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def read(cls, environ: Mapping[str, str], problems: list[str]) -> Settings:
        """Return the settings in `environ`, with defaults for those that cannot be used.

        A line for each of these is appended to `problems`.
        """
        values = {setting.env: _value(setting, environ, problems) for setting in SETTINGS}
        if values["GATEWAY_TRUSTED_ONLY"] and not values["GATEWAY_TRUSTED_DOCUMENTS"]:
            problems.append("GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS, the documents to trust.")
        if "trusted" in (values["GATEWAY_MCP"] or ()) and not values["GATEWAY_TRUSTED_DOCUMENTS"]:
            problems.append("GATEWAY_MCP: `trusted` needs GATEWAY_TRUSTED_DOCUMENTS; `shipped` needs nothing.")
        return cls(
            credentials=_credentials(values, problems),
            upstream_url=values["GATEWAY_UPSTREAM_URL"],
            tokens=values["GATEWAY_TOKENS"] or {},
            jwt=_jwt(values, problems),
            webhook=_webhook(values, problems),
            reconcile_seconds=values["GATEWAY_RECONCILE_SECONDS"],
            reconcile_messages=values["GATEWAY_RECONCILE_MESSAGES"],
            subscriptions=values["GATEWAY_SUBSCRIPTIONS"],
            subscriptions_max=values["GATEWAY_SUBSCRIPTIONS_MAX"],
            caller_subscriptions=values["GATEWAY_CALLER_SUBSCRIPTIONS"],
            subscription_queue=values["GATEWAY_SUBSCRIPTION_QUEUE"],
            replay_events=values["GATEWAY_REPLAY_EVENTS"],
            replay_seconds=values["GATEWAY_REPLAY_SECONDS"],
            cors_origins=values["GATEWAY_CORS_ORIGINS"] or frozenset(),
            cost_max=values["GATEWAY_COST_MAX"],
            cost_limit=values["GATEWAY_COST_LIMIT"],
            deadline=values["GATEWAY_DEADLINE"],
            drain_seconds=values["GATEWAY_DRAIN_SECONDS"],
            upstream_timeout=values["GATEWAY_UPSTREAM_TIMEOUT"],
            max_operations=values["GATEWAY_MAX_OPERATIONS"],
            caller_budget=values["GATEWAY_CALLER_BUDGET"],
            heartbeat_seconds=values["GATEWAY_HEARTBEAT_SECONDS"],
            sockets=values["GATEWAY_SOCKETS"],
            sockets_per_second=values["GATEWAY_SOCKETS_PER_SECOND"],
            socket_operations=values["GATEWAY_SOCKET_OPERATIONS"],
            upstream_concurrency=values["GATEWAY_UPSTREAM_CONCURRENCY"],
            transport=values["GATEWAY_TRANSPORT"],
            cache_url=values["GATEWAY_CACHE_URL"],
            cache_bytes=values["GATEWAY_CACHE_BYTES"],
            lifetimes=Lifetimes(
                **{each.name: values[f"GATEWAY_TTL_{each.name.upper()}"] for each in fields(Lifetimes)}
            ),
            traces=values["OTEL_EXPORTER_OTLP_ENDPOINT"] is not None,
            trusted_documents=values["GATEWAY_TRUSTED_DOCUMENTS"] or (),
            trusted_only=values["GATEWAY_TRUSTED_ONLY"],
            mcp=values["GATEWAY_MCP"] or frozenset(),
            mcp_budget=values["GATEWAY_MCP_BUDGET"],
            introspection=values["GATEWAY_INTROSPECTION"],
            graphiql=values["GATEWAY_GRAPHIQL"],
            log_level=values["GATEWAY_LOG_LEVEL"],
        )


def _value(setting: Setting, environ: Mapping[str, str], problems: list[str]) -> Any:
    """Return the value that a setting has, or else its default's; None without a default."""
    source = setting.env
    try:
        text = environ.get(source, "").strip()
        alias = environ.get(setting.alias, "").strip() if setting.alias is not None else ""
        if alias and text and alias != text:
            raise ValueError(f"differs from its alias {setting.alias}; set one of them.")
        if alias and setting.alias is not None:
            source, text = setting.alias, alias
        path = environ.get(f"{setting.env}_FILE", "") if setting.in_file else ""
        if path:
            source = f"{setting.env}_FILE"
            if text:
                raise ValueError(f"is set in addition to {setting.env}; set one of them.")
            text = Path(path).read_text(encoding="utf-8").strip()
        if text:
            return setting.parse(setting.value_aliases.get(text, text))
    except OSError as error:
        problems.append(f"{source}: cannot read the file ({error.strerror}).")
    except UnicodeDecodeError:
        problems.append(f"{source}: the file is not text.")
    except ValueError as error:
        problems.append(f"{source}: {error}")
    return setting.parse(setting.default) if setting.default else None


def _credentials(values: Mapping[str, Any], problems: list[str]) -> Credentials:
    """Return the API key's credentials, or else the account's; empty ones, and a problem, without either."""
    key, secret = values["TWILIO_API_KEY"], values["TWILIO_API_SECRET"]
    account, token = values["TWILIO_ACCOUNT_SID"], values["TWILIO_AUTH_TOKEN"]
    if key and secret:
        return Credentials(key, secret)
    if account and token:
        return Credentials(account, token)
    if not any(problem.startswith("TWILIO_") for problem in problems):
        missing = (
            "TWILIO_API_SECRET, the secret of TWILIO_API_KEY"
            if key
            else "TWILIO_API_KEY, the key of TWILIO_API_SECRET"
            if secret
            else "TWILIO_AUTH_TOKEN, the auth token of TWILIO_ACCOUNT_SID"
            if account
            else "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET"
        )
        problems.append(f"Missing: {missing}. To try the gateway without an account: receipts-gateway demo.")
    return Credentials("", "")


def _jwt(values: Mapping[str, Any], problems: list[str]) -> JwtSettings | None:
    url, key = values["GATEWAY_JWKS_URL"], values["GATEWAY_JWT_KEY"]
    if not url and not key:
        return None
    try:
        return JwtSettings(
            issuer=values["GATEWAY_JWT_ISSUER"] or "",
            audience=values["GATEWAY_JWT_AUDIENCE"] or "",
            jwks_url=url,
            key=key,
            algorithms=values["GATEWAY_JWT_ALGORITHMS"] or (),
            services_claim=values["GATEWAY_JWT_SERVICES_CLAIM"],
        )
    except SettingsError as error:
        problems += error.problems
        return None


def _webhook(values: Mapping[str, Any], problems: list[str]) -> WebhookSettings | None:
    if not values["GATEWAY_WEBHOOK_URL"]:
        return None
    try:
        return WebhookSettings(
            url=values["GATEWAY_WEBHOOK_URL"],
            auth_token=values["TWILIO_AUTH_TOKEN"],
            keys=values["GATEWAY_WEBHOOK_KEYS"] or {},
            account_sid=values["TWILIO_ACCOUNT_SID"],
            rejects=values["GATEWAY_WEBHOOK_REJECTS"],
        )
    except SettingsError as error:
        problems += error.problems
        return None
