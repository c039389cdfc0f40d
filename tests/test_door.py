"""The Python API: what `import gateway` names, how little it imports, and the examples of its docstrings and its page."""

import asyncio
import dataclasses
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, assert_type

import pytest
from starlette.applications import Starlette

import gateway
from gateway.sandbox import Sandbox
from gateway.settings import SETTINGS

from .docs.blocks import blocks, read, rows

pytest_plugins = ["pytester"]

FUNCTIONS = ["create_app", "open_account"]
MODULES = ["errors", "pytest_plugin", "sandbox"]


def loaded(statement: str) -> set[str]:
    """Return the modules that a fresh process has imported after a statement."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    modules = loaded("import gateway")
    assert {name for name in modules if name.startswith("gateway")} == {"gateway", "gateway.version"}
    assert not {name.partition(".")[0] for name in modules} - {"gateway", *sys.stdlib_module_names}


def test_errors_and_the_sandbox_import_nothing_beside_themselves() -> None:
    names = {name for name in loaded("import gateway; gateway.errors.NotFound") if name.startswith("gateway")}
    assert names == {"gateway", "gateway.version", "gateway.errors"}
    names = {name for name in loaded("import gateway; gateway.sandbox.Sandbox") if name.startswith("gateway")}
    assert {name for name in names if not name.startswith("gateway.sandbox")} == {"gateway", "gateway.version"}


@pytest.mark.parametrize("name", gateway.__all__)
def test_each_name_can_be_the_first_that_is_imported(name: str) -> None:
    """A circle of imports fails from one end and not from the other."""
    assert loaded(f"from gateway import {name}")


def test_the_names_are_listed() -> None:
    assert set(gateway.__all__) <= set(dir(gateway))
    assert {name: getattr(gateway, name).__name__.rpartition(".")[2] for name in gateway.__all__} == {
        name: name for name in gateway.__all__
    }
    with pytest.raises(AttributeError, match=r"module 'gateway' has no attribute 'app_factory'"):
        gateway.app_factory  # type: ignore[attr-defined]  # noqa: B018


async def test_the_names_are_typed(sandbox_settings: gateway.Settings) -> None:
    """For mypy, which reads this test; `py.typed` has it read the package."""
    assert_type(gateway.create_app(sandbox_settings), Starlette)
    async with gateway.open_account(sandbox_settings) as account:
        assert_type(account, gateway.Account)


@pytest.fixture
def sandbox_settings(sandbox: Sandbox) -> gateway.Settings:
    return gateway.Settings(
        credentials=gateway.Credentials(sandbox.account_sid, sandbox.auth_token), upstream_url=sandbox.url
    )


def example_of(name: str) -> str:
    """Return the indented block below `Example:` in the docstring of a name."""
    text = inspect.getdoc(getattr(gateway, name)) or ""
    found = re.search(r"^Example:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    assert found is not None, f"gateway.{name} has no example"
    return textwrap.dedent(found[1])


async def execute(code: str, names: dict[str, Any]) -> None:
    """Run code that may await."""
    exec(f"async def example():\n{textwrap.indent(code, '    ')}", names)  # noqa: S102
    await names["example"]()


@pytest.mark.parametrize("name", sorted({*gateway.__all__} - {"pytest_plugin"}))
async def test_examples_run(name: str, sandbox: Sandbox, sandbox_settings: gateway.Settings) -> None:
    names: dict[str, Any] = {"asyncio": asyncio, "dataclasses": dataclasses, "gateway": gateway}
    names |= {"settings": sandbox_settings, "account_sid": sandbox.account_sid, "auth_token": sandbox.auth_token}
    await execute(example_of(name), names)


def test_the_example_of_the_plugin_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"import pytest\n{example_of('pytest_plugin')}")
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_describe_what_they_take_return_and_raise(name: str) -> None:
    function = getattr(gateway, name)
    text = inspect.getdoc(function) or ""
    assert [heading for heading in ("Args:", "Returns:", "Raises:", "Example:") if heading in text] == re.findall(
        r"^[A-Z]\w+:$", text, re.MULTILINE
    )
    for parameter in inspect.signature(function).parameters:
        assert f"\n    {parameter}: " in text, parameter


# gateway/docs/python.md


def test_the_page_lists_the_names() -> None:
    cells = [row[0] for row in rows(read("python"), "name")]
    assert sorted(name for cell in cells for name in re.findall(r"`(\w+)`", cell)) == sorted(gateway.__all__)


def test_fields_of_settings_are_named_like_the_variables() -> None:
    """As the page says. Some fields hold several variables."""
    variables = {setting.env.removeprefix("GATEWAY_").lower() for setting in SETTINGS}
    fields = set(gateway.Settings.__dataclass_fields__)
    assert fields - variables == {"credentials", "jwt", "lifetimes", "traces", "webhook"}


def run(code: str, folder: Path) -> str:
    """Return what a script prints."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout


async def test_the_page_s_operation_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    _, code, *_ = blocks("python", "python")
    credentials = 'gateway.Credentials("AC…", "your auth token")'
    assert credentials in code
    mine = f'gateway.Credentials("{sandbox.account_sid}", "{sandbox.auth_token}"), upstream_url="{sandbox.url}"'
    printed = await asyncio.to_thread(run, code.replace(credentials, mine), tmp_path)
    *services, calls = printed.splitlines()
    assert services
    assert all(re.match(r"IS\w{32} \S", line) for line in services)
    assert calls == "1 upstream calls"


def test_the_page_s_test_passes(pytester: pytest.Pytester) -> None:
    *_, code = blocks("python", "python")
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(code)
    pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=1)
