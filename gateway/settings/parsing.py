"""Parsing of settings: each function returns the value of a text, or raises ValueError with a message for the user."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from gateway.callers.callers import Token
from gateway.twilio.paths import is_sid

__all__ = [
    "ALGORITHMS",
    "algorithms",
    "any_text",
    "budget",
    "byte_count",
    "cache_url",
    "calls",
    "count",
    "drain",
    "level",
    "lifetime",
    "origins",
    "page_size",
    "paths",
    "seconds",
    "secret",
    "sid",
    "switch",
    "tokens",
    "tool_documents",
    "traces_url",
    "transport",
    "webhook_keys",
]

ALGORITHMS = {f"{family}{bits}" for family in ("HS", "RS", "ES", "PS") for bits in (256, 384, 512)} | {"EdDSA"}
"""Signature algorithms of JWTs (RFC 7518, 3.1; RFC 8037, 3.1)."""


def sid(prefix: str) -> Callable[[str], str]:
    """Return a parser of sids with a prefix, such as `AC`."""

    def parse(text: str) -> str:
        if not is_sid(text, prefix):
            raise ValueError(f"must be {prefix} followed by 32 hexadecimal digits.")
        return text

    return parse


def secret(text: str) -> str:
    """Parse a credential: printable, without spaces."""
    if not text.isprintable() or " " in text:
        raise ValueError("must have no spaces or control characters.")
    return text


def seconds(text: str) -> float:
    """Parse a duration above 0, up to ten minutes."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 600:
        raise ValueError("must be a number of seconds, more than 0 and at most 600.")
    return value


def drain(text: str) -> float:
    """Parse a duration from 0 to ten minutes."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 600:
        raise ValueError("must be a number of seconds from 0 to 600.")
    return value


def lifetime(text: str) -> float:
    """Parse a duration that may be 0."""
    if not re.fullmatch(r"\d{1,7}(\.\d{1,3})?", text):
        raise ValueError("must be a number of seconds; 0 means not at all.")
    return float(text)


def cache_url(text: str) -> str:
    """Parse `memory://`, or the URL of a Redis server."""
    scheme, _, rest = text.partition("://")
    if text != "memory://" and (scheme not in {"redis", "rediss", "unix"} or not rest):
        raise ValueError("must be memory://, or the URL of a Redis or Valkey server, such as redis://127.0.0.1:6379.")
    if text != "memory://" and find_spec("redis") is None:
        raise ValueError("Redis needs an extra: pip install 'receipts-gateway[redis]'.")
    return text


def traces_url(text: str) -> str:
    """Parse the URL of an OTLP receiver."""
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).netloc:
        raise ValueError("must be a URL, such as http://127.0.0.1:4318.")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise ValueError("traces need an extra: pip install 'receipts-gateway[otel]'.")
    return text


def byte_count(text: str) -> int:
    """Parse a number of bytes that may be 0."""
    if not text.isdecimal() or len(text) > 12:
        raise ValueError("must be a whole number of bytes; 0 means no cache.")
    return int(text)


def count(text: str) -> int:
    """Parse a number from 1 to 10,000."""
    if not text.isdecimal() or len(text) > 5 or not 1 <= int(text) <= 10_000:
        raise ValueError("must be a whole number from 1 to 10000.")
    return int(text)


def page_size(text: str) -> int:
    """Parse a number from 1 to 100."""
    if not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= 100:
        raise ValueError("must be a whole number from 1 to 100.")
    return int(text)


def budget(text: str) -> int:
    """Parse a number of calls per minute; 0 means no limit."""
    if not text.isdecimal() or len(text) > 7 or int(text) > 1_000_000:
        raise ValueError("must be a whole number up to 1000000; 0 means no limit.")
    return int(text)


def tool_documents(text: str) -> frozenset[str]:
    """Parse the names of the sets of documents that assistants have tools of."""
    names = frozenset(name.strip() for name in text.split(","))
    if not names <= {"trusted", "shipped"}:
        raise ValueError("must be trusted, shipped, or both, separated by a comma.")
    if find_spec("mcp") is None:
        raise ValueError("needs an extra: pip install 'receipts-gateway[mcp]'.")
    return names


def calls(text: str) -> int:
    """Parse a number of calls from 1 to 1,000,000."""
    if not text.isdecimal() or len(text) > 7 or not 1 <= int(text) <= 1_000_000:
        raise ValueError("must be a whole number from 1 to 1000000.")
    return int(text)


def switch(text: str) -> bool:
    """Parse 0 or 1."""
    if text not in {"0", "1"}:
        raise ValueError("must be 0 or 1.")
    return text == "1"


def level(text: str) -> str:
    """Parse the name of a log level."""
    if text not in {"debug", "info", "warning", "error"}:
        raise ValueError("must be debug, info, warning or error.")
    return text


def transport(text: str) -> str:
    """Parse the name of a transport."""
    if text not in {"httptools", "aiohttp"}:
        raise ValueError("must be httptools or aiohttp.")
    return text


def tokens(text: str) -> dict[str, Token]:
    """Parse tokens by the callers' names."""
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


def webhook_keys(text: str) -> dict[str, str]:
    """Parse the secrets of webhook shared keys by the keys' names."""
    keys: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        name, _, secret = entry.partition(":")
        if not re.fullmatch(r"[\w.-]{1,200}", name) or not re.fullmatch(r"[!-~]+", secret):
            raise ValueError("must be name:secret, separated by commas.")
        if name in keys:
            raise ValueError("has the same key twice.")
        keys[name] = secret
    return keys


def origins(text: str) -> frozenset[str]:
    """Parse origins separated by commas; a port may be `*`."""
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


def paths(text: str) -> tuple[Path, ...]:
    """Parse paths separated by commas."""
    return tuple(Path(part) for part in map(str.strip, text.split(",")) if part)


def algorithms(text: str) -> tuple[str, ...]:
    """Parse the names of signature algorithms, separated by commas."""
    names = tuple(part.strip() for part in text.split(","))
    if not set(names) <= ALGORITHMS:
        raise ValueError(f"must be some of {', '.join(sorted(ALGORITHMS))}, separated by commas.")
    return names


def any_text(text: str) -> str:
    """Return the text itself."""
    return text
