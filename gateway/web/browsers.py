"""Protection against attacks by web pages: cross-site requests without a preflight, and DNS rebinding.

A browser lets every page send a *simple* request to any host, from the network of the person who views the page
(https://fetch.spec.whatwg.org/#cors-safelisted-request-header). A POST of JSON is never simple; a GET may be.
"""

import re
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from gateway.addresses import is_loopback
from gateway.errors import Forbidden
from gateway.web.request_headers import PREFLIGHT_PROOF

__all__ = ["SECURITY_HEADERS", "Origins", "check_get", "check_host", "check_origin"]

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The headers of every response but a page. The answer to a GET may be cacheable instead (`gateway.web.caching`)."""

_SIMPLE_TYPES = {"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}


class Origins:
    """The origins whose pages may send requests, as browsers write them in `Origin`. The port `*` means any port."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Create the set of origins, such as `https://app.example.com` and `http://localhost:*`."""
        parts = [re.escape(origin).replace(r":\*", r"(:\d+)?") for origin in sorted(origins)]
        self.pattern = "|".join(parts)
        """A regular expression that matches each whole origin."""
        self._regex = re.compile(self.pattern or r"(?!)")  # Without origins, nothing matches.

    def __contains__(self, origin: object) -> bool:
        """Return whether pages of that origin may send requests."""
        return isinstance(origin, str) and self._regex.fullmatch(origin) is not None


def check_get(headers: Mapping[str, str], origins: Container[str]) -> None:
    """Raise `Forbidden` for a GET that another site's page may have sent without a preflight.

    `headers` have names in lower case; `origins` are those of `GATEWAY_CORS_ORIGINS`, whose pages may.
    """
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"} or headers.get("origin") in origins:
        return
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if PREFLIGHT_PROOF.isdisjoint(headers) and content_type in _SIMPLE_TYPES:
        raise Forbidden(
            "A GET from another site needs a header that makes the browser ask first, such as `Apollo-Require-Preflight`, "
            "or send the query by POST."
        )


def check_origin(headers: Mapping[str, str], origins: Container[str]) -> None:
    """Raise `Forbidden` for a request that a page of another site sends, unless it is one of `origins`.

    For what CORS does not protect, and for protocols that demand it. Other clients than browsers send no `Origin`.
    """
    origin = headers.get("origin")
    if origin is None or origin in origins:
        return
    try:
        site = urlsplit(origin)
    except ValueError:
        site = urlsplit("")
    if not site.netloc or site.netloc.lower() != headers.get("host", "").lower():
        raise Forbidden("Pages of this origin may not connect here: add it to GATEWAY_CORS_ORIGINS.")


@lru_cache(maxsize=64)  # Of accepted hosts alone: an exception is not cached.
def check_host(host: str | None) -> None:
    """Raise `Forbidden` unless `Host` names this machine. For a server that requires no token.

    Otherwise a page whose host name resolves to this machine (DNS rebinding) would have the gateway's own origin.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        raise Forbidden("Without callers' tokens this gateway answers to 127.0.0.1, [::1] and localhost only.")
