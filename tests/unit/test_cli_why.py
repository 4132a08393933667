"""`cadencia why`, without a node and without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from dialer.cli import why
from tests.compliance_rules import SHIPPED

app = typer.Typer()
app.command()(why.why)
SUNDAY = "2026-11-22T12:00:00+01:00"


def ask(*options: str) -> Result:
    return CliRunner().invoke(app, ["--rules", str(SHIPPED), *options])


def test_why_not_now_and_when() -> None:
    told = ask("--phone", "+34910123456", "--at", SUNDAY, "--purpose", "debt")
    assert told.exit_code == 0, told.output
    assert "no  Sunday: no calls about debts by the house policy" in told.output
    assert "next: Monday 2026-11-23 09:00 in Madrid" in told.output
    assert "POLICY-hours@2020-01-01 (policy)" in told.output


def test_national_numbers_belong_to_the_default_region() -> None:
    told = ask("--phone", "910 123 456", "--at", SUNDAY, "--purpose", "debt", "--json")
    assert json.loads(told.output)["zones"] == ["Europe/Madrid"]


def test_json_for_machines(tmp_path: Path) -> None:
    record = tmp_path / "consent.json"
    consent = {
        "id": "c-1",
        "purposes": ["marketing"],
        "source": "form",
        "text": "I agree.",
        "given_at": "2026-05-04T10:12:00+02:00",
    }
    record.write_text(json.dumps([consent]))
    told = ask(
        "--phone", "+34600111222", "--at", "2026-11-23T12:00:00+01:00", "--postcode", "38001",
        "--consent", str(record), "--campaign", "winter", "--json",
    )  # fmt: skip
    data = json.loads(told.output)
    assert data["permit"] is True
    assert data["consent"] == "c-1"
    assert data["zones"] == ["Atlantic/Canary"]


def test_it_answers_for_now() -> None:
    data = json.loads(ask("--phone", "+34910123456", "--purpose", "service", "--json").output)
    assert data["permit"] or data["retry_at"] > data["at"]


def test_the_rules_are_found_beside_the_settings() -> None:
    told = CliRunner().invoke(
        app, ["--config", str(SHIPPED.parent / "cadencia.toml"), "--phone", "+34910123456", "--json"]
    )
    assert told.exit_code == 0, told.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--phone", "hello"], "write it as +34600111222"),
        (["--phone", "+34910123456", "--at", "tomorrow"], "is no moment with its zone"),
        (["--phone", "+34910123456", "--purpose", "spam"], "marketing, debt, survey or service"),
        (["--phone", "+34910123456", "--basis", "because"], "current_contract"),
        (["--phone", "+34910123456", "--jurisdiction", "PT"], "no file about 'PT'"),
    ],
)
def test_wrong_usage_says_what_to_write(options: list[str], said: str) -> None:
    told = ask(*options)
    assert told.exit_code == 2
    assert said in told.output


def test_a_consent_that_is_none_is_told(tmp_path: Path) -> None:
    record = tmp_path / "consent.json"
    record.write_text('{"id": "c-1"}')
    told = ask("--phone", "+34910123456", "--consent", str(record))
    assert told.exit_code == 1
    assert "missing required field" in told.output
