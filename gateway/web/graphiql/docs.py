"""The documentation as web pages: Markdown rendered to HTML, without scripts and without requests to other hosts."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cached_property
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.docs import Topic, read_picture, read_topics
from gateway.web.browsers import SECURITY_HEADERS

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["DocPages", "anchor", "render"]

_STYLE = """
:root { color-scheme: light dark; --line: #d5dae1; --soft: #f4f6f8; --link: #0b57b7; --quiet: #5a6472 }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a424d; --soft: #20252c; --link: #83b6ff; --quiet: #a2adba }
}
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem 1.5rem 4rem }
body > div { display: grid; gap: 0 3rem; grid-template-columns: 11rem minmax(0, 1fr) }
a { color: var(--link) }
header { border-bottom: 1px solid var(--line); display: flex; gap: 1.5rem; padding-bottom: .6rem }
header strong { margin-right: auto }
nav ul { list-style: none; margin: 1.6rem 0; padding: 0; position: sticky; top: 1rem }
nav li { padding: .2rem 0 }
nav a { text-decoration: none }
nav [aria-current] { color: inherit; font-weight: 600 }
h1, h2, h3 { line-height: 1.25; margin: 1.8em 0 .6em }
h1 { margin-top: 1.4rem }
dt { font-weight: 600; margin-top: 1rem }
dd { color: var(--quiet); margin: 0 }
code { background: var(--soft); border-radius: 3px; font: .875em ui-monospace, Menlo, Consolas, monospace; padding: .1em .3em }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; padding: .8rem 1rem }
pre code { background: none; padding: 0 }
section { margin: 1rem 0; overflow-x: auto }
table { border-collapse: collapse; font-size: .94em }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .9rem .4rem 0; text-align: left; vertical-align: top }
td:first-child code { white-space: nowrap }
td code { overflow-wrap: break-word }
img { height: auto; max-width: 100% }
@media (max-width: 48rem) { body > div { display: block } nav ul { columns: 3; position: static } }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE_HEADERS = {**SECURITY_HEADERS, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
_PICTURE_HEADERS = {
    **_PAGE_HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_LINK = re.compile(r"([\w-]+)\.md(#[\w-]+)?")


class DocPages:
    """The pages below `/graphiql/docs`: a list of topics, a page per topic, and the pictures in them."""

    @property
    def routes(self) -> list[Route]:
        """The routes. Links are relative, so that any path prefix works."""
        return [Route("/graphiql/docs", self.contents), Route("/graphiql/docs/{name}", self.topic)]

    @cached_property
    def _topics(self) -> dict[str, Topic]:
        return read_topics()

    async def contents(self, request: Request) -> Response:
        """Return the list of topics."""
        entries = "".join(
            f'<dt><a href="docs/{topic.name}">{escape(topic.title)}</a></dt><dd>{escape(topic.summary)}</dd>'
            for topic in self._topics.values()
        )
        return self._page("Documentation", f"<h1>Documentation</h1><dl>{entries}</dl>", "", "docs/")

    async def topic(self, request: Request) -> Response:
        """Return the page of a topic, or a picture; raises HTTPException 404 for other names."""
        name = request.path_params["name"]
        if name in self._topics:
            topic = self._topics[name]
            return self._page(topic.title, await to_thread.run_sync(render, topic.text), name, "")
        picture = read_picture(name)
        if picture is None:
            raise HTTPException(404)
        return Response(picture, headers=_PICTURE_HEADERS, media_type="image/svg+xml")

    def _page(self, title: str, content: str, current: str, base: str) -> Response:
        links = "".join(
            f'<li><a href="{base}{topic.name}"{" aria-current=page" if topic.name == current else ""}>'
            f"{escape(topic.title)}</a></li>"
            for topic in self._topics.values()
        )
        up = "../" if base else "../../"
        page = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · receipts-gateway</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
<header><strong>receipts-gateway</strong><a href="{up}graphiql/docs">Docs</a><a href="{up}graphiql">GraphiQL</a></header>
<div>
<nav><ul>{links}</ul></nav>
<main>
{content}
</main>
</div>
</html>
"""
        return HTMLResponse(page, headers=_PAGE_HEADERS)


def render(text: str) -> str:
    """Return Markdown as HTML: headings with anchors, links to other topics relative to their pages."""
    from markdown_it import MarkdownIt  # Few processes serve a page of these; the others need not load it.

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(_plain(tokens[position + 1])))
        for child in token.children or []:
            target = child.attrGet("href")
            if isinstance(target, str) and (link := _LINK.fullmatch(target)):
                child.attrSet("href", f"{link[1]}{link[2] or ''}")
    html = str(markdown.renderer.render(tokens, markdown.options, {}))
    return html.replace("<table>", "<section><table>").replace("</table>", "</table></section>")


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or [])
