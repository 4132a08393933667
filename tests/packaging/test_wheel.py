"""What is shipped: the wheel as it is built, installed by itself, run from elsewhere."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from dialer.settings import load

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"dialer", "pacing", "workers"}
CONFIG = ROOT / "config"


def files(folder: Path, suffix: str) -> set[str]:
    """Files below a folder of the sources, as the wheel should name them."""
    return {path.relative_to(ROOT).as_posix() for path in folder.rglob(f"*{suffix}") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Everything in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own; its dependencies are those of this environment."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(target), wheel],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return target


def run(installed: Path, cwd: Path, *command: str) -> str:
    """A program that finds the installed wheel and not the sources."""
    # -P and no PYTHONPATH but ours: neither the working folder nor an editable install come first
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CADENCIA_"))}
    done = subprocess.run(
        [sys.executable, "-P", *command],
        cwd=cwd,
        env={**environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_top_level_names_are_these_three(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert len(tops) == len(PACKAGES) + 1


def test_it_has_every_module_script_and_migration(names: set[str]) -> None:
    for package in PACKAGES:
        assert files(ROOT / package, ".py") <= names
        assert f"{package}/py.typed" in names, "types are for users, too"
    lua = files(ROOT / "dialer" / "queues", ".lua")
    assert lua
    assert lua <= names
    versions = files(ROOT / "dialer" / "storage" / "migrations", ".py")
    assert any("/versions/" in name for name in versions)
    assert versions <= names


def test_it_has_the_mappings_of_crms(names: set[str]) -> None:
    shipped = {f"dialer/crm/mappings/{path.name}" for path in (CONFIG / "crm").glob("*.toml")}
    assert len(shipped) >= 6
    assert shipped <= names


def test_it_has_the_jurisdictions_and_can_be_asked_why(names: set[str], installed: Path, tmp_path: Path) -> None:
    shipped = {f"dialer/compliance/jurisdictions/{path.name}" for path in (CONFIG / "jurisdictions").glob("*.toml")}
    rules = {f"dialer/simulation/rules/{name}.toml" for name in ("ES", "POLICY")}
    assert shipped | rules <= names
    ask = ("-m", "dialer.cli", "why", "--phone", "+34910123456", "--purpose", "debt", "--json")
    told = json.loads(run(installed, tmp_path, *ask, "--at", "2026-11-26T12:00:00+01:00"))
    assert told["permit"] is True


def test_it_has_nothing_else(names: set[str]) -> None:
    shipped = {name for name in names if ".dist-info/" not in name}
    others_work = {name for name in shipped if "/static/vendor/" in name}
    kinds = {Path(name).suffix for name in shipped - others_work}
    assert kinds <= {".py", ".lua", ".typed", ".mako", ".html", ".css", ".js", ".svg", ".toml"}, kinds
    assert {Path(name).suffix for name in others_work} == {".js", ".css", ".LICENSE", ""}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_its_metadata_names_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        (entries,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert any(name.endswith("/LICENSE") for name in archive.namelist())
        text = archive.read(metadata).decode()
        assert "cadencia = dialer.cli:main" in archive.read(entries).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Name: {project['name']}\n" in text
    assert f"Version: {project['version']}\n" in text
    assert "License-Expression: Apache-2.0\n" in text


def test_nobody_else_owns_these_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["cadencia"])) == {"cadencia"}, "a dependency ships a package of the same name"


def test_it_runs_from_elsewhere(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import dialer, pacing, workers; print(dialer.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    told = run(installed, tmp_path, "-m", "dialer.cli", "--help")
    for command in ("demo", "serve", "worker", "campaign", "list", "dnc", "agents", "report", "doctor", "db"):
        assert re.search(rf"\b{command}\b", told), told
    script = installed / "bin" / "cadencia"
    assert "demo" in run(installed, tmp_path, str(script), "--help")


def test_it_brings_a_database_up_from_elsewhere(installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "cadencia.toml"
    config.write_text(f'[database]\nurl = "sqlite:///{tmp_path / "new" / "cadencia.db"}"\n')
    run(installed, tmp_path, "-m", "dialer.cli", "db", "upgrade", "--config", str(config))
    assert (tmp_path / "new" / "cadencia.db").stat().st_size > 0
    scripts = run(
        installed,
        tmp_path,
        "-c",
        "from dialer.queues import keys, scripts; print(scripts.Scripts(keys.Keys())['gate'])",
    )
    assert re.fullmatch(r"[0-9a-f]{40}\s*", scripts)


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(CONFIG.rglob("*")) if path.is_file()],
    ids=lambda path: path.relative_to(CONFIG).as_posix(),
)
def test_every_file_in_config_loads(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.strip()
    match path.suffix:
        case ".toml" if path.name == "cadencia.toml":
            secret = tmp_path / "secret"
            secret.write_text("sesame")
            settings = load(path, {"CADENCIA_ASTERISK__0__SECRET": f"file:{secret}"})
            assert settings.asterisk[0].secret == "sesame"
            assert settings.asterisk[0].trunks
        case ".toml":
            assert tomllib.loads(text)
        case ".yml" | ".yaml":
            assert importlib.import_module("yaml").safe_load(text)  # that of litestar; without types
        case ".json":
            assert json.loads(text)
        case ".conf":
            assert re.search(r"^\[[^\]]+\]", text, re.MULTILINE), "an Asterisk file has sections"
        case ".service" | ".md" | ".env" | "":
            pass
        case other:
            pytest.fail(f"nothing here knows how to load {other}: {path.name}")


def test_every_name_of_a_job_resolves() -> None:
    """RQ stores dotted names: one that cannot be imported is a job that never runs."""
    named = re.compile(r"\"((?:workers|dialer)(?:\.[a-z_]+)+)\"")
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found |= {
                name for name in named.findall(path.read_text(encoding="utf-8")) if name.partition(".")[0] in PACKAGES
            }
    jobs = {name for name in found if name.startswith("workers.")}
    assert len(jobs) >= 2, found
    for name in sorted(found):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert callable(getattr(importlib.import_module(module), attribute)), name
