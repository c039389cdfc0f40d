"""The settings: one table, which `--help` and the documentation print, and its values.

A value is checked here as far as its text goes. The trusted documents, which need the schema, are read by `gateway.app`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.addresses import parse_origin, parse_url
from gateway.callers.callers import Token
from gateway.source.lifetimes import Lifetimes
from gateway.twilio.paths import is_sid
from gateway.twilio.transport import Credentials

__all__ = ["SETTINGS", "JwtSettings", "Setting", "Settings", "SettingsError", "misspelt"]

_ALGORITHMS = {f"{family}{bits}" for family in ("HS", "RS", "ES", "PS") for bits in (256, 384, 512)} | {"EdDSA"}
"""Signature algorithms of JWTs (RFC 7518, 3.1; RFC 8037, 3.1)."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """How callers' JWTs are verified, with the keys of `jwks_url` or one `key`.

    The fields are the settings `GATEWAY_JWKS_URL` and `GATEWAY_JWT_…`. They need the extra `jwt`.

    Raises:
        SettingsError: Neither or both of `jwks_url` and `key` are set, another field is missing, or algorithms do not fit
            the key (RFC 8725, 3.1).

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
        if self.jwks_url and self.key:
            problems.append("GATEWAY_JWT_KEY: is set in addition to GATEWAY_JWKS_URL; set one of them.")
        if not self.issuer or not self.audience:
            problems.append("GATEWAY_JWT_ISSUER and GATEWAY_JWT_AUDIENCE are required to verify JWTs.")
        if not set(self.algorithms) <= _ALGORITHMS:
            problems.append(f"GATEWAY_JWT_ALGORITHMS: must be some of {', '.join(sorted(_ALGORITHMS))}.")
        shared = [name for name in self.algorithms if name.startswith("HS")]
        if shared and (self.jwks_url or len(shared) < len(self.algorithms) or len(self.key or "") < 32):
            problems.append(
                "GATEWAY_JWT_ALGORITHMS: HS algorithms need a GATEWAY_JWT_KEY of at least 32 characters, and cannot be "
                "combined with others, whose public key would be accepted as the secret."
            )
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            problems.append("JWTs need an extra: pip install 'receipts-gateway[jwt]'.")
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
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may send requests; `http://localhost:*` means any port."""
    cost_max: int = 5000
    """Upstream calls of an operation in the worst case; one that could take more is rejected before it runs."""
    cost_limit: int = 500
    """Upstream calls that an operation may make; reads beyond it are errors."""
    deadline: float = 10.0
    """Seconds for one operation."""
    upstream_timeout: float = 5.0
    """Seconds for one upstream call."""
    max_operations: int = 512
    """Operations in progress at the same time; one more is rejected."""
    caller_budget: int = 0
    """Upstream calls a minute for each caller; 0 means no limit."""
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
        return cls(
            credentials=_credentials(values, problems),
            upstream_url=values["GATEWAY_UPSTREAM_URL"],
            tokens=values["GATEWAY_TOKENS"] or {},
            jwt=_jwt(values, problems),
            cors_origins=values["GATEWAY_CORS_ORIGINS"] or frozenset(),
            cost_max=values["GATEWAY_COST_MAX"],
            cost_limit=values["GATEWAY_COST_LIMIT"],
            deadline=values["GATEWAY_DEADLINE"],
            upstream_timeout=values["GATEWAY_UPSTREAM_TIMEOUT"],
            max_operations=values["GATEWAY_MAX_OPERATIONS"],
            caller_budget=values["GATEWAY_CALLER_BUDGET"],
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
            introspection=values["GATEWAY_INTROSPECTION"],
            graphiql=values["GATEWAY_GRAPHIQL"],
            log_level=values["GATEWAY_LOG_LEVEL"],
        )


def _sid(prefix: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not is_sid(text, prefix):
            raise ValueError(f"must be {prefix} followed by 32 hexadecimal digits.")
        return text

    return parse


def _secret(text: str) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError("must have no spaces or control characters.")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:
        raise ValueError("must be a number of seconds, more than 0 and at most 600.")
    return seconds


def _lifetime(text: str) -> float:
    if not re.fullmatch(r"\d{1,7}(\.\d{1,3})?", text):
        raise ValueError("must be a number of seconds; 0 means not at all.")
    return float(text)


def _cache(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if text != "memory://" and (scheme not in {"redis", "rediss", "unix"} or not rest):
        raise ValueError("must be memory://, or the URL of a Redis or Valkey server, such as redis://127.0.0.1:6379.")
    if text != "memory://" and find_spec("redis") is None:
        raise ValueError("Redis needs an extra: pip install 'receipts-gateway[redis]'.")
    return text


def _traces(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).netloc:
        raise ValueError("must be a URL, such as http://127.0.0.1:4318.")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise ValueError("traces need an extra: pip install 'receipts-gateway[otel]'.")
    return text


def _bytes(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise ValueError("must be a whole number of bytes; 0 means no cache.")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ValueError("must be a whole number from 1 to 10000.")
    return int(text)


def _budget(text: str) -> int:
    if not text.isdecimal() or int(text[:9]) > 1_000_000:
        raise ValueError("must be a whole number up to 1000000; 0 means no limit.")
    return int(text)


def _calls(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ValueError("must be a whole number from 1 to 1000000.")
    return int(text)


def _switch(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError("must be 0 or 1.")
    return text == "1"


def _level(text: str) -> str:
    if text not in {"debug", "info", "warning", "error"}:
        raise ValueError("must be debug, info, warning or error.")
    return text


def _transport(text: str) -> str:
    if text not in {"httptools", "aiohttp"}:
        raise ValueError("must be httptools or aiohttp.")
    return text


def _tokens(text: str) -> dict[str, Token]:
    tokens: dict[str, Token] = {}
    for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        name, _, rest = entry.partition(":")
        secret, limited, listed = rest.partition(":")
        services = frozenset(listed.split("|")) if limited else None
        if not re.fullmatch(r"[\w.-]{1,100}", name) or len(secret) < 16 or not re.fullmatch(r"[!-~]+", secret):
            raise ValueError(
                "must be name:token or name:token:IS…|IS…, separated by commas; a token has at least 16 characters."
            )
        if services is not None and not all(is_sid(sid, "IS") for sid in services):
            raise ValueError(f"limits {name} to something that is not a service sid.")
        if name in tokens or any(secret == token.secret for token in tokens.values()):
            raise ValueError("has the same caller or token twice.")
        tokens[name] = Token(secret, services)
    return tokens


def _origins(text: str) -> frozenset[str]:
    origins = frozenset(filter(None, (part.strip() for part in text.split(","))))
    for origin in origins:
        parts = urlsplit(origin)
        host = parts.netloc.removesuffix(":*")
        is_one = parts.scheme in {"http", "https"} and host and "*" not in host
        if not is_one or parts.path or parts.query or parts.username:
            raise ValueError(
                "must be origins such as https://app.example.com, separated by commas; no path, no * in the host."
            )
    return origins


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in map(str.strip, text.split(",")) if part)


def _algorithms(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not set(names) <= _ALGORITHMS:
        raise ValueError(f"must be some of {', '.join(sorted(_ALGORITHMS))}, separated by commas.")
    return names


def _text(text: str) -> str:
    return text


SETTINGS = (
    Setting("TWILIO_ACCOUNT_SID", "", "The account to read: `AC…`.", _sid("AC"), in_file=True),
    Setting("TWILIO_AUTH_TOKEN", "", "The account's auth token.", _secret, in_file=True),
    Setting("TWILIO_API_KEY", "", "An API key to use in place of the auth token: `SK…`.", _sid("SK"), in_file=True),
    Setting("TWILIO_API_SECRET", "", "The API key's secret.", _secret, in_file=True),
    Setting(
        "GATEWAY_UPSTREAM_URL", "https://conversations.twilio.com", "Origin of Twilio Conversations.", parse_origin
    ),
    Setting(
        "GATEWAY_TOKENS",
        "",
        "Callers and their tokens: `name:token,…`. `name:token:IS…` may read only that service; several are separated by bars. "
        "A file of them is read again on SIGHUP.",
        _tokens,
        in_file=True,
    ),
    Setting("GATEWAY_JWKS_URL", "", "URL of the keys that verify callers' JWTs (a JWK Set).", parse_url),
    Setting(
        "GATEWAY_JWT_KEY",
        "",
        "The one key that verifies callers' JWTs, in place of `GATEWAY_JWKS_URL`.",
        _text,
        in_file=True,
    ),
    Setting("GATEWAY_JWT_ISSUER", "", "The issuer (`iss`) that a JWT must have; required with either.", _text),
    Setting("GATEWAY_JWT_AUDIENCE", "", "The audience (`aud`) that a JWT must have; required with either.", _text),
    Setting("GATEWAY_JWT_ALGORITHMS", "RS256,ES256", "The signature algorithms accepted in a JWT.", _algorithms),
    Setting(
        "GATEWAY_JWT_SERVICES_CLAIM",
        "",
        "The claim that lists the services which a JWT's caller may read; a JWT without the claim may read none.",
        _text,
    ),
    Setting(
        "GATEWAY_CORS_ORIGINS",
        "",
        "Origins whose pages may send requests, such as `https://app.example.com,http://localhost:*`; `*` means any port.",
        _origins,
    ),
    Setting(
        "GATEWAY_COST_MAX",
        "5000",
        "Upstream calls of an operation in the worst case; one that could take more is rejected before it runs.",
        _calls,
    ),
    Setting(
        "GATEWAY_COST_LIMIT", "500", "Upstream calls that an operation may make; reads beyond it are errors.", _calls
    ),
    Setting(
        "GATEWAY_DEADLINE", "10", "Seconds for one operation; what has not been read by then is an error.", _seconds
    ),
    Setting(
        "GATEWAY_MAX_OPERATIONS",
        "512",
        "Operations in progress at the same time; one more is rejected with 503.",
        _count,
        alias="GATEWAY_QUEUE",
    ),
    Setting(
        "GATEWAY_CALLER_BUDGET",
        "0",
        "Upstream calls a minute for each caller; an operation that could take more than is left is rejected with 429. 0 means "
        "no limit.",
        _budget,
    ),
    Setting("GATEWAY_UPSTREAM_TIMEOUT", "5", "Seconds for one upstream call.", _seconds),
    Setting(
        "GATEWAY_UPSTREAM_CONCURRENCY",
        "",
        "Upstream calls in flight at the same time, at most; fewer after Twilio answers 429. By default, as many as Twilio "
        "accepts, between 64 and 512.",
        _count,
    ),
    Setting(
        "GATEWAY_TRANSPORT",
        "httptools",
        "The library that upstream calls are made with: `httptools`, or `aiohttp`, which takes more CPU and uses the proxies "
        "in `HTTPS_PROXY` and `NO_PROXY`.",
        _transport,
        value_aliases={"lean": "httptools"},
    ),
    Setting(
        "GATEWAY_CACHE_URL",
        "memory://",
        "The cache that several processes share: `redis://…` or `rediss://…`; `memory://` for none.",
        _cache,
        in_file=True,
    ),
    Setting("GATEWAY_CACHE_BYTES", str(64 * 2**20), "Size of the in-memory cache in bytes; 0 means no cache.", _bytes),
    Setting("GATEWAY_TTL_SERVICES", "60", "Seconds for which a service is fresh.", _lifetime),
    Setting("GATEWAY_TTL_CONVERSATIONS", "30", "Seconds for which a conversation is fresh.", _lifetime),
    Setting("GATEWAY_TTL_PARTICIPANTS", "30", "Seconds for which a participant is fresh.", _lifetime),
    Setting(
        "GATEWAY_TTL_MESSAGES", "2", "Seconds for which a message, or a list of conversations, is fresh.", _lifetime
    ),
    Setting("GATEWAY_TTL_RECEIPTS", "2", "Seconds for which a receipt is fresh that can still change.", _lifetime),
    Setting(
        "GATEWAY_TTL_FINAL_RECEIPTS",
        "21600",
        "Seconds for which a receipt is fresh that can no longer change.",
        _lifetime,
    ),
    Setting(
        "GATEWAY_TRUSTED_DOCUMENTS",
        "",
        "Manifests of trusted documents, as codegen's client preset, Apollo and Relay write them: files, or directories of "
        "files, separated by commas. They are read again on SIGHUP.",
        _paths,
    ),
    Setting(
        "GATEWAY_TRUSTED_ONLY", "0", "Reject every document that is not trusted, before it is parsed: 0 or 1.", _switch
    ),
    Setting("GATEWAY_INTROSPECTION", "1", "Allow introspection, and suggest names in error messages: 0 or 1.", _switch),
    Setting("GATEWAY_GRAPHIQL", "1", "Serve GraphiQL at /graphiql: 0 or 1.", _switch),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "Where to export traces, by OTLP over HTTP, such as `http://127.0.0.1:4318`. OpenTelemetry's other variables apply.",
        _traces,
    ),
    Setting("GATEWAY_LOG_LEVEL", "info", "Lowest level of lines in the log: debug, info, warning or error.", _level),
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
