"""`cadencia user` on a real database: the password from standard input alone, every change in the audit log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from dialer.cli.application import app
from dialer.core.audit_note import AuditQuery
from dialer.errors import InputError
from dialer.runtime.clock import Clock
from dialer.storage.audit_log import AuditLog
from dialer.storage.database import Database
from tests.accounts import BETTER, GOOD, desk

T = TypeVar("T")


@pytest.fixture
def config(tmp_path: Path, sqlite_url: str) -> Path:
    path = tmp_path / "cadencia.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n[database]\nurl = "{sqlite_url}"\n', encoding="utf-8")
    return path


def run(config: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["user", *words, "--config", str(config)], input=typed)


def on_database(config: Path, ask: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    async def inside() -> T:
        database = Database(f"sqlite:///{config.parent}/cadencia.db")
        try:
            return await ask(database)
        finally:
            await database.close()

    return asyncio.run(inside())


def lets_in(config: Path, name: str, password: str) -> bool:
    found = on_database(config, lambda database: desk(database, Clock()).sign_in(name, password, ""))
    return found is not None


def test_a_user_from_the_first_password_to_the_last(config: Path) -> None:
    made = run(config, "create", "Marta", "manager", typed=f"{GOOD}\n")
    assert made.exit_code == 0, made.output
    assert GOOD not in made.output
    assert lets_in(config, "marta", GOOD)
    assert run(config, "role", "marta", "agent", "--agent", "marta-2").exit_code == 0
    (row,) = json.loads(run(config, "list", "--json").stdout)
    assert (row["name"], row["role"], row["agent"], row["state"], row["code"]) == (
        *("marta", "agent", "marta-2"),
        *("active", "off"),
    )
    assert "argon2" not in json.dumps(row)
    assert run(config, "disable", "marta").exit_code == 0
    assert not lets_in(config, "marta", GOOD)
    assert run(config, "enable", "marta").exit_code == 0
    assert run(config, "password", "marta", typed=f"{BETTER}\n").exit_code == 0
    assert run(config, "no-code", "marta").exit_code == 0
    assert not lets_in(config, "marta", GOOD)
    assert lets_in(config, "marta", BETTER)
    deeds = on_database(config, lambda database: AuditLog(database).page(AuditQuery(), None, 100))
    assert [row.note.action for row in reversed(deeds)] == [
        "user.created",
        "user.role",
        "user.disabled",
        "user.enabled",
        "user.password",
        "user.second_factor_off",
    ]
    assert {(row.note.object, row.note.who.partition(":")[0]) for row in deeds} == {("user:marta", "cli")}
    assert GOOD not in repr(deeds)


@pytest.mark.parametrize(
    ("words", "typed", "says"),
    [
        (("create", "eva", "crm"), GOOD, "no role"),
        (("create", "eva", "agent"), "short\n", "at least 12"),
        (("create", "eva", "agent"), "", "at least 12"),
        (("create", "e v a", "agent"), GOOD, "name"),
        (("create", "eva", "agent", "--agent", "e v a"), GOOD, "agent"),
        (("disable", "nobody"), "", "no user"),
        (("role", "nobody", "agent"), "", "no user"),
        (("password", "nobody"), GOOD, "no user"),
    ],
)
def test_what_cannot_be_is_refused_and_not_on_record(
    config: Path, words: tuple[str, ...], typed: str, says: str
) -> None:
    done = run(config, *words, typed=typed)
    assert done.exit_code != 0
    assert says in (str(done.exception) if isinstance(done.exception, InputError) else done.output)
    assert json.loads(run(config, "list", "--json").stdout) == []
    assert on_database(config, lambda database: AuditLog(database).page(AuditQuery(), None, 10)) == []


def test_no_password_on_the_command_line(config: Path) -> None:
    for command in ("create", "password"):
        assert "--password" not in run(config, command, "--help").output
    assert run(config, "create", "eva", "agent", GOOD).exit_code == 2
