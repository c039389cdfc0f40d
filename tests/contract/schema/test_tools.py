"""What schema tools make of `schema.graphql`: linters, and composers of supergraphs."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from graphql import ObjectTypeDefinitionNode, parse

from ...conftest import ROOT
from ...docs.blocks import all_blocks, blocks, read, section

SCHEMA = (ROOT / "schema.graphql").read_text(encoding="utf-8")

pytestmark = pytest.mark.timeout(300)  # npm fetches 50 MB when its cache is empty.


def test_linters_find_no_more_than_the_documentation_says(npm: Path) -> None:
    assert "`graphql-schema-linter schema.graphql` finds nothing" in section("federation", "Linters")
    command = [
        "node",
        "node_modules/graphql-schema-linter/lib/cli.js",
        "--format",
        "json",
        str(ROOT / "schema.graphql"),
    ]
    done = subprocess.run(command, cwd=npm, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["errors"]) == (0, [])


def test_supergraphs_are_composed_with_every_field(npm: Path) -> None:
    done = subprocess.run(["node", "supergraph.mjs"], cwd=npm, input=SCHEMA, capture_output=True, text=True, check=True)
    supergraphs = json.loads(done.stdout)
    assert len(supergraphs) == 6
    for name, supergraph in supergraphs.items():
        assert isinstance(supergraph, str), supergraph
        composed = fields(supergraph)
        for type_name, names in fields(SCHEMA).items():
            assert names <= composed[type_name], (name, type_name)
        assert "enum ErrorCode" in supergraph
        assert "directive @defer" not in supergraph
        assert ("@upstream(" in supergraph) is name.endswith("composed")


def fields(sdl: str) -> dict[str, set[str]]:
    return {
        each.name.value: {field.name.value for field in each.fields or ()}
        for each in parse(sdl).definitions
        if isinstance(each, ObjectTypeDefinitionNode)
    }


def test_the_documented_set_up_of_hive_gateway_is_the_one_that_is_tried() -> None:
    script = (ROOT / "findings" / "hive-gateway-repeats-all-data-in-each-deferred-part.sh").read_text(encoding="utf-8")
    (command,) = blocks("federation", "sh")
    executable, mode, url, option, _ = command.split()
    assert f'{executable} {mode} "{url.replace("8000", "$gateway")}" {option} ' in script
    (config,) = (block for block in all_blocks("federation") if block.name == "gateway.config.ts")
    assert f"\n{config.text}CONFIG\n" in script
    (version,) = set(
        re.findall(r"Hive Gateway (\d[\d.]*\d)|`@graphql-hive/gateway` \((\d[\d.]*\d)\)", read("federation"))
    )
    assert f"@graphql-hive/gateway@{version[0]} " in script


def test_the_documentation_names_the_versions_tested() -> None:
    packages = json.loads((Path(__file__).parents[1] / "npm" / "package.json").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    named = re.findall(
        r"`(@apollo/composition|@theguild/federation-composition|graphql-schema-linter)` (\d[\d.]*\d)",
        read("federation"),
    )
    assert len(named) == 3
    assert {name: packages[name] for name, _ in named} == dict(named)
