"""Metrics: what is counted, for which callers, and that the dashboard uses metrics that exist."""

import json
import platform
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.cli import main
from gateway.demo import settings_for
from gateway.execution.outcome import Outcome
from gateway.sandbox import Fault, Sandbox
from gateway.settings import Settings
from gateway.version import __version__
from gateway.web.metrics import Metrics

from ..conftest import Ask, serving

QUERY = "query Named($sid: ID!) { service(sid: $sid) { friendlyName } }"


async def samples(http: aiohttp.ClientSession, url: str) -> dict[tuple[str, str], float]:
    """The metrics' values, by their names and labels."""
    async with http.get(f"{url}/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        text = await response.text()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_happens_is_counted(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    runs = (await samples(http, base_url)).get(("gateway_runs_total", "engine"), 0)  # Counted for all of this process.
    sandbox.faults.add("*", Fault("status", status=503, times=1))
    body = {"query": QUERY, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    for sent in (body, body, {"query": "{"}, {"query": 1}):
        async with http.post(f"{base_url}/graphql", json=sent) as response:
            await response.read()
    told = await samples(http, base_url)
    expected = {
        ("gateway_operations_total", "Named,ok"): 2,
        ("gateway_operations_total", "anonymous,GRAPHQL_PARSE_FAILED"): 1,
        ("gateway_refused_total", "BAD_REQUEST"): 1,
        ("gateway_operation_seconds_count", "Named"): 2,
        ("gateway_upstream_seconds_count", "Services"): 2,
        ("gateway_caller_calls_total", "anyone"): 1,
        ("gateway_build_info", f"{platform.python_version()},{__version__}"): 1,
        ("gateway_workers", ""): 1,
        ("gateway_upstream_calls_total", "Services,503"): 1,
        ("gateway_upstream_calls_total", "Services,200"): 1,
        ("gateway_upstream_retries_total", ""): 1,
        ("gateway_cache_lookups_total", "miss"): 1,
        ("gateway_cache_lookups_total", "hit"): 1,
        ("gateway_runs_total", "engine"): runs + 2,
        ("gateway_upstream_in_flight", ""): 0,
        ("gateway_upstream_window", ""): 64,
        ("gateway_upstream_breaker_open", ""): 0,
        ("gateway_operations_under_way", ""): 0,
    }
    assert {key: told.get(key) for key in expected} == expected
    assert told["gateway_cache_bytes", ""] > 0


async def test_label_values_are_words(http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox) -> None:
    """A reason that is a sentence in a trace is a word here."""
    query = """query Skips($service: ID!, $conversation: ID!) { service(sid: $service) { conversation(sid: $conversation) {
        sid none: messages(deliveryStatus: []) { edges { cursor } }
        messages { edges { node { receipts(status: []) { totalCount } } } } } } }"""
    sids = {name: sandbox.landmarks[f"{name}_sid"] for name in ("service", "conversation")}
    async with http.post(f"{base_url}/graphql", json={"query": query, "variables": sids}) as response:
        assert "errors" not in await response.json()
    counted = await samples(http, base_url)
    assert {labels for name, labels in counted if name == "gateway_skips_total"} == {"reference", "summary", "filter"}
    values = {value for name, labels in counted if name.startswith("gateway_") for value in labels.split(",")}
    assert [value for value in values if not re.fullmatch(r"[\w.+]*", value)] == []


async def test_operation_names_are_bounded(ask: Ask) -> None:
    metrics = Metrics(ask.operations, ask.operations._source._client)
    for number in range(500):
        metrics.answered(Outcome({}, operation=f"Name{number}", calls=2), "ok", f"caller{number}", 0.1)
    page = generate_latest(metrics.registry).decode()
    assert page.count("gateway_operations_total{") == 101
    assert 'name="other",outcome="ok"} 400.0' in page
    assert page.count("gateway_caller_calls_total{") == 101
    assert 'gateway_caller_calls_total{caller="other"} 800.0' in page


async def test_the_metrics_need_a_token(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    base = settings_for(sandbox)
    tokens = {"ann": Token("ann-has-a-long-token")}
    app = create_app(Settings(credentials=base.credentials, upstream_url=base.upstream_url, tokens=tokens))
    async with serving(app) as url:
        for token, status in (("ann-has-a-long-token", 200), ("nope", 401)):
            async with http.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"}) as response:
                assert response.status == status


def printed(*arguments: str) -> str:
    """Return what the command prints."""
    result = CliRunner().invoke(main, ["dashboard", *arguments])
    assert result.exit_code == 0
    return result.output


async def test_the_dashboard_and_the_alerts_use_metrics_that_exist(http: aiohttp.ClientSession, base_url: str) -> None:
    dashboard, alerts = printed(), printed("--alerts")
    assert dashboard == files("gateway").joinpath("dashboard.json").read_text(encoding="utf-8")
    assert alerts == files("gateway").joinpath("alerts.yml").read_text(encoding="utf-8")
    expressions = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel["targets"]]
    async with http.get(f"{base_url}/metrics") as response:
        families = set(re.findall(r"^# TYPE (\w+) ", await response.text(), re.MULTILINE))
    rules = re.sub(r'"[^"]*"', "", alerts)
    for text in (*expressions, rules):
        asked = set(re.findall(r"\b(?:gateway|process)_\w+", text))
        assert asked
        assert {name.removesuffix("_bucket") for name in asked} <= families


def test_each_panel_is_described_and_selects_job_and_instance() -> None:
    dashboard = json.loads(printed())
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["source", "job", "instance"]
    for panel in dashboard["panels"]:
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["overrides"] == []  # So that there is one unit.
        for target in panel["targets"]:
            selected = target["expr"].count('{job=~"$job",instance=~"$instance"')
            assert selected == len(re.findall(r"\b(?:gateway|process)_\w+", target["expr"]))


def promtool(*arguments: str, standard_input: str = "") -> str:
    """Run Prometheus' checks; return what they print."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: install Debian's package prometheus")
    result = subprocess.run(["promtool", *arguments], input=standard_input, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_prometheus_accepts_the_alerts_and_the_dashboards_queries(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yml"
    rules.write_text(printed("--alerts"))
    assert "SUCCESS: 12 rules found" in promtool("check", "rules", str(rules))
    targets = [target for panel in json.loads(printed())["panels"] for target in panel["targets"]]
    rule = "      - record: dashboard:query{}\n        expr: >-\n          {}\n"
    recorded = "".join(rule.format(number, target["expr"]) for number, target in enumerate(targets))
    rules.write_text("groups:\n  - name: dashboard\n    rules:\n" + recorded.replace("$__rate_interval", "5m"))
    assert f"SUCCESS: {len(targets)} rules found" in promtool("check", "rules", str(rules))


def test_prometheus_accepts_the_page(ask: Ask) -> None:
    metrics = Metrics(ask.operations, ask.operations._source._client)
    metrics.answered(Outcome({}, operation="Named", calls=2, budget={"limit": 9, "remaining": 7}), "ok", "ann", 0.1)
    metrics.refused("BAD_REQUEST")
    page = generate_latest(metrics.registry).decode()
    assert "gateway_caller_budget_remaining" in page
    assert promtool("check", "metrics", standard_input=page) == ""
