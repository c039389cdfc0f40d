"""The deployment examples: valid by their schemas, and true of the gateway that they run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gateway.settings import Settings

from ..conftest import ROOT
from .blocks import all_blocks, blocks, section

KUBERNETES = ("1.31", "1.37")
"""The oldest and the newest version that the example is checked for."""
FILES = {block.name: block.text for block in all_blocks("deploy") if block.name is not None}
IMAGE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PORT = 8000
SECRETS = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "a-secret-token",
    "GATEWAY_TOKENS": "frontend:a-token-of-some-length",
}


def manifests() -> dict[tuple[str, str], Any]:
    """The objects of the Kubernetes example, by kind and name."""
    documents = list(yaml.safe_load_all(FILES["kubernetes.yaml"]))
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def loaded(environ: dict[str, str], folder: Path) -> Settings:
    """Return the settings of an example, with a folder of secrets for its own."""
    given = dict(environ)
    for name, value in SECRETS.items():
        if f"{name}_FILE" in given:
            file = folder / name
            file.write_text(value)
            given[f"{name}_FILE"] = str(file)
        elif name in given:
            given[name] = value
    return Settings.load(given)


def seconds_to_stop(settings: Settings) -> float:
    return settings.drain_seconds + settings.deadline + 2


def test_the_container() -> None:
    build, run = blocks("deploy", "sh")[0].splitlines()
    assert build.split()[3] == run.split()[-1]
    assert f"EXPOSE {run.partition('-p ')[2].partition(':')[0]}\n" in IMAGE
    assert section("deploy", "Container").count(f"user {user()}") == 1
    (installed,) = re.findall(r"'\.\[(.+)\]'", IMAGE)
    (extras,) = re.findall(r"the extras (.+?):", section("deploy", "Container"))
    assert re.findall(r"`(\w+)`", extras) == installed.split(",")


def user() -> int:
    return int(IMAGE.partition("\nUSER ")[2].split()[0])


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_its_example(version: str) -> None:
    for document in manifests().values():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_kubernetes_example_is_true(tmp_path: Path) -> None:
    objects = manifests()
    pod = objects["Deployment", "receipts-gateway"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == PORT
    settings = loaded({each["name"]: each["value"] for each in container["env"]}, tmp_path)
    assert pod["terminationGracePeriodSeconds"] >= seconds_to_stop(settings)
    probe = container["readinessProbe"]
    assert settings.drain_seconds > probe["periodSeconds"] * probe["failureThreshold"]
    assert (probe["httpGet"], container["livenessProbe"]["httpGet"]) == (
        {"path": "/readyz", "port": port["name"]},
        {"path": "/livez", "port": port["name"]},
    )
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == user()
    # Each key of the secret is a file of the container.
    command = blocks("deploy", "sh")[1]
    (mount,) = container["volumeMounts"]
    files = {each["value"] for each in container["env"] if each["name"].endswith("_FILE")}
    keys = {part.partition("=")[0] for part in command.split("--from-literal=")[1:]}
    assert files == {f"{mount['mountPath']}/{key}" for key in keys}
    (volume,) = pod["volumes"]
    assert command.split()[4] == volume["secret"]["secretName"]
    # Each service leads to the port of a deployment.
    for (kind, name), service in objects.items():
        if kind == "Service":
            template = objects["Deployment", name]["spec"]["template"]
            assert template["metadata"]["labels"] == service["spec"]["selector"]
            (served,), (offered,) = service["spec"]["ports"], template["spec"]["containers"][0]["ports"]
            assert served["targetPort"] == offered["name"]
    redis = objects["Service", "receipts-gateway-redis"]
    assert settings.cache_url == f"redis://{redis['metadata']['name']}:{redis['spec']['ports'][0]['port']}"


def test_compose_accepts_its_example(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(FILES["compose.yaml"])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_compose_example_is_true(tmp_path: Path) -> None:
    compose = yaml.safe_load(FILES["compose.yaml"])
    gateway = compose["services"]["gateway"]
    assert gateway["ports"] == [f"{PORT}:{PORT}"]
    settings = loaded(gateway["environment"], tmp_path)
    assert int(gateway["stop_grace_period"].removesuffix("s")) >= seconds_to_stop(settings)
    files = {value for name, value in gateway["environment"].items() if name.endswith("_FILE")}
    assert files == {f"/run/secrets/{name}" for name in gateway["secrets"]}
    assert set(gateway["secrets"]) == set(compose["secrets"])
    assert settings.cache_url == "redis://redis:6379"
    assert gateway["depends_on"] == ["redis"]
