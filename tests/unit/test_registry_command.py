"""`cadencia registry`: build, list, check, use, remove; for people and for machines, with exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dialer.cli.application import main
from dialer.runtime.clock import Clock

DAY_S = 86_400


class Command:
    """Runs the command in this process; tells exit code and what was printed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.argv", ["cadencia", "registry", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        printed = self._capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return code, printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def source(self, text: str) -> str:
        path = self.folder / "source.txt"
        path.write_text(text, encoding="utf-8")
        return str(path)


def day(age_days: int = 0) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(Clock().now() - age_days * DAY_S, UTC).date().isoformat()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    config = tmp_path / "cadencia.toml"
    config.write_text(
        f'data_dir = "{tmp_path}"\n[[registries.lists]]\nname = "national"\nmax_age_days = 31\nregion = "US"\n'
        'column = "1+2"\ncampaigns = ["winter"]\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("CADENCIA_CONFIG", str(config))
    monkeypatch.setenv("COLUMNS", "200")
    return Command(tmp_path, monkeypatch, capsys)


def test_a_registry_is_built_as_the_settings_say_listed_and_asked(command: Command) -> None:
    built = command.json("build", "national", command.source("212,5551234\n646,5550000\n"), "--source-date", day(1))
    assert (built["count"], built["in_force"], built["bad"]) == (2, True, 0)
    (row,) = command.json("list")
    assert (row["version"], row["count"], row["refuses"]) == (built["version"], 2, "")
    assert 1 <= row["age_days"] < 2
    listed, clear = command.json("check", "+12125551234", "+12125551235")
    assert (listed["verdict"], listed["version"], clear["verdict"]) == ("listed", built["version"], "clear")
    assert clear["consulted"][0]["version"] == built["version"]


def test_a_campaign_is_told_that_its_registry_is_too_old(command: Command) -> None:
    command.json("build", "national", command.source("212,5551234\n"), "--source-date", day(40))
    code, out, _ = command("check", "+12125551235", "--campaign", "winter", "--json")
    assert (code, json.loads(out)[0]["verdict"]) == (1, "registry_too_old")
    _, out, _ = command("list")
    assert "(40 days old, at most 31 are allowed)" in out
    code, _, err = command("check", "+12125551235", "--campaign", "summer")
    assert code == 1
    assert "there is no registry to ask" in err


def test_a_source_with_bad_lines_is_refused_without_a_number_in_the_text(command: Command) -> None:
    code, out, err = command("build", "national", command.source("212,5551234\n212,555x\n"), "--source-date", day())
    assert (code, out) == (1, "")
    assert "1 of 2 lines of source.txt are no numbers" in err
    assert "line 2: 999,999x" in err
    assert "5551234" not in err


def test_a_version_that_was_held_back_is_used_and_the_old_one_removed(command: Command) -> None:
    old = command.json("build", "house", command.source("+34600111222\n+34600111223\n"), "--source-date", day())
    code, _, err = command("build", "house", command.source("+34600111222\n+34900*\n"), "--source-date", day())
    assert code == 1
    assert "was built and is not in force" in err
    versions = command.json("list", "house")[0]["versions"]
    (new,) = [version["version"] for version in versions if not version["in_force"]]
    code, _, err = command("remove", "house", old["version"])
    assert code == 1
    assert "is in force" in err
    assert command("use", "house", new)[0] == 0
    assert command("remove", "house", old["version"])[0] == 0
    assert [version["version"] for version in command.json("list", "house")[0]["versions"]] == [new]
    assert "national" in command("check", "+34900111222")[1]  # must be asked, and cannot be
    command.json("build", "national", command.source("212,5551234\n"), "--source-date", day())
    code, out, _ = command("check", "+34900111222")
    assert (code, "+34900*" in out) == (0, True)


def test_what_is_wrong_is_said(command: Command) -> None:
    assert command("check", "600111222")[0] == 2
    assert "no registry 'nobody'" in command("list", "nobody")[2]
    assert "is no version" in command("use", "national", "x")[2]
    assert "cannot read" in command("build", "national", "/nowhere/file", "--source-date", day())[2]
    source = command.source("212,5551234\n")
    assert "there is no worker" in command("build", "national", source, "--source-date", day(), "--worker")[2]
    assert "source date" in command("build", "national", source, "--source-date", "2999-01-01")[2]
    assert command("build", "national", source, "--source-date", "yesterday")[0] == 2


def test_a_list_without_any_registry_says_how_to_build_one(command: Command) -> None:
    _, out, _ = command("list")
    assert "build one with cadencia registry build" in out
