"""GraphQL literals in JavaScript and TypeScript: those tagged `gql` or `graphql`, or marked with `/* GraphQL */`.

tree-sitter (https://tree-sitter.github.io/tree-sitter/) separates comments, strings, templates, regular expressions and JSX
text from code. Tags are looked for in the code, and followed to the literal that comes after them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING
from typing import Literal as OneOf

from gateway.contract import CheckError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Query

__all__ = [
    "TAGS",
    "IncludedVariable",
    "Literal",
    "Script",
    "SyntaxProblem",
    "find_literals",
    "mentions_tags",
    "parse_javascript",
]

TAGS = frozenset({"gql", "graphql"})

_GRAMMARS = {"js": ("javascript", "tsx"), "ts": ("typescript", "tsx"), "tsx": ("tsx", "javascript")}
"""The grammars to try for a language, in order; a `.js` file may have type annotations."""

_CLIENTS = re.compile(
    r"(?:@apollo/|@graphql-typed|@urql/|@vue/apollo|apollo-|babel-plugin-relay|gql\.tada|graphql-request|graphql-tag"
    r"|graphql\.macro|react-apollo|react-relay|relay-runtime|urql)"
)
"""Packages whose default export and whose namespace's `gql` and `graphql` are tags."""
_NOT_CLIENTS = frozenset({"@octokit/graphql", "gatsby", "graphql"})
"""Packages whose `graphql` is for another server, or no tag."""

_MAGIC_COMMENT = re.compile(r"/\*\s*+graphql\s*+\*/", re.IGNORECASE)
_MARK = re.compile(r"/\*\s*+graphql\s*+\*/|`(?=#graphql)", re.IGNORECASE)
_RENAMING = re.compile(
    r"(?:gql|graphql|default)(?=\s)\s*+as\s|(?:gql|graphql)\s*+:|\*\s*+as\s|[\"'](?:graphql-tag|graphql\.macro|babel-plugin-relay)"
)
_SPACE = re.compile(r"[\s\ufeff]*+")
_LINE = re.compile(r"//[^\n\r\u2028\u2029]*+")
_BEFORE = 200
"""Characters before a tag that may show it to be none: a dot, a comment, a keyword."""
_TYPES_MAX = 5000
"""Characters of type arguments between a tag and its literal."""
_IN_TYPES = re.compile(r"=>|[<>(){}\[\];`'\"/]")
_BRACKETS = {"<": ">", "(": ")", "{": "}", "[": "]"}
_TYPES_BEFORE_TEMPLATE = re.compile(r"[\w$)](<\{[^{}<>`]{0,2000}+\}>)(?=`)")
"""Type arguments that are one object type, as of styled components."""
_AMPERSAND = re.compile(r"(?<!&)&(?![&=])")
_WORD_BEFORE = re.compile(r"(?<![\w$])[\w$]++\Z")
_DECLARATION = re.compile(r"(?<![\w$.])(?:const|let|var)\s++([\w$]++)")
_VARIABLE = re.compile(r"([\w$]++)(?:\s*+\.\s*+([\w$]++))?")
_LIST = re.compile(r",\s*+\[([\w$,.\s]{0,5000}+)\]")


@dataclass(frozen=True, slots=True)
class IncludedVariable:
    """A variable that a literal includes."""

    name: str
    """Its name in the file, or in the module that exports it."""
    module: str | None = None
    """The module it is imported from; None for a variable of the file itself."""


