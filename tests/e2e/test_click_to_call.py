"""Click to call through the API and the command: the same gate, the agent first, the states live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dialer.core.campaign import CampaignState
from dialer.core.events import AgentPauseAsked
from dialer.core.ids import AgentId, ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until
from tests.e2e.programs import CADENCIA
from tests.e2e.test_law import DAYS, rules

pytestmark = pytest.mark.slow


class Clicks:
    """Asks over HTTP."""

    def __init__(self, site: Floor, session: aiohttp.ClientSession, keys: dict[str, str]) -> None:
        self._session = session
        self._url = f"{site.node.api_url}/api/v1/calls"
        self.keys = keys

    async def __call__(self, role: str = "crm", key: str = "", **body: object) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.keys[role]}"}
        if key:
            headers["Idempotency-Key"] = key
        asked = {"campaign": CAMPAIGN, "agent": "agent01", **body}
        for _ in range(20):
            async with self._session.post(self._url, json=asked, headers=headers) as answer:
                status, said = answer.status, await answer.json()
            # A permit lasts 50 ms: a process that stood still for longer lets it go, and whoever asked asks again.
            if said.get("details") != {"reason": "try_again"}:
                return status, said
            if key:
                headers["Idempotency-Key"] = f"{key}-again"
        return status, said


@asynccontextmanager
async def clicks(site: Floor) -> AsyncIterator[Clicks]:
    """Keys of three roles."""
    names = {"crm": "crm", "supervisor": "boss", "agent": "agent01", "metrics": "prometheus"}
    keys = {role: (await Keys(site.node.database).create(role, name, now=site.now))[1] for role, name in names.items()}
    async with aiohttp.ClientSession() as session:
        yield Clicks(site, session, keys)


async def ready(site: Floor, *agents: str) -> None:
    """These agents are idle."""
    roster = site.node.dispatcher.engine.floor.roster
    await until(lambda: {agent.id for agent in roster.idle()} >= set(agents), f"{agents} idle, of {list(roster)}")


async def test_calls_that_are_asked_for(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {n: person(talk_s=0.2) for n in range(40)}
    async with floor(tmp_path, own_valkey, fates=fates) as site, clicks(site) as click:
        await site.begin(agents=2)
        await ready(site, "agent01", "agent02")

        # A number that is no contact of the campaign: called once, on record, and never by the campaign itself.
        status, body = await click(phone=phone(1))
        assert status == 201, body
        connected = await site.wait("call.connected", call=body["call"])
        assert (connected["agent"], connected["contact"], connected["phone"]) == ("agent01", body["contact"], phone(1))
        await site.wait("call.ended", call=body["call"], outcome="connected")
        started = [result["type"] for result in await site.read() if result.get("call") == body["call"]]
        assert started[:3] == ["call.started", "call.answered", "call.connected"]
        stored = await Contacts(site.node.database).get(CAMPAIGN, ContactId(body["contact"]))
        assert stored is not None
        assert stored.state is ContactState.FINISHED

        # The same again by the contact that it has become, for an agent who pauses; as often as is asked.
        await ready(site, "agent01", "agent02")
        await site.node.control.submit(AgentPauseAsked(at=site.now, agent=AgentId("agent01"), code="mail"))
        status, again = await click("agent", key="once", contact=body["contact"])
        assert status == 201, again
        status, replay = await click("agent", key="once", contact=body["contact"])
        assert (status, replay) == (201, again)
        await site.wait("call.ended", call=again["call"], outcome="connected")
        roster = site.node.dispatcher.engine.floor.roster
        agent = roster.get(AgentId("agent01"))
        assert agent is not None
        await until(lambda: agent.state.value == "paused", "their pause again")

        # Contacts of the campaign, while nobody else is there to be called.
        await site.order(CampaignState.PAUSED)
        await site.push([2, 3, 4])
        await site.wait("contact.accepted", 3)
        status, body = await click("supervisor", agent="agent02", contact="crm-2")
        assert (status, body["error"], body["details"]) == (409, "refused", {"reason": "campaign_not_running"})
        await site.write("removals", {"id": "r3", "campaign": CAMPAIGN, "contact": "crm-3"})
        await site.write("dnc", {"id": "d4", "op": "add", "phone": phone(4), "scope": "*"})
        await site.wait("removal.applied")
        await site.node.control.submit(AgentPauseAsked(at=site.now, agent=AgentId("agent02"), code="mail"))
        await site.order(CampaignState.RUNNING)
        for whom, reason in (
            ({"contact": "crm-3"}, "removed"),
            ({"contact": "crm-4"}, "do_not_call"),
            ({"contact": "crm-4"}, "unknown"),
            ({"phone": phone(4)}, "do_not_call"),
            ({"contact": "crm-2", "phone": phone(9)}, "unknown_phone"),
        ):
            status, body = await click("supervisor", agent="agent02", **whom)
            assert (status, body["details"]) == (409, {"reason": reason}), (whom, body)
        status, body = await click("supervisor", agent="agent02", phone=phone(2))
        assert (status, body["contact"]) == (201, "crm-2")
        await site.wait("call.ended", call=body["call"], outcome="connected")

        # Bad input, and whoever may not ask.
        for role, wrong, expected, error in (
            ("crm", {}, 422, "invalid"),
            ("crm", {"phone": "12"}, 422, "invalid"),
            ("crm", {"phone": "+34803123456"}, 422, "invalid"),
            ("crm", {"contact": "nobody"}, 404, "not_found"),
            ("crm", {"contact": "a\x00b"}, 422, "invalid"),
            ("crm", {"contact": "crm-2", "campaign": "nothing"}, 404, "not_found"),
            ("crm", {"contact": "crm-2", "agent": "not a name"}, 422, "invalid"),
            ("crm", {"contact": "crm-2", "colour": "red"}, 422, "invalid"),
            ("crm", {"contact": "crm-2", "agent": "eva"}, 409, "refused"),
            ("agent", {"contact": "crm-2", "agent": "agent02"}, 403, "forbidden"),
            ("metrics", {"contact": "crm-2"}, 403, "forbidden"),
        ):
            status, body = await click(role, **wrong)
            assert (status, body["error"]) == (expected, error), (wrong, body)

        # The command.
        await ready_to_ask(site, "agent02")
        command = ("call", "agent02", phone(6), "--campaign", CAMPAIGN, "--api-url", site.node.api_url, "--json")
        process = await asyncio.create_subprocess_exec(
            *CADENCIA, *command, "--api-key", click.keys["supervisor"], stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()
        assert process.returncode == 0
        await site.wait("call.connected", call=json.loads(told)["call"], agent="agent02")
        await site.settle()


async def ready_to_ask(site: Floor, name: str) -> None:
    """An agent may ask for a call."""
    agent = site.node.dispatcher.engine.floor.roster.get(AgentId(name))
    assert agent is not None
    await until(lambda: agent.state.value in {"idle", "paused"}, f"{name} is free")


async def test_at_a_time_without_calls_a_click_is_refused_with_the_time(
    tmp_path: Path, own_valkey: EmbeddedServer
) -> None:
    free = DAYS[(datetime.now().astimezone().weekday() + 3) % 7]
    shut = rules(tmp_path, open_days=(free,))
    async with floor(tmp_path, own_valkey, fates={1: person()}, rules=shut) as site, clicks(site) as click:
        await site.begin(agents=1)
        await ready(site, "agent01")
        status, body = await click(phone=phone(1))
        assert (status, body["error"]) == (409, "refused")
        assert body["details"]["reason"] == "hours"
        assert datetime.fromisoformat(body["details"]["retry_at"]).timestamp() > site.now + 86_400
        assert body["details"]["retry_at"] in body["message"]
        assert site.notices.started == []
        await ready(site, "agent01")
        depth = await site.node.queues.depth(CAMPAIGN)
        assert (depth.ready, depth.later, depth.reserved, depth.live) == (0, 0, 0, 0)
