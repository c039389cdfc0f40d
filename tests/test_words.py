"""The project speaks the field's language: private turns of phrase are counted in docstrings, messages and documentation.

A turn of phrase is private where it is understood only by who wrote it: it names no term of a specification or of a known
library, or it hides who does what. At most 3 are allowed per 1,000 words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import ROOT

MOST_PER_THOUSAND = 3.0

PHRASES: dict[str, tuple[str, str]] = {
    # What to say instead: the phrases, as a regular expression, and an example of one.
    "name who does it": (
        r"who(?:m|se)?ever|nobody|who asks|somebody|anyone (?:who|waits|asks|wants)",
        "Whoever asks gets it.",
    ),
    "report, notify, state, show": (
        r"told|tells? (?:of|how|what|why|nothing|more|apart|about|for|by)|(?:what|that) tells|spoken to|speaks? of",
        "It is told of errors.",
    ),
    "is cached, is fresh": (
        r"(?:still |not |be |is |are |was )good\b(?! (?:enough|practice|idea|default|choice|reason|example|fit))"
        r"|good (?:for|until|any ?more|longest)|at hand|(?:what|all|nothing|merely) (?:is |was |were |are )?known"
        r"|known (?:of|by then|from before)"
        r"|any ?more(?=[.,;:)]| to\b|$)|(?:is|are) believed",
        "It is what is known, and good for a minute.",
    ),
    "is available": (
        r"(?:to be|can be|could be|cannot be) had|what there (?:is|are|was|were)|that there are(?=[.,;:)]| in all|$)",
        "It is to be had.",
    ),
    "name the thing": (
        r"what (?:was|were|has been)"
        r"|what (?:is|are) (?!the\b|a\b|an\b|this\b|it\b|happening\b|required\b|expected\b|needed\b|returned\b)\w+"
        r"|what (?:of|else|stands|waits|comes|came|follows it)|nothing of|something of|some of an|of which (?:nothing|only)"
        r"|nothing came|came in time|as \w+ (?:has|have|takes?) (?:it|them)",
        "Keep what was read.",
    ),
    "result, outcome": (
        r"(?:what|has|have) (?:came|comes?|will come) of|came of|comes of|makes? of",
        "What came of it.",
    ),
    "count": (
        r"(?:for|at|in|after) so (?:long|many|much)|so many|how (?:many|much|long) there|seconds more|for how many",
        "At most so many.",
    ),
    "continue, end": (
        r"go(?:es)? on|went on|goes? round|goes by|come to (?:its|an|their) end|comes to (?:its|an|their) end"
        r"|to its end|on (?:its|their) way|to begin with|as it goes|as it went",
        "It comes to its end.",
    ),
    "again, a new one": (r"anew|afresh|once more|looks? again|asked again", "It is read anew."),
    "invalid, rejected, out of date": (
        r"found wanting|gives? way|no good|in vain|for want of|spoil(?:s|ed|t)?",
        "It was found wanting.",
    ),
    "pass, dispatch": (r"hand(?:s|ed|ing)? (?:\w+ )?over|pass(?:es|ed) over|comes? along", "It hands over the body."),
    "is, has, is at": (
        r"(?<!-)stand(?:s|ing)?\b(?!-)(?! (?:for\b(?! itself)|in for\b|out\b|up\b|alone\b|library|error|output|input))",
        "How it stands.",
    ),
    "alone, separately, its own": (
        r"(?:for|by) (?:itself|themselves|himself)|of (?:its|their|his) own|each for itself|(?:is|are|of) ours|theirs",
        "A loop of its own.",
    ),
    "immediately, synchronously": (
        r"on the spot|the (?:ordinary|short|usual) way|out of the ordinary|short way|there and then",
        "Answer on the spot.",
    ),
    "must, will": (r"(?:is|are|was|were) to be\b|(?:has|have) yet to", "It is to be read."),
    "start, release, allow": (
        r"lets? (?:it |them |others? |one )?(?:be|go|through|stand|have)\b|left alone",
        "Let it go.",
    ),
    "all": (
        r"in sum|all that (?:is|was|can|there)|at one time|the whole of|all of it|as it stands",
        "The status, in sum.",
    ),
    "request, is requested": (
        r"may ask\b|(?:is|are|was|were|be) asked\b(?! (?:to|whether))|asks? (?:of|more)|asked of",
        "Callers who may ask.",
    ),
    "expensive, expected": (r"dear(?:er|est)?\b|foresee\w*|foreseen|outlook|forecast", "It became dearer."),
    "execute, ensure": (
        r"carr(?:y|ies|ied) (?:\w+ ){1,3}out|sees? to it|under way|at work|puts? off|str(?:ikes?|uck)",
        "Carry it out.",
    ),
    "simulated, sandbox": (r"pretend(?:s|ed|ing)?(?: to)?|make-believe", "A pretend Twilio."),
    "invented, assumed": (r"made up\b(?! of)|taken to be|is taken for", "A value that was made up."),
    "is useful, pays off": (
        r"of (?:any |no )?use\b|any use|worth (?:a|asking|knowing|while)|(?:it|that) pays|will do\b(?! \w)",
        "Of no use.",
    ),
    "after": (
        r"behind (?!a\b|an\b|the (?:scenes|reverse|proxy|gateway|api|graph|schema)|proxies|nginx)\w+",
        "Return items behind this cursor.",
    ),
    "except, other than": (r"(?<!, )but for|otherwise than|all but", "All but one."),
    "learn, remember": (r"(?:is|was|were|been) learn(?:t|ed)|knows? (?:nothing|of|these|those)", "It was learnt."),
    "that is, in text": (r"in words|to the letter|own word|last word|leave word|now and then", "Say it in words."),
    "is not a": (r"(?<!there )is no (?!longer\b|more\b|such\b)\w+", "It is no endpoint."),
    "is expected, is unknown, is intended": (
        r"(?:is|are|was|were) (?:wanted|meant)\b(?! (?:to|for|as)\b)|(?:can|cannot|could) be told|said otherwise",
        "A schema is wanted.",
    ),
    "arrives": (r"as (?:it|they) comes?|comes? whole|whatever (?:comes|is)", "Send it as it comes."),
    "the field's noun": (
        r"the like|and such|stranger|client left|when it leaves|waiter leaves|is liked|liked better",
        "Names and the like.",
    ),
}
"""Phrases by what to say instead, each with an example; matched within word boundaries, whatever their case."""
CONSTRUCTOR = re.compile(r"\ATake (?!over\b|place\b|the place of\b|care\b|note\b|effect\b)", re.IGNORECASE)
"""A docstring that says what a function takes, instead of what it does or what the arguments are."""
_PATTERNS = {instead: re.compile(rf"\b(?:{phrases})(?!\w)", re.IGNORECASE) for instead, (phrases, _) in PHRASES.items()}

PLAIN = """
Return the decoded body of the response, or None if there is none. Raises ValueError for an invalid header.
Initialize the client with a base URL, a timeout in seconds and the maximum number of connections.
Whether redirects are followed. The default is False. If the size of the body is known, send Content-Length.
Start the server behind a reverse proxy, so that TLS is terminated there. This stands for the root path of the application.
Cache the value until it expires; a stale entry is served while it is revalidated in the background.
The connection pool reuses idle connections. When the pool is exhausted, requests wait for a free one.
Called when the client disconnects. All pending tasks are cancelled, and their exceptions are retrieved and logged.
It takes a callable with one argument, and passes the parsed document on to the next validation rule.
This is what the specification requires: an event stream is made up of UTF-8 encoded lines.
Each worker has its own event loop. Use it as an async context manager. The following example shows what the output looks like.
A good default for most deployments is 64. It is good practice to set an explicit limit. The standard library has no such type.
Read the file again if it has changed. Tell the server whether the connection may be kept alive.
Take note of the offset, and say that there are more. Take the place of the default handler.
Take over the socket of the parent process. Hand the request to the application and wait for its result.
Standard error receives one line per operation. The value depends on which headers the request has, and on their order.
The order of the results is the order of the keys. Entries are evicted when the cache is full, least recently used first.
There is no default. It is no longer needed, and there is no such file. The option is meant for tests.
Users are asked to confirm, and are asked whether they agree. For example, a node of the tree has at most two children.
""".strip().splitlines()
"""Ordinary technical English, which has no private turn of phrase."""


@dataclass(frozen=True)
class Text:
    """A docstring, a message, or a file of the documentation."""

    place: str
    room: str
    words: str
    is_docstring: bool = True

    @property
    def count(self) -> int:
        return len(self.words.split())

    def phrases(self) -> list[tuple[str, str]]:
        """Return each private turn of phrase in the text, and what to say instead."""
        found = [
            (match[0], instead) for instead, pattern in _PATTERNS.items() for match in pattern.finditer(self.words)
        ]
        if self.is_docstring and (match := CONSTRUCTOR.match(self.words)):
            found.append((match[0].strip(), "describe the arguments"))
        return found


def without_code(text: str) -> str:
    """Return a text without code blocks and code spans, its lines joined."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return " ".join(re.sub(r"`[^`]*`", "CODE", text).split())


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Yield the package's modules, parsed."""
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        if "node_modules" not in path.parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def docstring_nodes(module: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    yield statement.value


def text_at(path: Path, node: ast.expr, words: str, *, is_docstring: bool) -> Text:
    room = path.relative_to(ROOT / "gateway").parts[0].removesuffix(".py")
    return Text(f"{path.relative_to(ROOT)}:{node.lineno}", room, without_code(words), is_docstring)


def docstrings() -> Iterator[Text]:
    """Yield the docstrings of modules, classes, functions, attributes and constants."""
    for path, module in modules():
        for node in docstring_nodes(module):
            if isinstance(node.value, str):
                yield text_at(path, node, node.value, is_docstring=True)


def messages() -> Iterator[Text]:
    """Yield the other strings of three words or more: errors, help, descriptions of the schema."""
    for path, module in modules():
        seen = {id(node) for node in docstring_nodes(module)}
        for node in ast.walk(module):  # Outer nodes come first.
            if isinstance(node, ast.JoinedStr):
                seen |= {id(each) for each in node.values}
                words = "".join(str(each.value) if isinstance(each, ast.Constant) else "CODE" for each in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in seen:
                words = node.value
            else:
                continue
            if len(words.split()) >= 3:
                yield text_at(path, node, words, is_docstring=False)


def pages() -> Iterator[Text]:
    """Yield README and every topic of the documentation."""
    paths: list[Path] = [ROOT / "README.md", *sorted((ROOT / "gateway" / "docs").glob("*.md"))]
    paths += sorted((ROOT / ".github").glob("*.md"))
    for path in paths:
        yield Text(str(path.relative_to(ROOT)), path.stem, without_code(path.read_text(encoding="utf-8")), False)


def report(texts: list[Text]) -> tuple[float, str]:
    """Return the phrases per 1,000 words, and a report: the figures by room, worst first, then each place."""
    words: dict[str, int] = {}
    hits: dict[str, list[str]] = {}
    for text in texts:
        words[text.room] = words.get(text.room, 0) + text.count
        hits.setdefault(text.room, []).extend(
            f"  {text.place}: {phrase!r} (say: {instead})" for phrase, instead in text.phrases()
        )
    total = 1000 * sum(map(len, hits.values())) / sum(words.values())
    lines = [f"{total:.1f} private turns of phrase per 1,000 words"]
    for room in sorted(hits, key=lambda room: -len(hits[room])):
        if hits[room]:
            lines.append(f"{room}: {len(hits[room])}, {1000 * len(hits[room]) / words[room]:.1f} per 1,000")
            lines += hits[room]
    return total, "\n".join(lines)


def test_docstrings_have_few_private_turns_of_phrase() -> None:
    rate, lines = report(list(docstrings()))
    assert rate <= MOST_PER_THOUSAND, lines


def test_messages_have_few_private_turns_of_phrase() -> None:
    texts = list(messages())
    assert any("must be a number of seconds" in text.words for text in texts)  # A setting's error is among them.
    rate, lines = report(texts)
    assert rate <= MOST_PER_THOUSAND, lines


def test_the_documentation_has_few_private_turns_of_phrase() -> None:
    rate, lines = report(list(pages()))
    assert rate <= MOST_PER_THOUSAND, lines


@pytest.mark.parametrize("instead", PHRASES)
def test_each_kind_of_phrase_is_found(instead: str) -> None:
    _, example = PHRASES[instead]
    assert instead in {found for _, found in Text("", "", example).phrases()}


@pytest.mark.parametrize("sentence", PLAIN)
def test_plain_sentences_have_none(sentence: str) -> None:
    assert Text("", "", sentence).phrases() == []


def test_what_a_constructor_takes_is_found() -> None:
    assert Text("", "", "Take the client and its limits.").phrases() == [("Take", "describe the arguments")]
