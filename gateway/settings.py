"""What can be set from the environment: one table, which is also what README and `--help` say."""

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

__all__ = ["SETTINGS", "Setting", "Settings", "SettingsError", "misspelt"]


class SettingsError(Exception):
    """Settings that cannot be used; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: an environment variable, what it is without one, and what it does."""

    env: str
    default: str
    help: str
    read: Callable[[str], Any]
    """Makes the value from text; raises ValueError with words for the user."""
    in_file: bool = False
    """Whether `…_FILE` may name a file that holds it instead."""


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """How callers' JWTs are checked."""

    jwks_url: str | None
    key: str | None = field(repr=False)
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    services_claim: str | None


@dataclass(frozen=True)
class Settings:
    """The settings as values."""

    credentials: Credentials
    upstream_url: str = "https://conversations.twilio.com"
    tokens: Mapping[str, Token] = field(default_factory=dict)
    """Callers' names and their tokens."""
    jwt: JwtSettings | None = None
    cors_origins: frozenset[str] = frozenset()
    cost_max: int = 5000
    cost_limit: int = 500
    deadline: float = 10.0
    upstream_timeout: float = 5.0
    queue: int = 512
    caller_budget: int = 0
    upstream_concurrency: int = 64
    transport: str = "lean"
    cache_url: str = field(default="memory://", repr=False)
    cache_bytes: int = 64 * 2**20
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    traces: bool = False
    """Whether OpenTelemetry's variables say where traces go."""
    trusted_documents: Mapping[str, str] = field(default_factory=dict)
    """Documents by the ids that clients send in their place."""
    trusted_only: bool = False
    introspection: bool = True
    graphiql: bool = True
    log_level: str = "info"

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings in `environ`; raises `SettingsError`."""
        problems: list[str] = []
        values = {setting.env: _value(setting, environ, problems) for setting in SETTINGS}
        credentials = _credentials(values, problems)
        jwt = _jwt(values, problems)
        trusted_documents = _trusted_documents(values, problems)
        if problems or credentials is None:
            raise SettingsError(problems)
        return cls(
            credentials=credentials,
            upstream_url=values["GATEWAY_UPSTREAM_URL"],
            tokens=values["GATEWAY_TOKENS"],
            jwt=jwt,
            cors_origins=values["GATEWAY_CORS_ORIGINS"],
            cost_max=values["GATEWAY_COST_MAX"],
            cost_limit=values["GATEWAY_COST_LIMIT"],
            deadline=values["GATEWAY_DEADLINE"],
            upstream_timeout=values["GATEWAY_UPSTREAM_TIMEOUT"],
            queue=values["GATEWAY_QUEUE"],
            caller_budget=values["GATEWAY_CALLER_BUDGET"],
            upstream_concurrency=values["GATEWAY_UPSTREAM_CONCURRENCY"],
            transport=values["GATEWAY_TRANSPORT"],
            cache_url=values["GATEWAY_CACHE_URL"],
            cache_bytes=values["GATEWAY_CACHE_BYTES"],
            lifetimes=Lifetimes(
                **{each.name: values[f"GATEWAY_TTL_{each.name.upper()}"] for each in fields(Lifetimes)}
            ),
            traces=values["OTEL_EXPORTER_OTLP_ENDPOINT"] is not None,
            trusted_documents=trusted_documents,
            trusted_only=values["GATEWAY_TRUSTED_ONLY"],
            introspection=values["GATEWAY_INTROSPECTION"],
            graphiql=values["GATEWAY_GRAPHIQL"],
            log_level=values["GATEWAY_LOG_LEVEL"],
        )


def _sid(prefix: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not is_sid(text, prefix):
            raise ValueError(f"must be {prefix} followed by 32 hexadecimal digits.")
        return text

    return read


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
        raise ValueError("must be a number of seconds, 0 for none.")
    return float(text)


def _cache(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if text != "memory://" and (scheme not in {"redis", "rediss", "unix"} or not rest):
        raise ValueError("must be memory://, or the address of a Redis or Valkey, such as redis://127.0.0.1:6379.")
    if text != "memory://" and find_spec("redis") is None:
        raise ValueError("a Redis needs the extra: pip install 'receipts-gateway[redis]'.")
    return text


def _traces(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).netloc:
        raise ValueError("must be an address, such as http://127.0.0.1:4318.")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise ValueError("traces need the extra: pip install 'receipts-gateway[otel]'.")
    return text


def _bytes(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise ValueError("must be a whole number of bytes, 0 for none.")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ValueError("must be a whole number from 1 to 10000.")
    return int(text)


def _budget(text: str) -> int:
    if not text.isdecimal() or int(text[:9]) > 1_000_000:
        raise ValueError("must be a whole number up to 1000000, 0 for none.")
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
    if text not in {"lean", "aiohttp"}:
        raise ValueError("must be lean or aiohttp.")
    return text


def _tokens(text: str) -> dict[str, Token]:
    tokens: dict[str, Token] = {}
    for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        name, _, rest = entry.partition(":")
        secret, limited, listed = rest.partition(":")
        services = frozenset(listed.split("|")) if limited else None
        if not re.fullmatch(r"[\w.-]{1,100}", name) or len(secret) < 16 or not re.fullmatch(r"[!-~]+", secret):
            raise ValueError(
                "must be name:token or name:token:IS…|IS…, with commas between; tokens of 16 characters or more."
            )
        if services is not None and not all(is_sid(sid, "IS") for sid in services):
            raise ValueError(f"limits {name} to something that is not the sid of a service.")
        if name in tokens or any(secret == token.secret for token in tokens.values()):
            raise ValueError("names a caller or a token twice.")
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
                "must be origins such as https://app.example.com, with commas between; no path, no * for a host."
            )
    return origins


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in map(str.strip, text.split(",")) if part)


def _algorithms(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    allowed = {f"{family}{bits}" for family in ("HS", "RS", "ES", "PS") for bits in (256, 384, 512)} | {"EdDSA"}
    if not set(names) <= allowed:
        raise ValueError(f"must be some of {', '.join(sorted(allowed))}, with commas between.")
    return names


def _text(text: str) -> str:
    return text


SETTINGS = (
    Setting("TWILIO_ACCOUNT_SID", "", "The account to read: `AC…`.", _sid("AC"), in_file=True),
    Setting("TWILIO_AUTH_TOKEN", "", "The account's auth token.", _secret, in_file=True),
    Setting("TWILIO_API_KEY", "", "An API key to use instead of the auth token: `SK…`.", _sid("SK"), in_file=True),
    Setting("TWILIO_API_SECRET", "", "The API key's secret.", _secret, in_file=True),
    Setting("GATEWAY_UPSTREAM_URL", "https://conversations.twilio.com", "Where Twilio Conversations is.", parse_origin),
    Setting(
        "GATEWAY_TOKENS",
        "",
        "Who may ask: `name:token,…`; `name:token:IS…` may read only that service, or several with bars between. A file of "
        "them is read again on SIGHUP.",
        _tokens,
        in_file=True,
    ),
    Setting("GATEWAY_JWKS_URL", "", "Where the keys are that sign callers' JWTs.", parse_url),
    Setting(
        "GATEWAY_JWT_KEY", "", "The one key that signs callers' JWTs, in place of an address.", _text, in_file=True
    ),
    Setting("GATEWAY_JWT_ISSUER", "", "Who must have issued a JWT; needed with either.", _text),
    Setting("GATEWAY_JWT_AUDIENCE", "", "For whom a JWT must be; needed with either.", _text),
    Setting(
        "GATEWAY_JWT_ALGORITHMS", "RS256,ES256", "The algorithms a JWT may be signed with, and no others.", _algorithms
    ),
    Setting(
        "GATEWAY_JWT_SERVICES_CLAIM",
        "",
        "The claim that lists the services a JWT's caller may read; a JWT without it may read none.",
        _text,
    ),
    Setting(
        "GATEWAY_CORS_ORIGINS",
        "",
        "The sites whose pages may ask, such as `https://app.example.com,http://localhost:*`, with `*` for any port.",
        _origins,
    ),
    Setting(
        "GATEWAY_COST_MAX",
        "5000",
        "Upstream calls an operation could take in the worst case; one that could take more is refused before it runs.",
        _calls,
    ),
    Setting(
        "GATEWAY_COST_LIMIT", "500", "Upstream calls an operation may take; what would take more is not read.", _calls
    ),
    Setting(
        "GATEWAY_DEADLINE", "10", "Seconds one operation may take; what is not back by then is an error.", _seconds
    ),
    Setting("GATEWAY_QUEUE", "512", "Operations under way at once, at most; more are refused with 503.", _count),
    Setting(
        "GATEWAY_CALLER_BUDGET",
        "0",
        "Upstream calls a minute that each caller may cause; what could take more than is left is refused with 429. 0 for any "
        "number.",
        _budget,
    ),
    Setting("GATEWAY_UPSTREAM_TIMEOUT", "5", "Seconds one upstream call may take.", _seconds),
    Setting(
        "GATEWAY_UPSTREAM_CONCURRENCY",
        "64",
        "Upstream calls in flight at once, at most; fewer when Twilio says it is too many.",
        _count,
    ),
    Setting(
        "GATEWAY_TRANSPORT",
        "lean",
        "What carries upstream calls: `lean`, or `aiohttp`, which costs more and goes through the proxies that `HTTPS_PROXY` "
        "and `NO_PROXY` name.",
        _transport,
    ),
    Setting(
        "GATEWAY_CACHE_URL",
        "memory://",
        "Where else to keep what was read: `redis://…` (or `rediss://…`), to share it between processes; `memory://` for this "
        "one alone.",
        _cache,
        in_file=True,
    ),
    Setting(
        "GATEWAY_CACHE_BYTES",
        str(64 * 2**20),
        "Bytes of memory for what was read before; 0 to read everything anew.",
        _bytes,
    ),
    Setting("GATEWAY_TTL_SERVICES", "60", "Seconds for which services are good.", _lifetime),
    Setting("GATEWAY_TTL_CONVERSATIONS", "30", "Seconds for which conversations are good.", _lifetime),
    Setting("GATEWAY_TTL_PARTICIPANTS", "30", "Seconds for which participants are good.", _lifetime),
    Setting(
        "GATEWAY_TTL_MESSAGES", "2", "Seconds for which messages, and lists of conversations, are good.", _lifetime
    ),
    Setting("GATEWAY_TTL_RECEIPTS", "2", "Seconds for which receipts are good that may still change.", _lifetime),
    Setting(
        "GATEWAY_TTL_FINAL_RECEIPTS", "21600", "Seconds for which receipts are good that will not change.", _lifetime
    ),
    Setting(
        "GATEWAY_TRUSTED_DOCUMENTS",
        "",
        "Manifests of the documents that clients send by their ids, as codegen's client preset, Apollo and Relay write them: "
        "files, or directories of them, with commas between. They are read again on SIGHUP.",
        _paths,
    ),
    Setting("GATEWAY_TRUSTED_ONLY", "0", "Whether all but trusted documents are refused, unread: 0 or 1.", _switch),
    Setting(
        "GATEWAY_INTROSPECTION", "1", "Whether the schema can be asked for, and errors suggest names: 0 or 1.", _switch
    ),
    Setting("GATEWAY_GRAPHIQL", "1", "Whether GraphiQL is served at /graphiql: 0 or 1.", _switch),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "Where traces go, by OTLP over HTTP, such as `http://127.0.0.1:4318`; OpenTelemetry's other variables hold too.",
        _traces,
    ),
    Setting("GATEWAY_LOG_LEVEL", "info", "debug, info, warning or error.", _level),
)


def misspelt(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that are no settings, each with the one that is probably meant; others may be anyone's."""
    names = [setting.env for setting in SETTINGS] + [f"{setting.env}_FILE" for setting in SETTINGS if setting.in_file]
    near = {
        name: get_close_matches(name, names, n=1, cutoff=0.88)
        for name in sorted(environ)
        if name.startswith(("GATEWAY_", "TWILIO_")) and name not in names
    }
    return [(name, meant[0]) for name, meant in near.items() if meant]


