"""What is in `deploy/` says what the programs understand, and gives away no rights."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialer.api.app import create_app
from dialer.settings import Settings, load
from dialer.testing import FakeNode

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("cadencia")}


def workloads() -> dict[str, Any]:
    """Everything that runs a pod, by its name."""
    return {
        one["metadata"]["name"]: one["spec"] for one in MANIFESTS if one["kind"] in ("Job", "StatefulSet", "Deployment")
    }


def understood(arguments: list[str]) -> bool:
    """Whether the command exists."""
    done = subprocess.run(
        [sys.executable, "-m", "dialer.cli", *arguments, "--help"], capture_output=True, check=False, text=True
    )
    return done.returncode == 0


def test_the_page_of_settings_is_what_the_types_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "settings-reference"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_takes_everything_by_hash_and_is_nobody() -> None:
    lines = (DEPLOY / "Dockerfile").read_text()
    installs = re.findall(r"pip install [^\n]*", lines)
    assert len(installs) == 2
    assert all("--no-deps" in line for line in installs)
    assert "--require-hashes" in installs[0]
    users = re.findall(r"^USER (\S+)$", lines, re.MULTILINE)
    assert users == ["10001:10001"]
    assert lines.rindex("USER") > lines.rindex("COPY")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", lines, re.MULTILINE)
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert {name for line in copied for name in line.split()} <= allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_every_command_of_compose_and_kubernetes_exists() -> None:
    asked = {tuple(service.get("command", ["serve"])) for service in OURS.values()}
    asked |= {tuple(c["args"]) for spec in workloads().values() for c in spec["template"]["spec"]["containers"]}
    for unit in (DEPLOY / "systemd").glob("*.service"):
        found = re.search(r"^ExecStart=\S+/cadencia (\w+)", unit.read_text(), re.MULTILINE)
        assert found is not None
        asked.add((found[1],))
    assert asked == {("serve",), ("worker",), ("db", "upgrade")}
    assert all(understood(list(arguments)) for arguments in asked)


@pytest.mark.parametrize("name", sorted(OURS))
def test_containers_of_ours_have_no_rights(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(":ro" in volume or not volume.startswith(".") for volume in service["volumes"])


@pytest.mark.parametrize("name", sorted(workloads()))
def test_pods_have_no_rights(name: str) -> None:
    pod = workloads()[name]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claims = {claim["metadata"]["name"] for claim in workloads()[name].get("volumeClaimTemplates", [])}
        assert mounted <= {volume["name"] for volume in pod["volumes"]} | claims


def test_probes_ask_what_the_node_answers(tmp_path: Path) -> None:
    paths = {route.path for route in create_app(FakeNode(tmp_path).ports, Settings()).routes}
    container = workloads()["cadencia-node"]["template"]["spec"]["containers"][0]
    probes = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert probes <= paths
    ports = {port["name"] for port in container["ports"]}
    assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")} <= ports


@pytest.mark.parametrize("folder", ["compose", "kubernetes"])
def test_the_settings_load_and_hold_no_secret(folder: str) -> None:
    path = DEPLOY / folder / "cadencia.toml"
    settings = load(path, environ={}, secrets=False)
    assert settings.asterisk[0].secret.startswith("file:/run/secrets/")
    assert settings.compliance.suppression_key.startswith("file:/run/secrets/")
    assert settings.api.host == "0.0.0.0"


def test_every_secret_that_is_named_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "compose"
    folder.mkdir()
    script = Path(shutil.copy(DEPLOY / "compose" / "make-secrets", folder))
    subprocess.run([str(script)], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == set(made)
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= set(made)
    assert all(len(value) >= 64 for value in made.values())
    assert made["database-password"] in made["database-url"]
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    # a second time nothing is made anew: what the volumes were made with must stay
    subprocess.run([str(script)], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in (folder / "secrets").iterdir()} == made


def test_valkey_forgets_nothing_that_it_has_acknowledged() -> None:
    command = COMPOSE["services"]["valkey"]["command"][-1]
    assert "--appendonly yes --appendfsync always --maxmemory-policy noeviction" in command


def test_the_bill_of_materials_has_all_that_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "bill.json"
    command = ["requirements", str(ROOT / "requirements.txt"), "--output-reproducible", "--of", "JSON", "-o", str(path)]
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *command], check=True, capture_output=True)
    locked = set(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    bill = json.loads(path.read_text())["components"]
    assert {(part["name"], part["version"]) for part in bill} == locked
    assert all(part["externalReferences"][0]["hashes"] for part in bill)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("name", ["cadencia.service", "cadencia-worker@.service"])
def test_units_are_units_and_give_no_rights(name: str) -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(DEPLOY / "systemd" / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-400:] + rated.stderr
