"""Each topic has a title and a purpose; its links resolve as a file, in the command and as a served page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin
from zipfile import ZipFile

import aiohttp
import pytest
from click.testing import CliRunner
from playwright.async_api import Browser, expect

from gateway.app import create_app
from gateway.cli import main
from gateway.demo import settings_for
from gateway.docs import read_topics
from gateway.sandbox import Sandbox
from gateway.web.graphiql.docs import anchor
from gateway.web.server import serving

from .blocks import DOCS, FILES, all_blocks, read

TOPICS = [name for name in FILES if name != "README"]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(name: str) -> list[str]:
    text = read(name)
    for block in all_blocks(name):
        text = text.replace(block.text, "")
    return [anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_begins_with_its_title_and_one_sentence(name: str) -> None:
    topic = read_topics()[name]
    assert topic.text == read(name)
    assert topic.text.startswith("# ")
    assert re.fullmatch(r"(How|Which|What|Where|A) [^.\[]+\.", topic.summary), topic.summary


@pytest.mark.parametrize("name", TOPICS)
def test_links_resolve_as_files_and_in_the_command(name: str) -> None:
    for link in links(read(name)):
        if link.startswith("https://"):
            continue
        file, _, fragment = link.partition("#")
        target = Path(file).stem or name
        assert (DOCS / (file or f"{name}.md")).is_file(), f"{name}: {link}"
        assert not fragment or fragment in anchors(target), f"{name}: {link}"
        if file.endswith(".md"):
            assert CliRunner().invoke(main, ["docs", link]).stdout == read(target)


def test_the_command_lists_the_topics() -> None:
    result = CliRunner().invoke(main, ["docs"])
    assert result.exit_code == 0
    listed = [line.split(maxsplit=1) for line in result.output.splitlines()]
    assert listed == [[topic.name, topic.summary] for topic in read_topics().values()]
    assert [name for name, _ in listed] == TOPICS


def test_the_command_names_the_topics_when_there_is_none_of_that_name() -> None:
    result = CliRunner().invoke(main, ["docs", "eror"])
    assert result.exit_code == 2
    assert "There is no topic 'eror'." in result.output
    assert all(name in result.output for name in TOPICS)


class Page(HTMLParser):
    """A served page: its title, links, pictures, anchors, and anything that a strict policy would block."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.anchors: set[str] = set()
        self.blocked: list[str] = []
        self._in_title = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in_title = tag == "title"
        if tag == "a":
            self.links.append(values["href"] or "")
        elif tag == "img":
            self.pictures.append(values["src"] or "")
        if values.get("id"):
            self.anchors.add(values["id"] or "")
        if (
            tag in {"script", "iframe", "form"}
            or values.get("rel") == "stylesheet"
            or "style" in values
            or any(name.startswith("on") for name in values)
        ):
            self.blocked.append(tag)

    def handle_data(self, data: str) -> None:
        self.title += data if self._in_title else ""

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async with Sandbox() as sandbox, serving(create_app(settings_for(sandbox))) as base:
        yield base


async def get(http: aiohttp.ClientSession, url: str) -> tuple[str, Page]:
    async with http.get(url) as response:
        assert response.status == 200, url
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        if "/docs" in url:
            assert "script-src" not in policy
            assert "unsafe" not in policy or url.endswith(".svg")
        text = await response.text()
        return text, Page(text)


async def test_every_topic_is_served_and_its_links_resolve(site: str, http: aiohttp.ClientSession) -> None:
    contents, _ = await get(http, f"{site}/graphiql/docs")
    targets: dict[str, Page] = {}
    for topic in read_topics().values():
        assert f'<a href="docs/{topic.name}">{topic.title}</a>' in contents
        url = f"{site}/graphiql/docs/{topic.name}"
        text, page = await get(http, url)
        assert page.title == f"{topic.title} · receipts-gateway"
        assert f'<h1 id="{anchor(topic.title)}">{topic.title}</h1>' in text
        assert page.blocked == []
        assert "](" not in re.sub(r"<code.*?</code>", "", text, flags=re.DOTALL)
        assert len(re.findall("<pre>", text)) == len(all_blocks(topic.name))
        for link in page.links:
            if not link.startswith("https://"):
                target, _, fragment = urljoin(url, link).partition("#")
                if target not in targets:
                    targets[target] = (await get(http, target))[1]
                assert not fragment or fragment in targets[target].anchors, f"{topic.name}: {link}"
        for picture in page.pictures:
            assert (await get(http, urljoin(url, picture)))[0].startswith("<svg ")


async def test_graphiql_leads_to_pages_that_a_browser_shows_without_complaint(browser: Browser, site: str) -> None:
    complaints: list[str] = []
    context = await browser.new_context()
    page = await context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    await page.goto(f"{site}/graphiql")
    await page.get_by_role("link", name="Docs").click()
    for name in TOPICS:
        await page.get_by_role("navigation").get_by_role("link", name=read_topics()[name].title, exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(read_topics()[name].title)
    await page.get_by_role("link", name="Architecture").click()
    assert await page.get_by_role("img").evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 100
    await context.close()
    assert complaints == []


async def test_nothing_else_is_served(site: str, http: aiohttp.ClientSession) -> None:
    for name in ("eror", "__init__.py", "clients.md", "..%2F__init__.py"):
        async with http.get(f"{site}/graphiql/docs/{name}") as response:
            assert response.status == 404, name


async def test_pages_are_gone_with_graphiql(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    async with (
        serving(create_app(replace(settings_for(sandbox), graphiql=False))) as base,
        http.get(f"{base}/graphiql/docs") as response,
    ):
        assert response.status == 404


def test_the_documentation_is_in_the_wheel(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {f"gateway/docs/{path.name}" for path in DOCS.iterdir() if path.suffix in {".md", ".svg"}} <= names
