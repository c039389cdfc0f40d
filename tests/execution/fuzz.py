"""Compares generated code with the interpreter over random operations: `python -m tests.execution.fuzz 20000 [SEED]`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from random import Random
from typing import Any

from gateway.execution.executor import Executor

from .conftest import SCHEMA as STRAWBERRY
from .random_operations import Writer, run, seen

__all__ = ["difference"]


def difference(random: Random, runs: Counter[str]) -> str | None:
    """Return how generated code and the interpreter differ over one random operation; count in `runs` what executed it."""
    executor = Executor(STRAWBERRY, generate_at=2)  # The interpreter runs first, code second.
    document, variables = Writer(random.randint).document()
    settings: dict[str, Any] = {"trouble": random.choice([0, 0, 0, 0, 1, 3]), "no_cache": random.random() < 0.2}
    interpreted, upstream, context = run(document, variables, executor, **settings)
    generated, its_upstream, its_context = run(document, variables, executor, **settings)
    runs.update(its_context.runs)
    for what, mine, other in (
        ("exceptions", its_context.runs["not generated: exception"], 0),
        ("data", *(json.dumps(outcome.data) for outcome in (generated, interpreted))),
        ("errors", seen(generated), seen(interpreted)),
        ("calls", sorted(its_upstream.calls), sorted(upstream.calls)),
        ("calls of the first round trip", its_upstream.together, upstream.together),
        ("records", its_context.records, context.records),
        ("charged calls", its_context.charged, context.charged),
        ("skipped reads", its_context.skipped, context.skipped),
    ):
        if mine != other:
            return f"{what}: {mine} instead of {other}\n{document}\n{variables} {settings} {dict(its_context.runs)}"
    return None


def main() -> None:
    """Try as many operations as the command line says, and exit with 1 at the first difference."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    runs: Counter[str] = Counter()
    for seed in range(first, first + count):
        found = difference(Random(seed), runs)
        if found is not None:
            sys.exit(f"seed {seed}: {found}")
    sys.stdout.write(f"{count} operations: {dict(runs.most_common())}\n")


if __name__ == "__main__":
    main()
