"""Every line that the program logs says one constant thing, with ids beside it and nobody's data in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
#: What nobody may read in a log.
PERSONAL = {"phone", "phones", "number", "name", "contact", "notes", "fields", "amount", "email", "password"}


def lines() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger, and where it stands."""
    for folder in ("dialer", "workers", "pacing"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in LEVELS
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id in {"_log", "log", "logger"}
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


@pytest.fixture(scope="module")
def written() -> dict[str, ast.Call]:
    return dict(lines())


def test_a_line_is_a_constant_with_values_beside_it(written: dict[str, ast.Call]) -> None:
    for where, line in written.items():
        assert len(line.args) == 1, f"{where}: values stand beside the text, by name"
        assert isinstance(line.args[0], ast.Constant), where
        named = {keyword.arg for keyword in line.keywords}
        assert None not in named, f"{where}: what ** brings in cannot be looked through"
        assert not named & PERSONAL, where


def test_there_are_lines_and_those_of_calls_name_the_call(written: dict[str, ast.Call]) -> None:
    assert len(written) > 60
    about_calls = {
        where: line
        for where, line in written.items()
        if isinstance(line.args[0], ast.Constant) and str(line.args[0].value).startswith(("call ", "originate"))
    }
    assert len(about_calls) >= 8
    for where, line in about_calls.items():
        assert "call" in {keyword.arg for keyword in line.keywords}, where
