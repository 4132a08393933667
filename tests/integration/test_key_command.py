"""`cadencia key` on a real database: shown once, found by the server's own look-up, worthless when revoked."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dialer.cli.application import app
from dialer.core.audit_note import AuditQuery
from dialer.runtime.api_ports import StoredKeys
from dialer.runtime.clock import Clock
from dialer.storage import schema
from dialer.storage.audit_log import AuditLog
from dialer.storage.database import Database
from dialer.storage.keys import Keys


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cadencia.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n[database]\nurl = "sqlite:///{tmp_path}/c.db"\n', encoding="utf-8")
    return path


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["key", *words, "--config", str(config)])


def on_database(config: Path, ask: Any) -> Any:
    async def inside() -> Any:
        database = Database(f"sqlite:///{config.parent}/c.db")
        try:
            return await ask(database)
        finally:
            await database.close()

    return asyncio.run(inside())


def found(config: Path, secret: str) -> Any:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return on_database(config, lambda database: StoredKeys(Keys(database), Clock().now).find(digest))


def test_a_key_opens_the_api_until_it_is_revoked(config: Path) -> None:
    schema.upgrade(f"sqlite:///{config.parent}/c.db")
    made = run(config, "create", "crm", "sync job")
    secret = made.stdout.strip()
    assert made.exit_code == 0
    assert found(config, secret).role == "crm"
    listed = json.loads(run(config, "list", "--json").stdout)
    assert [(row["role"], row["name"], row["state"]) for row in listed] == [("crm", "sync job", "good")]
    assert secret not in json.dumps(listed)
    assert run(config, "revoke", listed[0]["id"]).exit_code == 0
    assert found(config, secret) is None
    again = run(config, "revoke", listed[0]["id"])
    assert again.exit_code == 1
    assert "still good" in again.output
    deeds = on_database(config, lambda database: AuditLog(database).page(AuditQuery(), None, 10))
    assert [deed.note.action for deed in deeds] == ["key.revoked", "key.created"]
    assert {deed.note.object for deed in deeds} == {f"key:{listed[0]['id']}"}
    assert secret not in repr(deeds)


def test_a_key_for_some_days(config: Path) -> None:
    schema.upgrade(f"sqlite:///{config.parent}/c.db")
    made = json.loads(run(config, "create", "metrics", "prometheus", "--days", "30", "--json").stdout)
    assert found(config, made["key"]).expires_at == pytest.approx(Clock().now() + 30 * 86_400, abs=60)


def test_an_agents_key_acts_for_the_agent_of_its_name(config: Path) -> None:
    schema.upgrade(f"sqlite:///{config.parent}/c.db")
    assert found(config, run(config, "create", "agent", "eva").stdout.strip()).agent == "eva"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "boss", "x"), "there is no role"),
        (("create", "agent", "not a name"), "no agent can be called"),
        (("create", "crm", "a\x1b[31mb"), "printable"),
        (("create", "crm", "x" * 101), "printable"),
        (("create", "crm", " "), "printable"),
    ],
)
def test_wrong_words_make_no_key(config: Path, words: tuple[str, ...], says: str) -> None:
    schema.upgrade(f"sqlite:///{config.parent}/c.db")
    done = run(config, *words)
    assert done.exit_code == 2
    assert says in done.output
    assert json.loads(run(config, "list", "--json").stdout) == []


def test_a_database_without_tables_says_what_to_do(config: Path) -> None:
    assert "cadencia db upgrade" in str(run(config, "create", "crm", "x").exception)
