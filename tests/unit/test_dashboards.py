"""The committed dashboards are what the code gives, and ask for what Cadencia exports or Prometheus records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.boards.all import BOARDS, FOLDER, write
from tests.dashboards import queries_of
from tests.prometheus import RECORDED, exported, names_in

FILES = sorted(FOLDER.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_the_files_are_what_the_code_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert write(check=True) == 0, capsys.readouterr().err
    assert [path.stem for path in FILES] == sorted(board.name for board in BOARDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_asks_for_what_exists(path: Path) -> None:
    known = exported() | set(RECORDED)
    for title, expr in queries_of(path):
        used = names_in(expr)
        assert used <= known, f"{title}: {sorted(used - known)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_can_be_read_by_people(path: Path) -> None:
    document = read(path)
    assert document["uid"] == f"cadencia-{path.stem}"
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
    picked = {variable["name"] for variable in document["templating"]["list"]}
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert "$campaign" not in target["expr"] or "campaign" in picked
            assert "$instance" not in target["expr"] or "instance" in picked


def test_no_person_is_shown() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for label in ("phone=", "phone)", "contact=", "agent=", "{{phone", "{{agent", "{{contact"):
            assert label not in text
