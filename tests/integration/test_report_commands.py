"""`cadencia report --by`, `history` and `actions` against a server with a real record behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dialer.actions.rules import parse_rules, rule_set
from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.cli.application import app
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.core.outcome import Outcome
from dialer.runtime.action_view import ActionView
from dialer.runtime.reports import Histories, Reports
from dialer.settings import Settings
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.testing import FakeNode
from tests.record_values import attempt

WINTER = CampaignId("winter")
RULES = '[[rules]]\nname = "text"\nwhen = { outcomes = ["busy"] }\nthen = { ask = { what = "sms" } }\n'


class Site:
    """A node with a record, and the command."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    async def cadencia(self, *words: str, node: bool = True) -> Result:
        where = ("--api-url", self.url, "--api-key", "manager-secret") if node else ()
        # In a thread: the command has an event loop of its own.
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, [*words, *where]))


@pytest.fixture
async def site(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    database, node = Database(sqlite_url), FakeNode(tmp_path)
    now = node.clock.now()
    node.keys.issue("manager-secret", Role.MANAGER)
    await node.campaigns.create(Campaign(id=WINTER), now)
    await Campaigns(database).create(Campaign(id=WINTER), now)
    ended = {"started_at": now - 3_700, "ended_at": now - 3_600}
    made = [attempt(number, outcome=Outcome.BUSY, **ended) for number in range(3)]
    await Attempts(database).record([(one, None) for one in made])
    rules = rule_set(parse_rules({"rules": [{"name": "r", "when": {"attempts": 2}, "then": {"priority": 5}}]}))
    ports = replace(
        node.ports,
        reports=Reports(database, Settings(), node.clock.now),
        histories=Histories(database),
        actions=ActionView(rules, database),
    )
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "cadencia.toml").write_text(f'[database]\nurl = "{sqlite_url}"\n')
    server = ApiServer(create_app(ports, Settings()), "127.0.0.1", 0)
    url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            yield Site(url, tmp_path)
        finally:
            server.stop()
    await database.close()


async def test_a_report_is_a_table_with_bars_a_document_a_file_or_a_reason_why_not(site: Site) -> None:
    shown = await site.cadencia("report", "--by", "outcome", "--show", "attempts", "--plot", "attempts")
    assert shown.exit_code == 0, shown.output
    assert "busy" in shown.stdout
    assert "█" in shown.stdout
    found = await site.cadencia("report", "winter", "--by", "campaign,outcome", "--json")
    assert json.loads(found.stdout)["rows"][0]["attempts"] == 3
    file = site.folder / "out.csv"
    saved = await site.cadencia("report", "--by", "outcome", "--outcome", "busy", "--out", str(file))
    assert saved.exit_code == 0, saved.output
    assert file.read_text(encoding="utf-8-sig").startswith("outcome,attempts,")
    empty = await site.cadencia("report", "--by", "agent", "--agent", "nobody")
    assert "No call ended" in empty.stdout
    for words, code, says in (
        (("report", "--by", "colour"), 1, "by: 'colour'"),
        (("report", "--by", "day", "--timezone", "Moon/Base"), 1, "timezone"),
        (("report", "--by", "day", "--show", "happiness"), 2, "'happiness' is no column"),
        (("report",), 2, "name a campaign"),
        (("report", "--by", "day", "--out", str(site.folder / "none" / "x.csv")), 1, "cannot write"),
    ):
        refused = await site.cadencia(*words)
        assert refused.exit_code == code, refused.output
        assert says in " ".join((refused.output + str(refused.exception)).split()), words


async def test_a_history_is_a_table_or_a_document(site: Site) -> None:
    shown = await site.cadencia("history", "crm-1", "--campaign", "winter")
    assert shown.exit_code == 0, shown.output
    assert {"attempt", "busy,"} <= set(shown.stdout.split())
    found = await site.cadencia("history", "--phone", "+34600000001", "--json")
    assert [entry["kind"] for entry in json.loads(found.stdout)["entries"]] == ["attempt"]
    assert "Nothing is on record" in (await site.cadencia("history", "ghost")).stdout
    assert (await site.cadencia("history")).exit_code == 2
    assert (await site.cadencia("history", "--phone", "+34600000001", "--campaign", "winter")).exit_code == 2


async def test_rules_are_checked_tried_and_listed(site: Site) -> None:
    file = str(site.folder / "rules.toml")
    assert "1 rules are all right: text" in (await site.cadencia("actions", "check", file, node=False)).stdout
    # The record's calls are of a clock that stands in 2027: as far back as can be asked for.
    config = ("--config", str(site.folder / "cadencia.toml"))
    tried = await site.cadencia("actions", "dry-run", file, "--days", "400", "--json", *config, node=False)
    assert tried.exit_code == 0, tried.output
    (rule,) = json.loads(tried.stdout)["rules"]
    assert (rule["rule"], rule["action"], rule["contacts"]) == ("text", "ask", 3)
    assert rule["examples"][0]["contact"] == "crm-0"
    table = await site.cadencia("actions", "dry-run", file, "--days", "400", *config, node=False)
    assert "3 contacts with 3 calls" in " ".join(table.stdout.split())
    assert "attempts 2" in " ".join((await site.cadencia("actions", "list")).stdout.split())
    assert json.loads((await site.cadencia("actions", "log", "--json")).stdout)["items"] == []
    bad = site.folder / "bad.toml"
    bad.write_text(RULES.replace("busy", "happy"))
    refused = await site.cadencia("actions", "check", str(bad), node=False)
    assert refused.exit_code == 1
    assert "'happy'" in str(refused.exception)
