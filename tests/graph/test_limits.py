"""Limits have one value each: settings, documentation and the schema say the same."""

from pathlib import Path

from gateway.accounts.limits import Limits
from gateway.execution.context import OperationLimits
from gateway.graph.limits import FIRST_DEFAULT, FIRST_MAX, IDS_MAX, SCAN_DEFAULT, SCAN_MAX
from gateway.graph.schema import print_schema
from gateway.settings import SETTINGS

ROOT = Path(__file__).parents[2]


def test_settings_have_the_defaults_of_the_limits() -> None:
    defaults = {setting.env: setting.default for setting in SETTINGS}
    assert int(defaults["GATEWAY_COST_MAX"] or 0) == Limits().cost_max == OperationLimits().cost_max
    assert int(defaults["GATEWAY_COST_LIMIT"] or 0) == Limits().cost_limit == OperationLimits().cost_limit


def test_documentation_has_the_limits() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("gateway/docs/*.md")]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in documents)
    limits = OperationLimits()
    assert f"{limits.records_max:,} records" in text
    assert f"{limits.errors_max:,} errors" in text
    assert f"`first` is from 0 to {FIRST_MAX}" in text


def test_the_schema_has_the_limits() -> None:
    schema = print_schema()
    assert f"first: Int = {FIRST_DEFAULT}\n" in schema
    assert f"scan: Int = {SCAN_DEFAULT}\n" in schema
    assert f"The number of records to return, from 0 to {FIRST_MAX}." in schema
    assert f"from 0 to {SCAN_MAX}." in schema
    assert f"at most {IDS_MAX}." in schema
