"""The files of deploy/ are read as their programs read them. Nothing is built: docs/deploy.md says what was run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from flows.__main__ import app
from schemas.settings import ROOT, unknown_variables

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMMANDS: Any = get_command(app)


def is_command(words: list[str]) -> bool:
    """Whether `dailies` takes these words."""
    command = COMMANDS.commands[words[0]]
    command.make_context(words[0], list(words[1:]))
    return True


def read_unit(path: Path) -> ConfigParser:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(path.read_text())
    return unit


def test_the_compose_file() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert {"postgres", "s3", "prefect", "review", "metrics", "night", "gpu0"} == set(services)
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", (DEPLOY / "compose.yaml").read_text()))
    offered = {
        line.partition("=")[0] for line in (DEPLOY / "studio.env.example").read_text().splitlines() if "=" in line
    }
    assert offered <= asked and asked - offered <= {"S3_LISTEN"}
    stages = set(re.findall(r"AS (\w+)", (DEPLOY / "Containerfile").read_text()))
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            place = volume.split(":")[0]
            assert place.startswith("./") or place in compose["volumes"], name
        if "build" in service:
            assert service["build"]["target"] in stages
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        if name in ("review", "metrics", "night", "gpu0"):
            assert unknown_variables(service["environment"]) == []
            assert is_command(service["command"]), name
        for port in service.get("ports", []):
            assert "127.0.0.1" in port, f"{name} would be open to the network"
    assert services["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"].startswith("${PREFECT_AUTH")
    json.loads((DEPLOY / "s3.json.example").read_text())


def test_the_kubernetes_objects() -> None:
    folder = DEPLOY / "kubernetes"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    objects = [one for file in kustomization["resources"] for one in yaml.safe_load_all((folder / file).read_text())]
    for one in objects:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    deployments = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "Deployment"}
    assert deployments.keys() == {"prefect", "review", "metrics", "night", "gpu"}
    # 1. Everything refers to what is there.
    for name, spec in deployments.items():
        pod, (container,) = spec["template"]["spec"], spec["template"]["spec"]["containers"]
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
        assert container["image"] in {image["name"] for image in kustomization["images"]}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} == {
            v["name"] for v in pod.get("volumes", [])
        }
        assert name == "prefect" or is_command(container["args"]), name
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    assert "--uid 10001" in (DEPLOY / "Containerfile").read_text()
    for service in (one for one in objects if one["kind"] == "Service"):
        (app,) = service["spec"]["selector"].values()
        ports = deployments[app]["template"]["spec"]["containers"][0]["ports"]
        assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in ports}
    # 2. Settings are known, and what is secret is in no file of the checkout.
    (config,) = kustomization["configMapGenerator"]
    given = [line.partition("=")[0] for line in (folder / "studio.env.example").read_text().splitlines()]
    assert unknown_variables([*(line.partition("=")[0] for line in config["literals"]), *given]) == []
    assert kustomization["secretGenerator"] == [{"name": "studio", "envs": ["studio.env"]}]
    assert "deploy/kubernetes/studio.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_container_file() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert all((ROOT / name).exists() for name in copied)
    packages = {"schemas", "engine", "checks", "storage", "tasks", "flows", "review_app", "models"}
    assert packages | {"pyproject.toml", "constraints.txt", "prefect.yaml", "manifests"} <= set(copied)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[0] == users[-1] == "dailies"  # neither image runs as root
    allowed = {"FROM", "RUN", "WORKDIR", "ENV", "COPY", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    assert {line.split()[0] for line in lines if line and not line.startswith("#")} <= allowed


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_systemd_unit(path: Path) -> None:
    unit = read_unit(path)
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    program, *words = unit["Service"]["ExecStart"].replace("%i", "0").split()
    assert Path(program).name in ("dailies", "prefect")
    assert Path(program).name == "prefect" or is_command(words)
    assert unit["Service"]["Restart"] == "always" and unit["Service"]["User"] == "dailies"
    assert unknown_variables(re.findall(r"(\w+)=", unit["Service"]["Environment"])) == []


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for path in UNITS:  # with a program that exists: the checkout of a studio is not here
        program = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={shutil.which('true')}", path.read_text())
        (tmp_path / path.name.replace("@", "@0")).write_text(program)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert ours == []
