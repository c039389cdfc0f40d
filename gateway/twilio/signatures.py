"""The signature of a webhook: who signed it, and over what. Pure functions over the request's URL, headers and body.

See https://www.twilio.com/docs/usage/webhooks/webhooks-security. A request is accepted if its signature is the HMAC, under a
secret of `Secrets`, of a URL of the first table followed by a content of the second. These are the requests that
twilio-python's `RequestValidator` or twilio-node's `validateIncomingRequest` accepts.

    URL                                     why
    as it was called, without a port        Twilio signs either form, whichever was called
    as it was called, with a port           its own, or the scheme's default
    the same two, `"<>'` in the query       twilio-node: some of Twilio's servers sign the query after a URL parser escaped it,
      percent-encoded; and the query          or after it was parsed and serialized
      parsed and serialized again, if it
      has at most 8 KiB

    request                                 content                                                          else
    GET                                     none: all parameters are in the URL                              URL, KEY
    more than 200 parameters                -                                                                BODY
    a form                                  each name, sorted, followed by its distinct values, sorted       URL, KEY
    a body whose SHA-256 in hex is in       none                                                             URL, KEY
      the URL's `bodySHA256`
    any other body                          -                                                                BODY

    header X-Twilio-Webhooks-Signature-Settings    secret                         hash                       else
    absent, or without `key=`                      the account's auth token       SHA-1, or `algorithm=`     KEY
    `key=NAME`                                     the shared key of that name    SHA-1, or `algorithm=`     KEY

The last column is the `Flaw` that is reported for a request that is not accepted.
"""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec

__all__ = [
    "SETTINGS_HEADER",
    "SIGNATURE_HEADER",
    "Flaw",
    "Secrets",
    "WebhookRequest",
    "called_url",
    "find_flaw",
    "signed_bases",
]

