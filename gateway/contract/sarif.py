"""Findings as SARIF 2.1.0, which code scanning reads: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.contract.github import in_workspace
from gateway.contract.problems import FileLocation, Finding
from gateway.version import __version__

__all__ = ["as_sarif"]

_LEVELS = {"error": "error", "warning": "warning", "notice": "note"}


def as_sarif(findings: Iterable[Finding], default: Path) -> str:
    """Return findings as a SARIF log; one without a location is shown at the start of the file `default`.

    Code scanning shows no result without a file.
    """
    results = list(findings)
    rules = sorted({finding.rule for finding in results})
    driver = {"name": "receipts-gateway", "version": __version__, "rules": [{"id": rule} for rule in rules]}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(finding, default) for finding in results]}],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _result(finding: Finding, default: Path) -> dict[str, Any]:
    location = finding.location or FileLocation(default, 1, 1)
    path = in_workspace(location.path)
    uri = path.absolute().as_uri() if path.is_absolute() else quote(path.as_posix())
    region = {"startLine": location.line, "startColumn": location.column}
    return {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.level],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
    }
