"""Random modules of a Relay client: operations and fragments with arguments, refetch queries, conditions and `@defer`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

LEAVES = {
    "Service": ("sid", "friendlyName", "dateCreated"),
    "Conversation": ("sid", "state", "uniqueName", "friendlyName"),
    "Message": ("sid", "body", "author", "index", "isExpanded", "draft(of: $everyFirst)"),
    "Receipt": ("sid", "status", "rawStatus"),
    "Participant": ("sid", "identity"),
}
LISTS = {
    "Query": {"services": "Service"},
    "Service": {"conversations": "Conversation"},
    "Conversation": {"messages": "Message", "participants": "Participant"},
    "Message": {"receipts": "Receipt"},
}
RECORDS = {
    "Query": {"service": "Service"},
    "Service": {"conversation": "Conversation"},
    "Conversation": {"message": "Message"},
    "Receipt": {"participant": "Participant"},
}
GLOBALS = {"everyFirst": "Int", "everySid": "ID!", "everyOn": "Boolean!", "everyStatus": "[MessageDeliveryStatus!]"}
EXTENSION = "extend type Message { isExpanded: Boolean, draft(of: Int): String }"
LITERALS = {
    "Int": ("3", "40", "null"),
    "Boolean": ("true", "false"),
    "ID": ('"IM1"', '"""IM1"""'),
    "[": ("[READ]", "FAILED"),
}


@dataclass
class Fragment:
    """A fragment, and what a spread of it must know."""

    name: str
    type: str
    arguments: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Type and default (or provider) by name."""
    text: str = ""
    globals: set[str] = field(default_factory=set)
    """The operation's variables that it needs, with those of the fragments that it spreads."""
    is_plain: bool = False
    """Whether it has no directives, so that it may be spread without a mask."""


