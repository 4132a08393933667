"""`cadencia campaign filter`: what does not fit together is refused before anybody is asked."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from dialer.cli.application import app


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set"], "--set needs a filter"),
        (["--clear", "--set"], "--clear takes away the filter"),
        (["--clear", 'state = "CA"'], "--clear takes away the filter"),
    ],
)
def test_what_does_not_fit_together(arguments: list[str], says: str) -> None:
    wrong = CliRunner().invoke(
        app, ["campaign", "filter", "winter", *arguments, "--api-url", "http://127.0.0.1:1", "--api-key", "k"]
    )
    assert wrong.exit_code == 2
    assert says in wrong.output
