"""The threat model names what shows each of its defences, and that is there."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
#: Of an AMI user; with them whoever has its secret runs programs, reads files or changes the dialplan.
DANGEROUS = {"system", "command", "config", "all"}


def threats() -> list[tuple[str, str, str]]:
    """Threat, defence, and what shows it."""
    section = PAGE.partition("## Threats and what stands against them\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [(row[0], row[1], row[-1]) for row in rows[1:]]


@pytest.mark.parametrize(("threat", "shown"), [(threat, shown) for threat, _, shown in threats()])
def test_each_defence_is_shown_by_tests_that_are_there(threat: str, shown: str) -> None:
    named = re.findall(r"`(tests/[^`]+\.py)`", shown)
    assert named, f"nothing shows what stands against: {threat}"
    for path in named:
        assert "def test_" in (ROOT / path).read_text(encoding="utf-8"), path


def test_there_are_threats() -> None:
    assert len(threats()) > 20


def test_the_user_of_the_manager_interface_runs_no_programs_and_has_one_address() -> None:
    parser = configparser.ConfigParser(strict=False, delimiters=("=",), interpolation=None)
    parser.read(ROOT / "config" / "asterisk" / "manager.conf", encoding="utf-8")
    assert parser.sections() == ["general", "cadencia"], "nobody else may log in"
    user = parser["cadencia"]
    granted = {each.strip() for each in f"{user['read']},{user['write']}".split(",")}
    assert {"originate", "call"} <= granted
    assert not granted & DANGEROUS
    assert user["deny"] == "0.0.0.0/0.0.0.0"
    assert user["permit"] == "@AMI_PERMIT@"
