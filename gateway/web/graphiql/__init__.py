"""GraphiQL: the page and its bundle, served from the package, and the values that are inserted into the page.

The bundle is built from `page/` when the package is built; see `page/hatch_build.py`. Nothing is loaded from other hosts.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from operator import itemgetter
from pathlib import Path

import msgspec
from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.execution.inputs import declared_variables
from gateway.web.browsers import SECURITY_HEADERS
from gateway.web.compression import accepts_gzip
from gateway.web.graphiql.docs import DocPages

__all__ = ["BUNDLE", "Graphiql", "SourcesOfChanges", "opening_tabs"]

BUNDLE = Path(__file__).parent / "dist"
"""The directory that the build writes the bundle to."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data:; worker-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {**SECURITY_HEADERS, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
_ASSET_HEADERS = {
    **_PAGE_HEADERS,  # A worker has the policy of its own file's response.
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
}
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".ttf": "font/ttf"}
_FACTS = '<script id="facts" type="application/json">{}</script>'
_TWILIO = "https://conversations.twilio.com"
_USER = "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"


class SourcesOfChanges(msgspec.Struct, frozen=True, rename="camel"):
    """How the gateway learns of changes, for the panel "Deliveries"."""

    webhooks: bool = False
    """Whether it receives webhooks."""
    subscriptions: bool = True
    """Whether it serves subscriptions."""
    poll_seconds: int | None = None
    """Between polls of the conversations that a subscription names; None if they are not polled."""
    note: str | None = None
    """Where webhooks come from, in a sentence that may have `code`; None for how to configure them."""


_NO_SOURCES = SourcesOfChanges()


class Graphiql:
    """The routes of the page and its files."""

    def __init__(
        self,
        values: Mapping[str, str] | None = None,
        *,
        origin: str | None = None,
        user: str = _USER,
        changes: SourcesOfChanges = _NO_SOURCES,
        bundle: Path = BUNDLE,
    ) -> None:
        """Create the page.

        `values` are by the names of variables in the opening tabs. Calls copied as curl go to `origin`, by default Twilio's,
        as `user`, `name:secret`: the names of environment variables, or credentials that anyone may see. `changes` is what
        its panel "Deliveries" says.
        """
        self._assets = {path.name.removesuffix(".gz"): path for path in bundle.glob("graphiql/*.gz")}
        index = bundle / "index.html"
        if index.is_file() and self._assets:
            facts = json.dumps(
                {
                    "tabs": opening_tabs(values or {}),
                    "upstream": f"{origin or _TWILIO}/v1",
                    "user": user,
                    "changes": msgspec.to_builtins(changes),
                }
            )
            facts = facts.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
            page = index.read_text(encoding="utf-8").replace(_FACTS, _FACTS.replace("{}", facts))
        else:
            page = _not_built(bundle)
        self._page = page

    @property
    def routes(self) -> list[Route]:
        """The routes. The page has relative URLs, so that it works below any prefix."""
        return [Route("/graphiql", self.page), *DocPages().routes, Route("/graphiql/{name}", self.asset)]

    async def page(self, request: Request) -> Response:
        """Reply with the page; without a bundle, with how to build it."""
        return HTMLResponse(self._page, headers=_PAGE_HEADERS)

    async def asset(self, request: Request) -> Response:
        """Reply with one of its files, whose name has a hash of its content."""
        path = self._assets.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        content, headers = await to_thread.run_sync(path.read_bytes), _ASSET_HEADERS
        if accepts_gzip(request.headers.get("accept-encoding")):
            headers = {**headers, "Content-Encoding": "gzip"}
        else:
            content = await to_thread.run_sync(gzip.decompress, content)
        return Response(content, headers=headers, media_type=_MEDIA_TYPES.get(path.with_suffix("").suffix))


def opening_tabs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the examples as the page's tabs, first the one that needs no further values.

    A required variable has its value in `values`, or an empty string to fill in.
    """
    tabs = []
    for example in files("gateway.examples").iterdir():
        if not example.name.endswith(".graphql"):
            continue
        document = example.read_text(encoding="utf-8")
        given = {name: values.get(name, "") for name, needed in declared_variables(document).items() if needed}
        tab = {"query": document, "variables": json.dumps(given, indent=2) if given else ""}
        tabs.append((not all(given.values()), example.name != "thread.graphql", example.name, tab))
    return [tab for *_, tab in sorted(tabs, key=itemgetter(0, 1, 2))]


def _not_built(bundle: Path) -> str:
    try:
        reason = (bundle / "why-not.txt").read_text(encoding="utf-8").strip()
    except OSError:
        reason = "The package was built without it."
    return f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>GraphiQL is not here</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 4rem auto; max-width: 40rem; padding: 0 1rem }}</style>
<h1>GraphiQL is not here</h1>
<p>{escape(reason)}</p>
<p>It is built when the package is installed from its sources, with Node.js 20.19 or later and access to the npm registry,
or a mirror of it. Install it again where both are available:</p>
<pre>pip install --force-reinstall --no-deps .</pre>
<p>or install a wheel that was built there. GraphQL itself is served, at <code>graphql</code> beside this page: any GraphQL
client works, and so does <code>receipts-gateway query</code>. <a href="graphiql/docs">The documentation is here.</a></p>
</html>
"""
