"""Addresses of servers: which are accepted, and which belong to this machine."""

from __future__ import annotations

from ipaddress import ip_address

from yarl import URL

__all__ = ["is_loopback", "parse_origin", "parse_url"]


def parse_url(text: str) -> str:
    """Return the URL in normal form.

    It must be https, or http on a loopback address, since credentials or keys are sent to it. Raises ValueError with a
    message for the user.
    """
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if (
        url.scheme not in {"http", "https"}
        or not url.host
        or not all(url.host.split("."))
        or url.user is not None
        or url.fragment
    ):
        raise ValueError("must be an https address.")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError("must be an https address, since secrets must not be sent over plain http.")
    return str(url)


def parse_origin(text: str) -> str:
    """Return the origin (scheme, host and port) that `text` is; raises ValueError as `parse_url`, and for a path or query."""
    url = URL(parse_url(text))
    if url.path not in {"", "/"} or url.query_string:
        raise ValueError("must be an address such as https://conversations.twilio.com, with no path; /v1 is added.")
    return str(url.origin())


def is_loopback(host: str) -> bool:
    """Return whether `host` is `localhost` or a loopback address (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3)."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
