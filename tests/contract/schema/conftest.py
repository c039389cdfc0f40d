"""A schema, and the edits of it that tests of changes and of usages share."""

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
BEFORE = (HERE / "before.graphql").read_text(encoding="utf-8")


class Edit(NamedTuple):
    """What is put in place of what, and the changes from the old text to the new one, and back."""

    pairs: list[tuple[str, str]]
    there: list[str]
    back: list[str]

    def fits(self, text: str) -> bool:
        return all(text.count(old) == 1 for old, _ in self.pairs)

    def apply(self, text: str) -> str:
        assert self.fits(text), self.pairs
        for old, new in self.pairs:
            text = text.replace(old, new)
        return text


def read_edits() -> list[Edit]:
    edits = []
    for block in (HERE / "edits.txt").read_text(encoding="utf-8").split("\n\n"):
        pairs = [
            tuple("\n".join(line[2:] for line in side.splitlines()) for side in pair)
            for pair in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", block, re.MULTILINE)
        ]
        if pairs:
            there, back = (re.findall(rf"^{sign} (.+)$", block, re.MULTILINE) for sign in "><")
            edits.append(Edit([(old, new) for old, new in pairs], there, back))
    return edits


EDITS = read_edits()