SIGNATURE_HEADER = "x-twilio-signature"
SETTINGS_HEADER = "x-twilio-webhooks-signature-settings"
_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_FIELDS_MAX = 200
_SERIALIZED_MAX = 8 * 2**10
"""Characters of a query that is serialized again, which takes milliseconds for longer ones, whoever sends them."""
_FORM = "application/x-www-form-urlencoded"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)((?:[^/?#@]*@)?)(\[[^\]/?#]*\]|[^:/?#]*)((?::[^/?#]*)?)(.*)", re.DOTALL)
_ESCAPED = {ord(character): f"%{ord(character):02X}" for character in "\"<>'"}
"""What a URL parser percent-encodes in a query that arrived over HTTP (https://url.spec.whatwg.org/#special-query-percent-encode-set)."""
_UNESCAPED = "!'()*"
"""What JavaScript's `encodeURIComponent` leaves alone, and `quote` does not."""


class Flaw(Enum):
    """The part of a rejected request that does not fit: what to check."""

    SIGNATURE = "signature"
    """There is no `X-Twilio-Signature`: the request is not Twilio's, or a proxy removed the header."""
    KEY = "key"
    """The key is unknown, or the signature was made with another secret, or for another URL."""
    URL = "URL"
    """Twilio calls another URL than the configured one."""
    BODY = "body"
    """The body is not the signed one, or the signature does not cover it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that Twilio may sign with."""

    auth_token: str | None = field(default=None, repr=False)
    """The account's auth token."""
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets of webhook shared keys, by the names of the keys."""


@dataclass(eq=False)
class WebhookRequest:
    """An HTTP request that Twilio is said to have sent."""

    method: str
    url: str = field(repr=False)
    """The URL that was called, with its query, as Twilio wrote it: not as a proxy passed it on."""
    headers: Mapping[str, str] = field(repr=False)
    """Values by names in lower case."""
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """The parameters of a form body. Raises ValueError for more than 200."""
        if self.method == "GET" or not self.body:
            return []
        return _parameters(self.body.decode(errors="replace"))

    @cached_property
    def is_form(self) -> bool:
        """Whether the body is a form; an empty one is."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return not self.body or media_type in {"", _FORM}

    @property
    def parameters(self) -> dict[str, str]:
        """The event's parameters: those of the query of a GET, of a form, or of a JSON object. The last one of a name counts.

        Raises ValueError if they cannot be read.
        """
        if self.method == "GET":
            return dict(_parameters(self.query))
        if self.is_form:
            return dict(self.form)
        try:
            values = msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ValueError("The body is not a JSON object.") from None
        return {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in values.items()
            if value is not None
        }

    @property
    def query(self) -> str:
        """The query of the URL, without its `?`."""
        return self.url.partition("?")[2]


def find_flaw(request: WebhookRequest, secrets: Secrets) -> Flaw | None:
    """Return the flaw for which the request is rejected, or None if its signature is valid."""
    claim = _claim(request, secrets)
    if isinstance(claim, Flaw):
        return claim
    base, _, query = request.url.partition("?")
    return None if claim.covers(base, _signed_queries(query)) else Flaw.KEY


def called_url(request: WebhookRequest, secrets: Secrets, origins: Iterable[str], paths: Collection[str]) -> str | None:
    """Return the URL, without its query, that a rejected request was signed for; None if it is not among the given ones.

    `origins`, such as `https://example.com`, and `paths` are those that a proxy may have replaced. A result means that the
    secret is the right one, and that the configured URL is not the one that Twilio calls.
    """
    claim = _claim(request, secrets)
    if isinstance(claim, Flaw):
        return None
    queries = list(_signed_queries(request.query))
    bases = (f"{origin}{path}" for origin in origins for path in paths)
    return next((base for base in bases if claim.covers(base, queries)), None)


class _Claim(NamedTuple):
    """A signature, and what it may have been computed from, besides the URL."""

    signature: bytes
    key: bytes
    hash_name: str
    contents: list[str]

    def covers(self, base: str, queries: Iterable[str]) -> bool:
        """Whether it is the signature of a form of the URL `base` with one of the queries, followed by one of the contents."""
        key, hash_name, signature = self.key, self.hash_name, self.signature
        bases = signed_bases(base)
        for query in queries:
            for each in bases:
                for content in self.contents:
                    signed = f"{each}{query}{content}".encode("utf-8", "surrogateescape")
                    if hmac.compare_digest(b2a_base64(hmac.digest(key, signed, hash_name), newline=False), signature):
                        return True
        return False


def _claim(request: WebhookRequest, secrets: Secrets) -> _Claim | Flaw:
    """Return what a request's signature may cover, or the flaw for which it covers nothing."""
    signature = request.headers.get(SIGNATURE_HEADER)
    if not signature:
        return Flaw.SIGNATURE
    header = request.headers.get(SETTINGS_HEADER)
    settings = _signature_settings(header) if header else {}
    name, algorithm = settings.get("key"), settings.get("algorithm", "HMAC_SHA1")
    secret = secrets.shared_keys.get(name) if name is not None else secrets.auth_token
    hash_name = _HASHES.get(algorithm.upper())
    if not secret or hash_name is None:
        return Flaw.KEY
    try:
        contents = list(_contents(request))
    except ValueError:
        return Flaw.BODY
    if not contents:
        return Flaw.BODY
    return _Claim(signature.encode("utf-8", "surrogateescape"), secret.encode(), hash_name, contents)


def _signature_settings(header: str) -> dict[str, str]:
    """Return the settings in a header `key=…,algorithm=…`, without empty ones."""
    parts = (part.partition("=") for part in header.split(","))
    return {name.strip(): value.strip() for name, _, value in parts if value.strip()}


def _contents(request: WebhookRequest) -> Iterator[str]:
    """Yield the texts that may follow the URL in the signed text; none if the signature cannot cover the body.

    Raises ValueError for more than 200 parameters.
    """
    query = _parameters(request.query) if "?" in request.url else []
    if request.method == "GET":
        yield ""
        return
    stated = next((value for name, value in query if name == "bodySHA256"), None)
    if stated is not None and hmac.compare_digest(
        sha256(request.body).hexdigest().encode(), stated.encode("utf-8", "surrogateescape")
    ):
        yield ""
    if request.is_form:
        form = sorted(set(request.form))
        yield "".join([name + value for name, value in form])
        if len(dict(form)) < len(form):  # JavaScript sorts by UTF-16 code units.
            form.sort(key=lambda field: (field[0], _utf16(field[1])))
            yield "".join([name + value for name, value in form])


@lru_cache(maxsize=64)
def signed_bases(url: str) -> tuple[str, ...]:
    """Return the forms of a URL without its query that Twilio may have signed, the likeliest first."""
    match = _URL.fullmatch(url)
    if match is None:
        return (url,)
    scheme, user, host, port, path = match.groups()
    return f"{scheme}{user}{host}{path}", f"{scheme}{user}{host}{port or _default_port(scheme)}{path}"


def _signed_queries(query: str) -> Iterator[str]:
    """Yield the forms of a query, with its `?`, that Twilio may have signed, the likeliest first."""
    if not query:
        yield ""
        return
    yield f"?{query}"
    if len(query) > _SERIALIZED_MAX:
        return
    escaped = query.translate(_ESCAPED)
    serialized = _reserialized(escaped)
    if escaped != query:
        yield f"?{escaped}"
    if serialized not in {query, escaped}:
        yield f"?{serialized}"


def _default_port(scheme: str) -> str:
    return ":443" if scheme.lower() == "https://" else ":80"


def _reserialized(query: str) -> str:
    """Return a query as JavaScript's `querystring` parses and serializes it: the values of one name together."""
    values: dict[str, list[str]] = {}
    for name, value in _parameters(query):
        values.setdefault(name, []).append(value)
    return "&".join(
        f"{quote(name, safe=_UNESCAPED)}={quote(value, safe=_UNESCAPED)}" for name in values for value in values[name]
    )


def _parameters(text: str) -> list[tuple[str, str]]:
    """Return the names and values of a form or query (https://url.spec.whatwg.org/#urlencoded-parsing).

    Raises ValueError for more than 200.
    """
    if text.count("&") >= _FIELDS_MAX:
        raise ValueError("There are too many parameters.")
    pairs = [field.partition("=") for field in text.replace("+", " ").split("&") if field]
    return [
        (unquote(name) if "%" in name else name, unquote(value) if "%" in value else value) for name, _, value in pairs
    ]


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")
