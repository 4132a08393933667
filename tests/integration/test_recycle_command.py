"""`cadencia list reset` and `penetration`, and their routes, against a server with fakes behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dialer.api.app import create_app
from dialer.api.intake_ports import ListImport
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.cli.application import app
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration, Reopened
from dialer.core.saying import NOTHING
from dialer.settings import Settings
from dialer.testing import FakeNode

WINTER = CampaignId("winter")


class Site:
    """A node with one campaign and one list, and the command."""

    def __init__(self, node: FakeNode, url: str) -> None:
        self.node = node
        self.url = url

    async def cadencia(self, *words: str) -> Result:
        arguments = [*words, "--api-url", self.url, "--api-key", "manager-secret"]
        # In a thread: the command has an event loop of its own.
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    node = FakeNode(tmp_path)
    node.keys.issue("manager-secret", Role.MANAGER)
    await node.campaigns.create(Campaign(id=WINTER), 1.0)
    node.intake.imports["may"] = ListImport(
        id="may",
        campaign=WINTER,
        name="May",
        state="done",
        read=9,
        accepted=9,
        rejected=0,
        reasons={},
        error=NOTHING,
        started_at=1.0,
        finished_at=2.0,
    )
    server = ApiServer(create_app(node.ports, Settings()), "127.0.0.1", 0)
    url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            yield Site(node, url)
        finally:
            server.stop()


async def test_a_reset_goes_on_until_there_is_no_more(site: Site) -> None:
    site.node.recycling.steps = [
        Reopened(reopened=998, refused={"removed": 2}, next=ContactId("crm-999")),
        Reopened(reopened=5, refused={"removed": 1, "do_not_call": 1}),
    ]
    done = await site.cadencia("list", "reset", "may", "--outcome", "no_answer", "--outcome", "busy", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "list": "may",
        "reopened": 1_003,
        "refused": {"removed": 3, "do_not_call": 1},
    }
    wanted = frozenset({Outcome.NO_ANSWER, Outcome.BUSY})
    assert site.node.recycling.asked == [
        (WINTER, "may", wanted, None),
        (WINTER, "may", wanted, ContactId("crm-999")),
    ]


async def test_words_for_people(site: Site) -> None:
    site.node.recycling.steps = [Reopened(reopened=1_200, refused={"removed": 3})]
    done = await site.cadencia("list", "reset", "may", "--outcome", "machine")
    assert "1,200 contacts will be called again." in done.stdout
    assert "3 stay as they are: removed" in done.stdout
    site.node.recycling.lists = [Penetration(list="may", contacts=8, called=6, finished=2, removed=0, attempts=11)]
    shown = await site.cadencia("list", "penetration", "winter")
    assert shown.exit_code == 0, shown.output
    assert "75" in shown.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("list", "reset", "june", "--outcome", "busy"), "there is no list 'june'"),
        (("list", "reset", "may", "--outcome", "connected"), "call them again with a callback"),
        (("list", "penetration", "summer"), "there is no campaign 'summer'"),
    ],
)
async def test_what_cannot_be_done_is_explained(site: Site, words: tuple[str, ...], told: str) -> None:
    done = await site.cadencia(*words)
    assert done.exit_code != 0
    assert told in str(done.exception) + done.output
    assert site.node.recycling.asked == []


async def test_an_outcome_that_does_not_exist_is_wrong_usage(site: Site) -> None:
    assert (await site.cadencia("list", "reset", "may", "--outcome", "bisy")).exit_code == 2
    assert (await site.cadencia("list", "reset", "may")).exit_code == 2
