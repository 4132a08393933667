"""Recording rules and alerts: they use what exists, fire on what they are for, each with its page in the run book."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from dialer.cli.application import app
from tests.prometheus import FOLDER, RECORDED, exported, names_in, program, read, rules

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "data" / "prometheus" / "alerts_test.yml"
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}


def test_rules_use_only_what_exists() -> None:
    known = exported() | set(RECORDED)
    for rule in (*ALERTS.values(), *RECORDED.values()):
        used = names_in(rule["expr"])
        assert used <= known, f"{rule}: {sorted(used - known)}"
        assert used or "queue_depth" in rule["expr"] or "up{" in rule["expr"]


def test_recorded_figures_are_asked_for() -> None:
    """What nobody asks for need not be computed every 15 seconds."""
    asked = " ".join(rule["expr"] for rule in ALERTS.values())
    asked += " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "config" / "grafana").rglob("*.json"))
    assert [name for name in RECORDED if name not in asked] == []


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_page_in_the_run_book(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    book = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", book, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/operations.md has no section {name}"
    # What it means, and what to do about it.
    assert len(section[1].split()) > 30


def test_the_run_book_names_commands_that_exist() -> None:
    book = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    commands: Any = typer.main.get_command(app)
    named = re.findall(r"(?:`|^    )cadencia ([a-z-]+)(?: ([a-z-]+))?", book, re.MULTILINE)
    assert len(named) > 20
    for group, command in named:
        found = commands.commands[group]
        assert not command or not hasattr(found, "commands") or command in found.commands, f"{group} {command}"


def test_the_run_book_has_no_alert_that_is_gone() -> None:
    book = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (Cadencia\w+)", book, re.MULTILINE)) == set(ALERTS)


def test_every_alert_is_tested_both_ways() -> None:
    cases = read(CASES.read_text(encoding="utf-8"))["tests"]
    fires: set[str] = set()
    quiet: set[str] = set()
    for case in cases:
        for check in case.get("alert_rule_test", ()):
            (fires if check.get("exp_alerts") else quiet).add(check["alertname"])
    assert fires == quiet == set(ALERTS)


def test_prometheus_reads_both_files() -> None:
    settings = read((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert settings["rule_files"] == ["recording.yml", "alerts.yml"]


def test_promtool_takes_the_rules_and_they_do_what_the_cases_say() -> None:
    promtool = program("promtool")
    for command in (
        [promtool, "check", "rules", "recording.yml", "alerts.yml"],
        [promtool, "test", "rules", str(CASES)],
    ):
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