class Module:
    """One file: its name, and the literals in it."""

    def __init__(self, number: int) -> None:
        self.random = Random(number)
        self.name = f"M{number}"
        self.count = 0
        self.fragments: list[Fragment] = []
        types = ["Query", *LEAVES]
        for _ in range(self.random.randint(2, 6)):
            self._fragment(self.random.choice(types))
        self.literals = [each.text for each in self.fragments]
        for _ in range(self.random.randint(1, 2)):
            self._operation()

    @property
    def source(self) -> str:
        """The file's text."""
        literals = "".join(f"export const x{number} = graphql`{text}`;\n" for number, text in enumerate(self.literals))
        return f'import {{ graphql }} from "relay-runtime";\n{literals}'

    def _number(self) -> int:
        self.count += 1
        return self.count

    def _fragment(self, type_: str) -> None:
        fragment = Fragment(f"{self.name}_f{len(self.fragments)}", type_)
        for name, kind, defaults in (
            ("first", "Int", ("", "7", "null")),
            ("on", "Boolean!", ("", "true", "false")),
            ("sid", "ID!", ("", '"IM2"')),
            ("statuses", "[MessageDeliveryStatus!]", ("", "[SENT]", "null")),
            ("flag", "Boolean!", ("provider",)),
        ):
            if self.random.random() < 0.35:
                fragment.arguments[name] = kind, self.random.choice(defaults)
        scope = {name: kind for name, (kind, _) in fragment.arguments.items()} | GLOBALS
        body = self._selections(type_, scope, fragment.globals, 2)
        used = set(re.findall(r"\$(\w+)", body))
        fragment.arguments = {name: each for name, each in fragment.arguments.items() if name in used}
        fragment.globals |= used & GLOBALS.keys()
        directives = [self._definitions(fragment)] if fragment.arguments else []
        if type_ != "Participant" and self.random.random() < 0.5:
            directives.append(f'@refetchable(queryName: "{self.name}R{len(self.fragments)}Query")')
        fragment.is_plain = not directives
        fragment.text = f"fragment {fragment.name} on {type_} {' '.join(directives)} {body}"
        self.fragments.append(fragment)

    def _definitions(self, fragment: Fragment) -> str:
        parts = []
        for name, (kind, default) in fragment.arguments.items():
            given = ', provider: "./Flag.relayprovider"' if default == "provider" else f", defaultValue: {default}"
            parts.append(f'{name}: {{ type: "{kind}"{given if default else ""} }}')
        return f"@argumentDefinitions({', '.join(parts)})"

    def _operation(self) -> None:
        needed: set[str] = set()
        body = self._selections("Query", dict(GLOBALS), needed, 3, may_unmask=True)
        needed |= set(re.findall(r"\$(\w+)", body))
        variables = ", ".join(f"${name}: {GLOBALS[name]}" for name in sorted(needed))
        directive = self.random.choice(("", "@raw_response_type"))
        name = f"{self.name}Q{self._number()}Query"
        self.literals.append(f"query {name}{f'({variables})' if variables else ''} {directive} {body}")

    def _selections(
        self, type_: str, scope: dict[str, str], needed: set[str], depth: int, *, may_unmask: bool = False
    ) -> str:
        parts = ["sid" if type_ != "Query" else "services(first: 1) { edges { node { sid } } }"]
        if type_ == "Message" and self.random.random() < 0.4:
            return self.random.choice(
                ("{ isExpanded }", "{ __id sid @include(if: false) }", "{ ... on Message { draft } }")
            )
        for name in LEAVES.get(type_, ())[1:]:
            if self.random.random() < 0.4:
                parts.append(f"{name} {self._condition(scope)}{self.random.choice(('', '@required(action: LOG)'))}")
        for name, of in LISTS.get(type_, {}).items():
            if depth and self.random.random() < 0.6:
                inner = self._selections(of, scope, needed, depth - 1)
                given = self._list_arguments(name, scope)
                parts.append(
                    f"l{self._number()}: {name}{given} {self._condition(scope)} {{ edges {{ node {inner} }} }}"
                )
        for name, of in RECORDS.get(type_, {}).items():
            if depth and self.random.random() < 0.5:
                inner = self._selections(of, scope, needed, depth - 1)
                given = "" if type_ == "Receipt" else f"(sid: {self._value('ID!', scope)})"
                parts.append(f"r{self._number()}: {name}{given} {self._condition(scope)} {inner}")
        if depth and type_ == "Query":
            inner = self._selections("Conversation", scope, needed, depth - 1)
            parts.append(
                f"n{self._number()}: node(id: {self._value('ID!', scope)}) {{ id ... on Conversation {inner} }}"
            )
        for fragment in self.fragments:
            if fragment.type == type_ and self.random.random() < 0.6:
                parts.append(self._spread(fragment, scope, needed, may_unmask))
        return f"{{ {' '.join(parts)} }}"

    def _spread(self, fragment: Fragment, scope: dict[str, str], needed: set[str], may_unmask: bool) -> str:
        needed |= fragment.globals
        if may_unmask and fragment.is_plain and self.random.random() < 0.5:
            return f"...{fragment.name} @relay(mask: false)"
        given = [
            f"{name}: {self._value(kind, scope)}"
            for name, (kind, default) in fragment.arguments.items()
            if default != "provider" and ((kind.endswith("!") and not default) or self.random.random() < 0.6)
        ]
        directives = [f"@arguments({', '.join(given)})"] if given else []
        if self.random.random() < 0.5:
            condition = self.random.choice(("", f", if: {self._value('Boolean!', scope)}"))
            directives.append(f'@defer(label: "d{self._number()}"{condition})')
        directives.append(self._condition(scope))
        directives.append(self.random.choice(("", f'@alias(as: "a{self._number()}")', "@dangerously_unaliased_fixme")))
        return f"...{fragment.name} {' '.join(directives)}"

    def _condition(self, scope: dict[str, str]) -> str:
        if self.random.random() < 0.7:
            return ""
        return f"@{self.random.choice(('include', 'skip'))}(if: {self._value('Boolean!', scope)})"

    def _list_arguments(self, name: str, scope: dict[str, str]) -> str:
        given = {"first": self._value("Int", scope)}
        if name == "messages" and self.random.random() < 0.5:
            given["deliveryStatus"] = self._value("[MessageDeliveryStatus!]", scope)
        return f"({', '.join(f'{argument}: {value}' for argument, value in given.items())})"

    def _value(self, kind: str, scope: dict[str, str]) -> str:
        """A variable of this type, or a literal."""
        literals = next(values for start, values in LITERALS.items() if kind.startswith(start))
        return self.random.choice([*(f"${name}" for name, its in scope.items() if its == kind), *literals])
