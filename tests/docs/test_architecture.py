"""The picture of the rooms is the one that their imports give, and the page describes every room."""

from __future__ import annotations

from pathlib import Path

import pytest

from .architecture import PICTURE, House, draw, read_house
from .blocks import read, rows


def test_the_picture_is_current() -> None:
    assert draw(read_house()) == PICTURE.read_text(encoding="utf-8"), "run: python -m tests.docs"


def test_no_rooms_import_each_other() -> None:
    assert read_house().circles == []


def test_every_package_is_described_and_nothing_else() -> None:
    described = {row[0].strip("`") for row in rows(read("architecture"), "room")}
    rooms = set(read_house().imports)
    assert described <= rooms
    assert {room for room in rooms if (PICTURE.parents[1] / room).is_dir()} <= described


def test_floors_arrows_and_circles(tmp_path: Path) -> None:
    package = tmp_path / "house"
    for name, text in {
        "low": "",
        "middle": "from ..low import a",
        "high": "def f():\n    from house.middle import b\n    import house.low.a",
        "apart": "import os",
    }.items():
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text(text)
    (package / "top.py").write_text("from house import high")
    house = read_house(package)
    assert house.floors == [["apart", "low"], ["middle"], ["high"], ["top"]]
    assert house.arrows == [("high", "low"), ("high", "middle"), ("middle", "low"), ("top", "high")]
    assert house.drawn == [("high", "middle"), ("middle", "low"), ("top", "high")]
    assert draw(house).count("<rect ") == 5
    (package / "low" / "__init__.py").write_text("import house.high")
    assert read_house(package).circles == ["high", "low", "middle"]


def test_a_circle_has_no_floors() -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        House({"a": frozenset({"b"}), "b": frozenset({"a"})}).floors  # noqa: B018
