"""How a run of all tests is spread over processes, with pytest-xdist.

`tests/conftest.py` takes over the hooks.
"""

import gc
import os
from collections.abc import Generator
from typing import Any

import pytest

__all__ = [
    "LONG",
    "pytest_cmdline_main",
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_xdist_make_scheduler",
    "unit",
]

LONG = {
    "tests/clients/test_clients.py": "file",
    "tests/execution/test_differential.py": "test",
    "tests/contract_tests/test_contract_tests.py": "file",
    "tests/web/test_audits.py": "file",
    "tests/web/test_graphiql.py": "test",
    "tests/web/test_graphiql_live.py": "file",
    "tests/web/test_graphiql_panels.py": "test",
    "tests/web/test_graphiql_runs.py": "test",
    "tests/docs/test_pages.py": "test",
    "tests/commands/test_workers.py": "test",
    "tests/test_pytest_plugin.py": "test",
    "tests/execution/test_at_most.py": "file",
    "tests/commands/test_check.py": "test",
    "tests/commands/test_demo.py": "test",
    "tests/commands/test_serve.py": "test",
    "tests/contract/operations/test_relay_compiler.py": "file",
    "tests/test_timeouts.py": "file",
    "tests/test_door.py": "test",
    "tests/twilio/test_signatures.py": "test",
    "tests/mcp/test_stdio.py": "file",
    "tests/test_cli.py": "file",
}
"""The files that take longest, which are run first: one that began last would be waited for by all other processes.

The values say whether each `test` is distributed, or the `file`, as for all others, so that its tests share a process.
"""


def unit(test: str) -> str:
    """Return what a process is given together with the test of this id: the id of its file, or of itself."""
    file = test.partition("::")[0]
    return test if LONG.get(file) == "test" else file


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A run of all tests uses all cores; one process more, since some tests wait for a browser or for npm.

    The processes that pytest-xdist starts call this too, and start none.
    """
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    may_start = config.pluginmanager.has_plugin("xdist") and "PYTEST_XDIST_WORKER" not in os.environ
    if is_whole and may_start and config.option.numprocesses is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        config.option.numprocesses, config.option.dist = cores + 1, "loadfile"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute units in the order of `LONG`, not by their number of tests: those with the fewest can take longest."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Units(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return unit(nodeid)

    config.option.loadscopereorder = False
    return Units(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the files that take longest first."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what is imported and collected out of garbage collection: it stays, and a scan of all of it takes 200 ms."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
