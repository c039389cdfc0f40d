"""What browsers are kept from doing on a page's behalf: cross-site reads without a preflight, and DNS rebinding.

A browser lets any page send a *simple* request anywhere, with the network position of the person who looks at the page
(https://fetch.spec.whatwg.org/#cors-safelisted-request-header). A POST of JSON is never simple; a GET may be.
"""

import re
from collections.abc import Container, Iterable, Mapping
from urllib.parse import urlsplit

from gateway.addresses import is_loopback
from gateway.errors import Forbidden
from gateway.web.request_headers import PREFLIGHT_PROOF

__all__ = ["SECURITY_HEADERS", "Origins", "check_get", "check_host"]

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer but a page carries; an answer to a GET may be kept instead (`gateway.web.caching`)."""

_SIMPLE_TYPES = {"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}


class Origins:
    """Sites whose pages may ask, as browsers write them in `Origin`; with `*` in place of a port, at any port."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Take the sites, such as `https://app.example.com` and `http://localhost:*`."""
        parts = [re.escape(origin).replace(r":\*", r"(:\d+)?") for origin in sorted(origins)]
        self.pattern = "|".join(parts)
        """A regular expression that is all of such an `Origin`."""
        self._whole = re.compile(self.pattern or r"(?!)")  # Without any, nothing matches.

    def __contains__(self, origin: object) -> bool:
        """Whether pages of that site may ask."""
        return isinstance(origin, str) and self._whole.fullmatch(origin) is not None


def check_get(headers: Mapping[str, str], origins: Container[str]) -> None:
    """Whether a GET may execute; raises `Forbidden` for one that another site's page may have sent without asking.

    `headers` have names in lower case; `origins` are those that may (`GATEWAY_CORS_ORIGINS`).
    """
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"} or headers.get("origin") in origins:
        return
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if PREFLIGHT_PROOF.isdisjoint(headers) and content_type in _SIMPLE_TYPES:
        raise Forbidden(
            "A GET from another site needs a header that makes the browser ask first, such as `Apollo-Require-Preflight`, "
            "or send the query by POST."
        )


def check_host(host: str | None) -> None:
    """Whether `Host` names this machine, for a server that asks for no tokens; raises `Forbidden`.

    A page whose own name was made to lead here would otherwise be of the same origin as the gateway.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        raise Forbidden("Without callers' tokens this gateway answers to 127.0.0.1, [::1] and localhost only.")
