"""`cadencia --version`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from typer.testing import CliRunner

from dialer.cli.application import app


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.stdout) == (0, f"cadencia {project['version']}\n")
