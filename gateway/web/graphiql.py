"""GraphiQL, the page for exploring the graph: Strawberry's own, which takes its scripts from a CDN."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

__all__ = ["graphiql"]

_ITS_ENDPOINT = 'window.location.href.split("?")[0]'
_OUR_ENDPOINT = 'new URL("graphql", window.location.href).href'


async def graphiql(request: Request) -> Response:
    """The page. It asks the endpoint beside it, where Strawberry's asks its own address."""
    page = files("strawberry").joinpath("static", "graphiql.html").read_text(encoding="utf-8")
    page = page.replace(_ITS_ENDPOINT, _OUR_ENDPOINT)
    return HTMLResponse(page)
