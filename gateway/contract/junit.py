"""The results of a check as JUnit XML, which CI servers show as tests: https://github.com/testmoapp/junitxml."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

__all__ = ["Case", "as_junit"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow (https://www.w3.org/TR/xml/#charsets)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test case."""

    group: str
    """Its class name: a file, or a kind of change."""
    name: str
    failure: str | None = None
    """Why it failed; None if it passed."""
    skipped: str | None = None
    """Why it was not run; None if it was."""


def as_junit(suite: str, cases: Iterable[Case]) -> str:
    """Return the cases as one test suite."""
    cases = list(cases)
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.failure is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.skipped is not None for case in cases)),
    }
    root = ElementTree.Element("testsuites", counts)
    parent = ElementTree.SubElement(root, "testsuite", {"name": suite, **counts})
    for case in cases:
        element = ElementTree.SubElement(parent, "testcase", {"classname": _text(case.group), "name": _text(case.name)})
        if case.failure is not None:
            first_line = case.failure.partition("\n")[0]
            ElementTree.SubElement(element, "failure", {"message": _text(first_line)}).text = _text(case.failure)
        elif case.skipped is not None:
            ElementTree.SubElement(element, "skipped", {"message": _text(case.skipped)})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
