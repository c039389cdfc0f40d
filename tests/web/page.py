"""What the tests of GraphiQL share: a page in a real browser, and applications to look at in it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page, Request, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import create_app
from gateway.demo import known_variables, settings_for
from gateway.sandbox import Sandbox

__all__ = ["RUN", "Visit", "answering", "below", "demo", "looking"]

RUN = ".graphiql-execute-button"
WORKERS_SECONDS = 20
NOTE_VIOLATIONS = """
globalThis.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Visit:
    """A page that is looked at, what it asked for, and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    """Parts of complaints that are no fault, whenever they come: some of them after a test's last line."""
    finished: list[Request] = field(default_factory=list)

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await expect(self.page.locator(".graphiql-query-editor .view-line").first).to_be_visible()

    async def run(self) -> None:
        # Until the request is sent, the status is that of an earlier run.
        async with self.page.expect_request(lambda request: "x-gateway-trace" in request.headers):
            await self.page.locator(RUN).click()
        await expect(self.page.get_by_test_id("status")).to_contain_text(re.compile(r"Last run (?!none|running)"))

    async def figure(self, panel: str, name: str) -> str:
        return await self.page.get_by_test_id(panel).locator(f"[data-figure={name}]").inner_text()

    @property
    def faults(self) -> list[str]:
        """The complaints, but for those that are accepted."""
        return [said for said in self.complaints if not any(part in said for part in self.accepted)]

    def accept_refusals(self) -> None:
        """Accept that the browser logs each 401."""
        self.accepted.append("401")

    async def show(self, panel: str) -> None:
        await self.page.get_by_test_id("status").get_by_role("button", name=re.compile(panel)).click()

    async def has_workers(self, *names: str) -> None:
        """Wait until the page has these workers, each of which starts when it is needed, and no others."""
        async with asyncio.timeout(WORKERS_SECONDS):
            while {worker.url.rpartition("/")[2].partition("-")[0] for worker in self.page.workers} != {*names}:
                await self.page.wait_for_event("worker")

    async def write(self, editor: str, text: str) -> None:
        await self.page.locator(f"{editor} .monaco-editor >> visible=true").first.click()
        await self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.press("Control+V")  # Typed, each bracket would bring its other half.


@asynccontextmanager
async def looking(browser: Browser, base: str, *, scheme: str = "light") -> AsyncIterator[Visit]:
    """A visit that ends well: nothing asked of others, no breach of the policy, no error in the console."""
    context = await browser.new_context(
        viewport={"width": 1366, "height": 768},
        color_scheme=scheme,  # type: ignore[arg-type]
        permissions=["clipboard-read", "clipboard-write"],
    )
    await context.add_init_script(NOTE_VIOLATIONS)
    visit = Visit(await context.new_page())

    context.on("request", lambda request: visit.requests.append(request.url))
    context.on("requestfinished", lambda request: visit.finished.append(request))
    context.on(
        "console",
        lambda said: visit.complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    context.on("weberror", lambda error: visit.complaints.append(str(error.error)))
    try:
        yield visit
        assert await visit.page.evaluate("violations") == []
        assert not visit.faults, visit.faults
        assert [url for url in visit.requests if not url.startswith((f"{base}/", "data:", "blob:"))] == []
    finally:
        await context.close()


def demo(sandbox: Sandbox) -> ASGIApp:
    return create_app(settings_for(sandbox), graphiql_variables=known_variables(sandbox.landmarks))


def below(prefix: str, app: ASGIApp) -> ASGIApp:
    """The application as behind a proxy that serves it below a prefix, and nothing else."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            inside = scope["path"].startswith(prefix + "/")
            path = scope["path"][len(prefix) :] if inside else "/outside"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return proxy


def answering(app: ASGIApp, answer: dict[str, Any]) -> ASGIApp:
    """The application, whose operations all have the same answer; dry runs and introspection have their own."""

    async def with_answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_run = scope["type"] == "http" and (b"x-gateway-trace", b"1") in scope["headers"]
        if not is_run:
            await app(scope, receive, send)
            return
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return with_answer