@dataclass(frozen=True, slots=True)
class Literal:
    """The text of one literal, escape sequences resolved, and each `${…}` replaced by as many blanks."""

    text: str
    mappings: tuple[tuple[int, int], ...]
    """An offset in the text with its offset in the source: the beginning, and after each escape sequence."""
    substitutions: tuple[int, ...]
    """Offsets in the text of each replaced `${…}`."""
    tag: str | None = None
    """`gql` or `graphql`, whatever its name is in this file; None for a literal with a comment."""
    module: str | None = None
    """The module that the tag is imported from."""
    is_call: bool = False
    """Whether it is an argument of the tag, and not its template."""
    name: str | None = None
    """The variable to which it is assigned."""
    included: tuple[IncludedVariable | None, ...] = ()
    """The variables in `${…}` and in the list after the literal, in order; None for another expression."""
    has_list: bool = False
    """Whether a list of fragments follows, as in `graphql(`…`, [Row])`."""


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A tag whose literal could not be read, because of a syntax error in the file."""

    offset: int
    message: str


@dataclass(frozen=True, slots=True)
class Script:
    """The literals in one source, and the errors that hide others."""

    literals: list[Literal]
    """In the order in which they end."""
    problems: list[SyntaxProblem] = field(default_factory=list)
    syntax_error: int | None = None
    """The offset of the first syntax error."""
    other_modules: frozenset[str] = frozenset()
    """Packages for other servers whose literals were ignored."""


def find_literals(source: str, *, language: OneOf["js", "ts", "tsx"], tags: Iterable[str] = frozenset()) -> Script:
    """Find the literals that hold GraphQL, tagged with the names in TAGS, in `tags`, or with those that imports give them.

    Raises `CheckError` if tree-sitter is not installed.
    """
    if not mentions_tags(source, tags):
        return Script([])
    names = TAGS | frozenset(tags)
    if not _may_hold_literals(source, names):
        return Script([])
    best: Script | None = None
    for grammar in _GRAMMARS[language]:
        scan = _Scan(source, grammar, names)
        script = scan.run()
        if script.syntax_error is not None:
            again = _Scan(_without_refused_syntax(source, scan.type_arguments), grammar, names, source).run()
            script = min(again, script, key=lambda each: (each.syntax_error is not None, len(each.problems)))
        if best is None or script.syntax_error is None or len(script.problems) < len(best.problems):
            best = script
        if best.syntax_error is None:
            break
    assert best is not None
    return best


def parse_javascript(source: bytes) -> Node:
    """Return the root of a script's syntax tree; raises `CheckError` if tree-sitter is not installed."""
    return _parser("javascript")[0].parse(source).root_node


def mentions_tags(source: str, tags: Iterable[str] = frozenset()) -> bool:
    """Whether a source can hold GraphQL: whether a name of a tag is anywhere in it."""
    return _any_of(TAGS | frozenset(tags), re.IGNORECASE, whole=False).search(source) is not None


def _may_hold_literals(source: str, names: frozenset[str]) -> bool:
    """Whether a literal seems to follow a tag or a mark, or an import may give a tag another name."""
    if _MARK.search(source) or _RENAMING.search(source):
        return True
    return any(source[(at := _after_gap(source, end)) : at + 1] in {"`", "(", "<"} for _, end in _tags(source, names))


