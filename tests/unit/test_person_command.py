"""`cadencia person export`: one file for its owner alone, never over another, and nothing of it on the screen."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dialer.cli.client import Api
from dialer.cli.person import app

FOUND = {"numbers": ["+34600111222"], "other_numbers": ["+34910111222"], "tables": {"contacts": [{"name": "Ana Ñ"}]}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What a node is asked, which knows Ana."""
    seen: list[tuple[str, Any]] = []

    def post(_: Api, path: str, body: Any) -> Any:
        seen.append((path, body))
        return FOUND

    monkeypatch.setattr(Api, "post", post)
    return seen


def run(*options: str) -> Result:
    where = ["--api-url", "http://127.0.0.1:1", "--api-key", "k"]
    return CliRunner().invoke(app, ["export", "+34600111222", *options, *where])


def test_it_writes_a_file_for_its_owner_alone(asked: list[tuple[str, Any]], tmp_path: Path) -> None:
    target = tmp_path / "ana.json"
    told = run("--output", str(target), "--all-numbers")
    assert told.exit_code == 0, told.output
    assert asked == [("/persons/export", {"numbers": ["+34600111222"], "all_numbers": True})]
    assert json.loads(target.read_text(encoding="utf-8")) == FOUND
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "1 in contacts" in told.output
    assert "Ana" not in told.output


def test_a_file_that_exists_is_left_alone(asked: list[tuple[str, Any]], tmp_path: Path) -> None:
    target = tmp_path / "ana.json"
    target.write_text("mine")
    told = run("--output", str(target))
    assert told.exit_code == 1
    assert target.read_text() == "mine"
    assert run("--output", str(tmp_path / "no" / "folder.json")).exit_code == 1
    assert len(asked) == 2
