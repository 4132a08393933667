"""`cadencia tenant` on a real database, and keys and users of a tenant."""

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
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.storage.audit_log import AuditLog
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.keys import Keys
from dialer.storage.users import UserRecord
from tests.accounts import GOOD

T = TypeVar("T")


@pytest.fixture
def config(tmp_path: Path, sqlite_url: str) -> Path:
    path = tmp_path / "cadencia.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n[database]\nurl = "{sqlite_url}"\n', encoding="utf-8")
    return path


def run(config: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)], input=typed)


def on_database(config: Path, ask: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    async def inside() -> T:
        database = Database(f"sqlite:///{config.parent}/cadencia.db")
        try:
            return await ask(database)
        finally:
            await database.close()

    return asyncio.run(inside())


def add(config: Path, *campaigns: str) -> None:
    async def make(database: Database) -> None:
        for name in campaigns:
            await Campaigns(database).create(Campaign(id=CampaignId(name)), 1.0)

    on_database(config, make)


def test_a_tenant_has_what_is_called_so_and_keys_and_users(config: Path) -> None:
    assert run(config, "tenant", "create", "acme").exit_code == 0
    add(config, "acme--winter", "acme-2--winter", "winter")
    assert run(config, "key", "create", "manager", "ana", "--tenant", "acme").exit_code == 0
    assert run(config, "key", "create", "agent", "acme--eva", "--tenant", "acme").exit_code == 0
    made = run(config, "user", "create", "ana", "manager", "--tenant", "acme", typed=f"{GOOD}\n")
    assert made.exit_code == 0, made.output
    (row,) = json.loads(run(config, "tenant", "list", "--json").stdout)
    assert {name: row[name] for name in ("name", "campaigns", "keys", "users")} == {
        "name": "acme",
        "campaigns": 1,
        "keys": 2,
        "users": 1,
    }
    assert {key.tenant for key in on_database(config, lambda database: Keys(database).all())} == {"acme"}
    assert [user.tenant for user in on_database(config, lambda database: UserRecord(database).all())] == ["acme"]
    deeds = on_database(config, lambda database: AuditLog(database).page(AuditQuery(), None, 10))
    assert [deed.note.details.get("tenant") for deed in deeds] == ["acme", "acme", "acme", None]
    assert deeds[-1].note.object == "tenant:acme"


def test_what_there_is_becomes_a_tenants_only_where_that_is_said(config: Path) -> None:
    add(config, "acme--winter")
    run(config, "key", "create", "agent", "acme--eva")
    refused = run(config, "tenant", "create", "acme")
    assert refused.exit_code == 1
    assert "acme--eva, acme--winter would be the tenant's" in refused.output
    assert json.loads(run(config, "tenant", "list", "--json").stdout) == []
    assert run(config, "tenant", "create", "acme", "--adopt").exit_code == 0
    assert run(config, "tenant", "create", "acme", "--adopt").exit_code == 1


@pytest.mark.parametrize("name", ["Acme", "a--b", "-a", "a-", "a_b", "ä", "x" * 25, "a b", ""])
def test_a_name_from_which_nothing_follows_is_refused(config: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["tenant", "create", "--config", str(config), "--", name])
    assert done.exit_code == 2
    assert "no tenant can be called" in done.output


def test_nobody_is_of_a_tenant_that_there_is_not_or_works_as_somebody_elses_agent(config: Path) -> None:
    assert "there is no tenant 'acme'" in str(run(config, "key", "create", "crm", "x", "--tenant", "acme").exception)
    assert "there is no tenant" in str(
        run(config, "user", "create", "ana", "manager", "--tenant", "acme", typed=f"{GOOD}\n").exception
    )
    run(config, "tenant", "create", "acme")
    for agent in ("eva", "beta--eva"):
        done = run(config, "key", "create", "agent", agent, "--tenant", "acme")
        assert "are called acme--" in str(done.exception)
        typed = f"{GOOD}\n"
        made = run(config, "user", "create", "ana", "agent", "--agent", agent, "--tenant", "acme", typed=typed)
        assert "are called acme--" in str(made.exception)
    assert on_database(config, lambda database: Keys(database).all()) == []
    run(config, "user", "create", "ana", "manager", "--tenant", "acme", typed=f"{GOOD}\n")
    moved = run(config, "user", "role", "ana", "agent", "--agent", "beta--eva")
    assert "are called acme--" in str(moved.exception)