def _value(setting: Setting, environ: Mapping[str, str], problems: list[str]) -> Any:
    text, source = environ.get(setting.env, ""), setting.env
    path = environ.get(f"{setting.env}_FILE", "") if setting.in_file else ""
    try:
        if path:
            source = f"{setting.env}_FILE"
            if text:
                raise ValueError(f"is set besides {setting.env}; set one of them.")
            text = Path(path).read_text(encoding="utf-8")
        text = text.strip() or setting.default
        return setting.read(text) if text or setting.read in (_tokens, _origins) else None
    except OSError as error:
        problems.append(f"{source}: cannot read the file ({error.strerror}).")
    except UnicodeDecodeError:
        problems.append(f"{source}: the file is not text.")
    except ValueError as error:
        problems.append(f"{source}: {error}")
    return None


def _credentials(values: Mapping[str, Any], problems: list[str]) -> Credentials | None:
    key, secret = values["TWILIO_API_KEY"], values["TWILIO_API_SECRET"]
    account, token = values["TWILIO_ACCOUNT_SID"], values["TWILIO_AUTH_TOKEN"]
    if key and secret:
        return Credentials(key, secret)
    if account and token:
        return Credentials(account, token)
    if not problems:
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
    return None


def _jwt(values: Mapping[str, Any], problems: list[str]) -> JwtSettings | None:
    url, key = values["GATEWAY_JWKS_URL"], values["GATEWAY_JWT_KEY"]
    issuer, audience, algorithms = (values[f"GATEWAY_JWT_{name}"] for name in ("ISSUER", "AUDIENCE", "ALGORITHMS"))
    if not url and not key:
        return None
    if url and key:
        problems.append("GATEWAY_JWT_KEY: is set besides GATEWAY_JWKS_URL; set one of them.")
    if not issuer or not audience:
        problems.append("GATEWAY_JWT_ISSUER and GATEWAY_JWT_AUDIENCE are needed to check JWTs.")
    shared = [name for name in algorithms or () if name.startswith("HS")]
    if shared and (url or len(shared) < len(algorithms) or len(key or "") < 32):
        problems.append(
            "GATEWAY_JWT_ALGORITHMS: HS algorithms stand alone, with a GATEWAY_JWT_KEY of 32 characters or more; mixed with "
            "others, a public key would pass for their secret."
        )
    if find_spec("jwt") is None or find_spec("cryptography") is None:
        problems.append("JWTs need the extra: pip install 'receipts-gateway[jwt]'.")
    if problems:
        return None
    return JwtSettings(url, key, issuer, audience, algorithms, values["GATEWAY_JWT_SERVICES_CLAIM"])


def _trusted_documents(values: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    paths = values["GATEWAY_TRUSTED_DOCUMENTS"]
    if not paths:
        if values["GATEWAY_TRUSTED_ONLY"]:
            problems.append("GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS, which says what is trusted.")
        return {}
    from gateway.web.manifests import read_manifests  # It needs the schema, which no other setting does.

    found: list[str] = []
    documents = read_manifests(paths, found, introspection=values["GATEWAY_INTROSPECTION"] is not False)
    problems += [f"GATEWAY_TRUSTED_DOCUMENTS: {problem}" for problem in found]
    return documents
