"""The command line as a whole: its help, what it imports, and its streams."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from gateway.settings import SETTINGS

from .commands.conftest import ENVIRON, run, start
from .docs.blocks import read

HEAVY = {"aiohttp", "asyncio", "graphql", "msgspec", "starlette", "strawberry", "uvicorn"}
SETTINGS_NEED = {"asyncio", "msgspec"}
"""What the table of settings imports, which two of the help texts print."""


def test_help_is_quick() -> None:
    """No help text imports the server, the schema, or even an event loop; `schema` does not import the server."""
    code = "import sys, gateway.cli as c; c.main(sys.argv[1:], standalone_mode=False); print(*sys.modules, file=sys.stderr)"

    def loaded(*arguments: str) -> set[str]:
        command = [sys.executable, "-c", code, *arguments]
        return set(subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=True).stderr.split())

    for arguments in (
        (),
        *((name,) for name in COMMANDS),
        ("operations", "check"),
        ("operations", "cost"),
        ("schema", "check"),
    ):
        modules = loaded(*arguments, "--help")
        assert "gateway.commands.options" in modules
        allowed = SETTINGS_NEED if arguments in {("serve",), ("check",), ("mcp",)} else set()
        assert not (HEAVY - allowed) & modules, arguments
    assert not {"uvicorn", "gateway.web"} & loaded("schema")


def test_what_is_imported_is_not_searched_for_garbage() -> None:
    """Neither while it is imported nor before exit: it would take a third of the time in which a demo starts and stops."""
    at_exit = (
        "atexit.register(lambda: print(gc.get_stats()[2]['collections'], gc.get_count()[2], gc.get_freeze_count() > 0))"
    )
    code = f"import atexit, gc; {at_exit}; import gateway.cli as c; c.main(['schema'], standalone_mode=False)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRON, check=True)
    assert result.stdout.splitlines()[-1] == "0 0 True"


def test_help_lists_the_commands_and_their_settings() -> None:
    words = run("--help").stdout
    assert re.findall(r"^  (\w+)  ", words.partition("Commands:")[2], re.MULTILINE) == list(COMMANDS)
    for command in ("serve", "check", "mcp"):
        words = run(command, "--help").stdout
        assert all(setting.env in words for setting in SETTINGS)


def test_summaries_of_commands_fit_their_lines() -> None:
    for group in ((), ("operations",), ("schema",)):
        assert "..." not in run(*group, "--help", COLUMNS="80").stdout.partition("Commands:")[2]


def test_a_command_that_does_not_exist_is_reported() -> None:
    result = run("sreve")
    assert (result.returncode, result.stderr.splitlines()[-1]) == (2, "Error: No such command 'sreve'.")


def test_what_the_terminal_has_no_letter_for_is_written_otherwise() -> None:
    result = run("operations", "cost", "--help", PYTHONIOENCODING="latin-1")
    assert (result.returncode, result.stderr) == (0, "")
    assert r"[OPTIONS] FILE\u2026" in result.stdout


def test_who_has_read_enough_ends_it_quietly() -> None:
    with start("schema") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("schema", "check", "-"), "standard input is empty.\n"),
        (("operations", "cost", "-"), "-:1:1: Syntax Error: Unexpected <EOF>.\n"),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(arguments: tuple[str, ...], words: str) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "gateway", *arguments]
    assert subprocess.run(command, capture_output=True, text=True, env=ENVIRON).stderr == words


def completion(**environ: str) -> str:
    """Return what the installed command prints to a shell."""
    command = Path(sys.executable).parent / "receipts-gateway"
    return subprocess.run([command], env=ENVIRON | environ, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("receipts-gateway de", ["plain,demo"]),
        ("receipts-gateway demo --sandbox", ["plain,--sandbox-port"]),
        ("receipts-gateway query th", ["plain,thread", "file,th"]),
        ("receipts-gateway operations cost summary re", ["plain,receipt", "plain,recipients", "file,re"]),
    ],
)
def test_the_shell_completes_commands_options_and_examples(line: str, completed: list[str]) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert completion(_RECEIPTS_GATEWAY_COMPLETE="bash_complete", **words).split() == completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_documented_shell_has_a_completion(shell: str) -> None:
    assert f"_RECEIPTS_GATEWAY_COMPLETE={shell}_source receipts-gateway" in read("operate")
    assert "_RECEIPTS_GATEWAY_COMPLETE" in completion(_RECEIPTS_GATEWAY_COMPLETE=f"{shell}_source")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="There is no /dev/full here, which is as a full disk is.")
def test_a_full_disk_is_said_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "gateway", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRON
        )
    assert (result.returncode, result.stderr) == (2, "The system refuses: No space left on device.\n")
