"""What is in `deploy/` has the form that the programs want which read it, and its parts fit together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialer.settings import Settings, load
from tests.prometheus import program
from tests.schemas import validator

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCHEMAS = ROOT / "tests" / "data" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
UNITS = ("cadencia.service", "cadencia-worker@.service")


def wrong(schema: Any, document: Any) -> list[str]:
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator(schema).iter_errors(document)]


def manifests() -> Iterator[dict[str, Any]]:
    """All but kustomize's own file, which the cluster never sees."""
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        yield from (each for each in yaml.safe_load_all(path.read_text()) if each["kind"] != "Kustomization")


def variables(folder: str) -> Iterator[dict[str, str]]:
    """What each program of ours finds in its environment; of values that the cluster fills in, a stand-in."""
    if folder == "compose":
        for service in COMPOSE["services"].values():
            if service["image"].startswith("cadencia"):
                yield dict(service["environment"])
        return
    for one in manifests():
        if one["kind"] in ("Job", "StatefulSet", "Deployment"):
            for container in one["spec"]["template"]["spec"]["containers"]:
                yield {each["name"]: each.get("value", "made-by-the-cluster") for each in container["env"]}


def value_of(settings: Settings, variable: str) -> Any:
    found: Any = settings
    for part in variable.removeprefix("CADENCIA_").lower().split("__"):
        found = getattr(found, part)
    return found


def unit(name: str) -> list[tuple[str, str]]:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return [(key, value) for key, _, value in (line.partition("=") for line in lines if re.match(r"[A-Z]\w+=", line))]


# ---- forms


def test_kubernetes_takes_the_manifests() -> None:
    schema = json.loads((SCHEMAS / "kubernetes-1.31.json").read_text())
    found = list(manifests())
    assert len(found) > 5
    for each in found:
        of_kind = {"$defs": schema["$defs"], **schema["kinds"][each["kind"]]}
        assert wrong(of_kind, each) == [], each["metadata"]["name"]
    # It does find what is wrong: a name that is none, and a number that is a text.
    workload = next(each for each in found if each["kind"] == "Deployment")
    broken = {**workload, "spec": {**workload["spec"], "replica": 2, "replicas": "two"}}
    assert len(wrong({"$defs": schema["$defs"], **schema["kinds"]["Deployment"]}, broken)) == 2


def test_kustomize_names_the_files_that_are_there() -> None:
    folder = DEPLOY / "kubernetes"
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert sorted([*told["resources"], "kustomization.yaml"]) == sorted(path.name for path in folder.glob("*.yaml"))
    assert all((folder / name).is_file() for each in told["configMapGenerator"] for name in each["files"])


def test_selectors_of_kubernetes_find_the_pods() -> None:
    found = list(manifests())
    pods = [each["spec"]["template"] for each in found if "template" in each.get("spec", {})]
    labels = [pod["metadata"]["labels"].items() for pod in pods]
    assert len(labels) == 3
    for each in found:
        spec = each.get("spec", {})
        wanted = spec.get("podSelector", {}).get("matchLabels") or (
            spec.get("selector", {}).get("matchLabels", spec.get("selector"))
        )
        if wanted:
            assert any(wanted.items() <= own for own in labels), each["metadata"]["name"]


def test_compose_takes_the_file() -> None:
    schema = json.loads((SCHEMAS / "compose.json").read_text())
    assert wrong(schema, COMPOSE) == []
    broken = {**COMPOSE, "services": {"node": {"image": 5, "port": []}}}
    assert len(wrong(schema, broken)) == 2


def test_what_the_services_of_compose_name_is_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            there = (DEPLOY / "compose" / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert there, (name, source)
        for other, how in service.get("depends_on", {}).items():
            awaited = COMPOSE["services"][other]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in awaited, (name, other)
            else:
                assert (how["condition"], awaited["restart"]) == ("service_completed_successfully", "no")


@pytest.mark.parametrize("path", ["config/prometheus/prometheus.yml", "deploy/compose/prometheus.yml"])
def test_prometheus_takes_its_settings(path: str, tmp_path: Path) -> None:
    for rules in ("recording.yml", "alerts.yml"):
        shutil.copy(ROOT / "config" / "prometheus" / rules, tmp_path)
    (tmp_path / "cadencia-metrics-key").write_text("cad_x")
    copied = shutil.copy(ROOT / path, tmp_path)
    done = subprocess.run([program("promtool"), "check", "config", copied], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text()
        # It wants a program that is there.
        (tmp_path / name).write_text(text.replace("/opt/cadencia/bin/cadencia", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name.replace("@", "@1")) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- what the programs make of it


@pytest.mark.parametrize("folder", ["compose", "kubernetes"])
def test_every_variable_is_a_setting_and_takes_effect(folder: str) -> None:
    path = DEPLOY / folder / "cadencia.toml"
    found = list(variables(folder))
    assert len(found) == 3
    for environment in found:
        ours = {name: value for name, value in environment.items() if name.startswith("CADENCIA_")}
        assert len(ours) >= 2
        settings = load(path, ours, secrets=False)
        assert {name: value_of(settings, name) for name in ours} == ours


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_writes_where_it_may_and_reads_what_it_is_given(name: str, tmp_path: Path) -> None:
    lines = unit(name)
    home = next(f"/var/lib/{value}" for key, value in lines if key == "StateDirectory")
    for key, value in lines:
        if key == "LoadCredential":
            (tmp_path / value.partition(":")[0]).write_text("from systemd")
    environment = dict(
        value.replace("%d", str(tmp_path)).replace("%i", "1").split("=", 1)
        for key, value in lines
        if key == "Environment"
    )
    # With the settings that the deployment page has installed; of their secrets it is allowed these alone.
    settings = load(ROOT / "config" / "cadencia.toml", environment)
    assert settings.data_dir == home
    assert ("WorkingDirectory", home) in lines, "what the settings name by a relative path"
    assert settings.asterisk[0].secret == ("from systemd" if name == "cadencia.service" else "")