def _tags(source: str, names: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield where names of tags are, in code or not."""
    for match in _any_of(names).finditer(source):
        before = source[match.start() - 1 : match.start()]
        if not (before.isalnum() or before in {"_", "$"}):
            yield match.span()


def _after_gap(source: str, at: int) -> int:
    """Skip blanks and comments."""
    while True:
        space = _SPACE.match(source, at)
        assert space is not None
        at = space.end()
        if source.startswith("//", at):
            line = _LINE.match(source, at)
            assert line is not None
            at = line.end()
        elif source.startswith("/*", at):
            end = source.find("*/", at + 2)
            at = end + 2 if end >= 0 else len(source)
        else:
            return at


def _opening(source: str, at: int) -> int | None:
    """Return where a literal seems to begin, by the text alone: a template, or an argument of a call."""
    marks = "`"
    while source.startswith("(", at):
        marks = "`'\""
        at = _after_gap(source, at + 1)
    return at if at < len(source) and source[at] in marks else None


@cache
def _any_of(names: frozenset[str], flags: int = 0, *, whole: bool = True) -> re.Pattern[str]:
    choice = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?:{choice})(?![\w$])" if whole else choice, flags)


@cache
def _parser(grammar: str) -> tuple[Parser, dict[str, Query]]:
    """Return the parser of a grammar, and queries: for everything that is not code, for imports and for `require`."""
    try:
        import tree_sitter
        import tree_sitter_javascript
        import tree_sitter_typescript
    except ImportError:
        raise CheckError(
            "Reading JavaScript and TypeScript needs a parser: pip install 'receipts-gateway[operations]'."
        ) from None
    languages = {
        "javascript": tree_sitter_javascript.language,
        "typescript": tree_sitter_typescript.language_typescript,
        "tsx": tree_sitter_typescript.language_tsx,
    }
    language = tree_sitter.Language(languages[grammar]())
    kinds = ["comment", "html_comment", "string", "template_string", "template_substitution", "regex", "hash_bang_line"]
    kinds += ["jsx_text"] if grammar != "typescript" else []
    kinds += ["template_literal_type"] if grammar != "javascript" else []
    parts = " ".join(f"({kind})" for kind in kinds)
    queries = {
        "parts": f"[{parts}] @part [(ERROR) (MISSING)] @error",
        "imports": "(import_statement) @import",
        "requires": "(variable_declarator name: (_) @name value: (call_expression function: (identifier) @function"
        ' arguments: (arguments . (string) @module)) (#eq? @function "require"))',
    }
    return tree_sitter.Parser(language), {name: tree_sitter.Query(language, text) for name, text in queries.items()}


@dataclass(slots=True)
class _Part:
    """A node that is not code, or the code of a `${…}`."""

    kind: str
    start: int
    end: int
    parent: _Part | None
    node: Node


class _Scan:
    """The search of one source, parsed with one grammar."""

    def __init__(self, source: str, grammar: str, names: frozenset[str], text: str | None = None) -> None:
        """Parse a source; `text` is what it stands for, if it is a variant that the grammar accepts."""
        parser, queries = _parser(grammar)
        from tree_sitter import QueryCursor

        self._source = source
        self._text = source if text is None else text
        self._modules = dict[str, str]()
        """The module of each imported tag."""
        self._imported = dict[str, IncludedVariable]()
        """Each imported name, as its module exports it."""
        self._original = {name: name for name in names}
        """The tag of each name, such as `gql` of `query` after `import { gql as query }`."""
        self._namespaces = dict[str, str]()
        self._others: set[str] = set()
        self._type_ends: dict[int, int | None] = {}
        self.type_arguments: list[tuple[int, int]] = []
        """Where those between tags and literals are: the grammars refuse some before a template."""
        data = source.encode()
        root = parser.parse(data).root_node
        imports = QueryCursor(queries["imports"])
        imports.set_max_start_depth(1)
        for node in imports.captures(root).get("import", ()):
            self._import(node)
        if "require" in source:
            captures = QueryCursor(queries["requires"]).captures(root)
            for name, module in zip(captures.get("name", ()), captures.get("module", ()), strict=True):
                self._require(name, _text(module)[1:-1])
        self._tags = list(_tags(source, frozenset(self._original)))
        cursor = QueryCursor(queries["parts"])
        nodes: dict[tuple[int, int, str], Node] = {}
        errors: list[int] = []
        for low, high in [(0, len(data))] if root.has_error else _byte_offsets(source, data, self._ranges()):
            cursor.set_byte_range(low, high)
            captures = cursor.captures(root)
            nodes |= {(each.start_byte, -each.end_byte, each.type): each for each in captures.get("part", ())}
            errors += [each.start_byte for each in captures.get("error", ())]
        if root.has_error and not errors:
            errors.append(root.start_byte)
        spans = sorted(nodes)
        offsets = _character_offsets(data, {*errors, *(at for start, end, _ in spans for at in (start, -end))})
        self._data = data
        self._parts = _nested(
            (kind, offsets[start], offsets[-end], nodes[start, end, kind]) for start, end, kind in spans
        )
        self._starts = [part.start for part in self._parts]
        self._by_start = {part.start: part for part in self._parts if part.kind != "template_substitution"}
        self._error = min((offsets[each] for each in errors), default=None)

    def run(self) -> Script:
        found: dict[int, tuple[str | None, str | None, bool, int]] = {}
        problems: list[SyntaxProblem] = []
        line = self._source.count("\n", 0, self._error or 0) + 1
        hidden = (
            f"a syntax error at line {line} of the file: a template, a string or a regular expression may have no end."
        )
        for start, end in self._tags:
            name = self._source[start:end]
            part = self._around(start)
            if part is None or part.kind == "template_substitution":
                module = self._module(name, start)
                literal = self._literal_after(end) if module is not None else None
                if literal is not None and module in _NOT_CLIENTS:
                    self._others.add(module)
                elif literal is not None:
                    at, is_call = literal
                    found[at] = (self._original[name], module or None, is_call, start)
                if literal is not None or module is None:
                    continue
            elif "comment" in part.kind:
                continue
            if self._error is not None and self._hides_literal(part, end):
                problems.append(SyntaxProblem(start, f"The document after {name} cannot be read, because of {hidden}"))
        for part in self._parts:
            if part.kind == "comment" and _MAGIC_COMMENT.fullmatch(self._source, part.start, part.end):
                at = _after_gap(self._source, part.end)
                if at in self._by_start and self._by_start[at].kind in {"string", "template_string"}:
                    found.setdefault(at, (None, None, False, part.start))
            elif part.kind == "template_string" and self._source.startswith("#graphql", part.start + 1):
                found.setdefault(part.start, (None, None, False, part.start))
        literals = sorted((self._by_start[at].end, at) for at in found)
        return Script(
            [self._literal(self._by_start[at], *found[at]) for _, at in literals],
            problems,
            self._error,
            frozenset(self._others),
        )

    def _import(self, node: Node) -> None:
        source = node.child_by_field_name("source")
        clause = next((each for each in node.named_children if each.type == "import_clause"), None)
        if source is None or clause is None:
            return
        module = _text(source)[1:-1]
        for child in clause.named_children:
            if child.type == "identifier":
                self._bind("default", _text(child), module)
            elif child.type == "namespace_import" and child.named_children:
                self._namespaces[_text(child.named_children[-1])] = module
            for each in child.named_children if child.type == "named_imports" else ():
                name, alias = each.child_by_field_name("name"), each.child_by_field_name("alias")
                if name is not None:
                    self._bind(_text(name), _text(alias or name), module)

    def _require(self, pattern: Node, module: str) -> None:
        if pattern.type == "identifier":
            self._bind("default", _text(pattern), module)
            self._namespaces[_text(pattern)] = module
        for each in pattern.named_children if pattern.type == "object_pattern" else ():
            key, value = each.child_by_field_name("key"), each.child_by_field_name("value")
            if key is not None and value is not None:
                self._bind(_text(key), _text(value), module)
            else:
                self._bind(_text(each), _text(each), module)

    def _bind(self, exported: str, name: str, module: str) -> None:
        """Note an import. Its name is a tag if it is one in its module."""
        is_default = exported == "default"
        self._imported[name] = IncludedVariable(exported, module)
        if exported in TAGS or (is_default and _CLIENTS.match(module)):
            self._original[name] = ("graphql" if "relay" in module else "gql") if is_default else exported
        if name in self._original:
            self._modules[name] = module

    def _module(self, name: str, at: int) -> str | None:
        """Return the module of the tag at an offset, "" if it is not imported, and None if it is not a tag there."""
        before = self._before_gap(at)
        last = self._source[before - 1 : before]
        if last == "#":
            return None
        if last == "." and not self._source.endswith("...", 0, before):
            before = self._before_gap(before - 1)
            word = _WORD_BEFORE.search(self._source[max(before - 100, 0) : before])
            namespace = self._namespaces.get(word[0]) if word is not None and name in TAGS else None
            return namespace if namespace is not None and _CLIENTS.match(namespace) else None
        word = _WORD_BEFORE.search(self._source[max(before - 9, 0) : before])
        if word is not None and word[0] in {"new", "function"}:
            return None
        return self._modules.get(name, "")

    def _literal_after(self, at: int) -> tuple[int, bool] | None:
        """Return where the literal of a tag begins, and whether the tag is called with it."""
        at = _after_gap(self._source, at)
        if self._source.startswith("<", at):
            end = self._types_end(at)
            if end is None:
                return None
            self.type_arguments.append((at, end))
            at = _after_gap(self._source, end)
        is_call = self._source.startswith("(", at)
        while self._source.startswith("(", at):
            at = _after_gap(self._source, at + 1)
        part = self._by_start.get(at)
        kinds = {"string", "template_string"} if is_call else {"template_string"}
        return (at, is_call) if part is not None and part.kind in kinds else None

    def _types_end(self, at: int) -> int | None:
        """Return where the type arguments end that begin at an offset, or None if they do not end."""
        if at in self._type_ends:  # They were within others.
            return self._type_ends[at]
        start = at
        opened: list[tuple[str, int]] = []
        while (token := _IN_TYPES.search(self._source, at)) is not None:
            at, text = token.end(), token[0]
            part = self._by_start.get(token.start())
            if part is not None:
                at = part.end
            elif text in _BRACKETS:
                opened.append((text, token.start()))
            elif text in _BRACKETS.values():
                if _BRACKETS[opened[-1][0]] != text:
                    break
                self._type_ends[opened.pop()[1]] = at
                if not opened:
                    break
            elif text == ";" and opened[-1][0] != "{":
                break
        self._type_ends.update((each, None) for _, each in opened)
        return self._type_ends[start]

    def _around(self, at: int) -> _Part | None:
        """Return the innermost part that holds an offset."""
        index = bisect_right(self._starts, at) - 1
        part = self._parts[index] if index >= 0 else None
        while part is not None and part.end <= at:
            part = part.parent
        return part

    def _ranges(self) -> list[tuple[int, int]]:
        """Return the parts of the source to look at: around the tags that a literal seems to follow, and around marks."""
        spots: list[tuple[int, int]] = []
        for start, end in self._tags:
            at = _after_gap(self._source, end)
            opening = _opening(self._source, at)
            if self._source.startswith("<", at):
                spots.append((start - _BEFORE, at + _TYPES_MAX))
            elif opening is not None:
                spots.append((start - _BEFORE, opening + 1))
        for match in _MARK.finditer(self._source):
            spots.append((match.start(), _after_gap(self._source, match.end()) + 1))
        ranges: list[tuple[int, int]] = []
        for start, end in sorted(spots):
            if ranges and start <= ranges[-1][1]:
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
            else:
                ranges.append((max(start, 0), end))
        return [(start, min(end, len(self._source))) for start, end in ranges]

    def _before_gap(self, at: int) -> int:
        """Skip blanks and comments backwards."""
        while at > 0:
            if self._source[at - 1].isspace():
                at -= 1
                continue
            part = self._around(at - 1)
            if part is None or part.kind != "comment":
                break
            at = part.start
        return at

    def _hides_literal(self, part: _Part | None, at: int) -> bool:
        """Whether a literal seems to follow a tag that ends at an offset, and the syntax error may have hidden it."""
        at = _after_gap(self._source, at)
        end = self._types_end(at) if self._source.startswith("<", at) else at
        opening = _opening(self._source, _after_gap(self._source, end)) if end is not None else None
        if opening is None or part is None or self._error is None:
            return opening is not None
        # A template without an end takes the next one's beginning for its own end.
        return part.end > self._error or opening == part.end - 1

    def _literal(self, part: _Part, tag: str | None, module: str | None, is_call: bool, start: int) -> Literal:
        source = self._source
        substitutions = self._substitutions(part)
        text, mappings, blanks = _evaluated(self._text, part.start + 1, part.end - 1, substitutions)
        included = [self._variable(source[low + 2 : high - 1].strip()) for low, high in substitutions]
        following = _LIST.match(source, _after_gap(self._source, part.end)) if is_call else None
        if following is not None:
            included += [self._variable(each.strip()) for each in following[1].split(",") if each.strip()]
        name = self._declared(start)
        return Literal(text, mappings, blanks, tag, module, is_call, name, tuple(included), following is not None)

    def _variable(self, expression: str) -> IncludedVariable | None:
        """Return the variable that an expression names; None for a default import, which has no name in its module."""
        match = _VARIABLE.fullmatch(expression)
        if match is None:
            return None
        name, member = match.groups()
        if member is not None:
            return IncludedVariable(member, self._namespaces[name]) if name in self._namespaces else None
        variable = self._imported.get(name, IncludedVariable(name))
        return variable if variable.name != "default" else None

    def _substitutions(self, part: _Part) -> list[tuple[int, int]]:
        """Return where each `${…}` of a template is."""
        nodes = [each for each in part.node.named_children if each.type == "template_substitution"]
        offsets = _character_offsets(
            self._data,
            {at for each in nodes for at in (each.start_byte, each.end_byte)},
            part.node.start_byte,
            part.start,
        )
        return [(offsets[each.start_byte], offsets[each.end_byte]) for each in nodes]

    def _declared(self, at: int) -> str | None:
        """Return the name of the variable whose value begins at an offset."""
        before = self._before_gap(at)
        if not self._source.endswith("=", 0, before):
            return None
        end = self._before_gap(before - 1)
        first = max(end - 300, 0)
        word = _WORD_BEFORE.search(self._source[first:end])
        if word is not None and self._source[first : first + word.start()].rstrip()[-1:] not in set(".:|&<>"):
            return word[0]
        declaration = max(_DECLARATION.finditer(self._source, first, end), key=lambda each: each.start(), default=None)
        if declaration is None or re.search("[=;`]", self._source[declaration.end() : end]):
            return None
        return declaration[1]


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _without_refused_syntax(source: str, type_arguments: list[tuple[int, int]]) -> str:
    """Return a variant of a source, of the same length, without what the grammars refuse although it is valid.

    They refuse some type arguments before a template, after whichever tag, and an `&` in the text or in a string of JSX.
    """
    styled = (match.span(1) for match in _TYPES_BEFORE_TEMPLATE.finditer(source))
    spans: list[tuple[int, int]] = []
    for start, end in sorted([*type_arguments, *styled]):
        if not spans or start >= spans[-1][1]:
            spans.append((start, end))
    return _AMPERSAND.sub("|", _blanked(source, spans))


def _blanked(source: str, spans: list[tuple[int, int]]) -> str:
    """Replace parts of a source by as many blanks."""
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += [source[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, source[at:]])


def _character_offsets(data: bytes, offsets: set[int], before: int = 0, characters: int = 0) -> dict[int, int]:
    """Convert offsets in UTF-8 to offsets in text; `before` is one whose offset in text is `characters`."""
    if data.isascii():
        return {each: each for each in offsets}
    converted: dict[int, int] = {}
    for each in sorted(offsets):
        characters += len(data[before:each].decode())
        converted[each], before = characters, each
    return converted


def _byte_offsets(source: str, data: bytes, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Convert sorted ranges in text to ranges in UTF-8."""
    if data.isascii():
        return ranges
    converted: list[int] = []
    before = size = 0
    for each in (offset for pair in ranges for offset in pair):
        size += len(source[before:each].encode())
        converted.append(size)
        before = each
    return list(zip(converted[::2], converted[1::2], strict=True))


def _nested(spans: Iterable[tuple[str, int, int, Node]]) -> list[_Part]:
    """Return parts with their parents; spans come in document order, an outer one before those within."""
    parts: list[_Part] = []
    parent: _Part | None = None
    for kind, start, end, node in spans:
        while parent is not None and parent.end <= start:
            parent = parent.parent
        part = _Part(kind, start, end, parent, node)
        parts.append(part)
        parent = part
    return parts


_ESCAPE = re.compile(
    r"\\(?:u(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?:u\{(?P<long>[0-9a-fA-F]+)\}"
    r"|u(?P<four>[0-9a-fA-F]{4})|x(?P<two>[0-9a-fA-F]{2}))|(?P<newline>\r\n|[\n\r\u2028\u2029])|(?P<other>.))",
    re.DOTALL,
)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _evaluated(
    source: str, start: int, end: int, substitutions: list[tuple[int, int]]
) -> tuple[str, tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Evaluate the source between two offsets as JavaScript does: a literal's text, mappings and substitutions."""
    parts: list[str] = []
    mappings = [(0, start)]
    blanks: list[int] = []
    length, at = 0, start
    for low, high in [*substitutions, (end, end)]:
        for escape in _ESCAPE.finditer(source, at, low):
            raw, resolved = source[at : escape.start()], _resolved(escape)
            parts += [raw, resolved]
            length += len(raw) + len(resolved)
            at = escape.end()
            mappings.append((length, at))
        blank = re.sub(r"[^\n\r]", " ", source[low:high])
        parts += [source[at:low], blank]
        length += low - at
        if low < high:
            blanks.append(length)
        length, at = length + len(blank), high
    return "".join(parts), tuple(mappings), tuple(blanks)


def _resolved(escape: re.Match[str]) -> str:
    if escape["pair"]:
        high, low = (int(half, 16) for half in escape["pair"].split("\\u"))
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    digits = escape["long"] or escape["four"] or escape["two"]
    if digits:
        code = int(digits, 16)
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "�"
    return "" if escape["newline"] else _NAMED.get(escape["other"], escape["other"])
