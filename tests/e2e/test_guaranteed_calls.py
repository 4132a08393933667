"""Calls with an agent reserved for them, on a whole node: callbacks, people who were abandoned."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dialer.core.campaign import CampaignState
from dialer.core.events import AgentSignedOut
from dialer.core.ids import AgentId, ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.promises import Promises
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until

pytestmark = pytest.mark.slow


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


async def call_back(site: Floor, number: int, *, at: float, agent: str | None = None, ref: str = "cb") -> None:
    """The CRM writes a callback."""
    message = {"id": ref, "campaign": CAMPAIGN, "contact": f"crm-{number}", "phone": phone(number), "at": rfc3339(at)}
    await site.write("callbacks", message if agent is None else {**message, "agent": agent})


async def promised(site: Floor) -> list[Any]:
    """All promises on record."""
    return await Promises(site.node.database).after(None, 100)


async def test_callbacks(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {n: person(talk_s=0.6 if n == 2 else 0.1) for n in range(40)}
    async with floor(tmp_path, own_valkey, fates=fates) as site:
        await site.begin(agents=3, campaign={"callback_fallback_s": 60.0})
        await site.push(range(10, 30))

        # It is its agent's, whoever else is free and whatever else there is to call.
        await call_back(site, 1, at=site.now + 0.5, agent="agent03", ref="own")
        await site.wait("callback.accepted", ref="own")
        assert (await site.wait("call.connected", contact="crm-1"))["agent"] == "agent03"
        await site.wait("call.ended", contact="crm-1", outcome="connected")

        # Agreed in the talk, it is called although that talk ends the contact.
        await site.push([2])
        first = await site.wait("call.connected", contact="crm-2")
        await call_back(site, 2, at=site.now + 1.0, agent=first["agent"], ref="talk")
        await site.wait("callback.accepted", ref="talk")
        again = await site.wait("call.connected", 2, contact="crm-2")
        assert again["agent"] == first["agent"]
        await site.wait("call.ended", 2, contact="crm-2")

        # Agreed afterwards, it opens a contact that is done. Its agent is not here: after a while it is anybody's.
        await call_back(site, 1, at=site.now - 59.0, agent="nobody", ref="done")
        await site.wait("callback.accepted", ref="done")
        await site.wait("call.connected", 2, contact="crm-1")

        # Its agent has gone home: it waits for them.
        await site.node.control.submit(AgentSignedOut(at=site.now, agent=AgentId("agent02")))
        roster = site.node.dispatcher.engine.floor.roster
        await until(lambda: roster.get(AgentId("agent02")) is None, "agent02 is gone")
        await call_back(site, 3, at=site.now, agent="agent02", ref="home")

        async def due() -> bool:
            return (await site.node.queues.depth(CAMPAIGN)).reserved == 1

        await until(due, "the callback is due")
        assert await site.results("call.started", contact="crm-3") == []
        await site.sign_in(2)
        assert (await site.wait("call.connected", contact="crm-3"))["agent"] == "agent02"
        await site.wait("call.ended", contact="crm-3")
        await site.settle()
        assert await promised(site) == []
        numbers = sorted(a.attempt_number for a in await site.attempts() if a.contact == "crm-2")
        assert numbers == [1, 2]
        stored = await Contacts(site.node.database).get(CAMPAIGN, ContactId("crm-2"))
        assert stored is not None
        assert stored.state is ContactState.FINISHED
        assert all(agent.hold is None for agent in roster)


async def test_promises_outlive_the_memory_of_redis(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, fates={1: person(), 2: person()}) as site:
        await site.begin(agents=1)
        await call_back(site, 1, at=site.now + 3.0, agent="agent01", ref="one")
        await call_back(site, 2, at=site.now + 3_600.0, agent="agent01", ref="two")
        await site.wait("callback.accepted", 2)
        await site.client.flushdb()
        await site.wait("call.connected", contact="crm-1")
        await site.wait("call.ended", contact="crm-1")

        async def one_waits() -> bool:
            depth = await site.node.queues.depth(CAMPAIGN)
            return (depth.ready, depth.later, depth.reserved) == (0, 1, 0)

        await until(one_waits, "the other promise alone")
        await site.settle(results_lost=True)


async def test_whoever_was_abandoned_is_called_with_an_agent_reserved(
    tmp_path: Path, own_valkey: EmbeddedServer
) -> None:
    rule = {"delay_s": 0.5, "max_attempts": 3, "needs_agent": True}
    settings = {"method": "ratio", "ratio": 2.0, "max_attempts": 5, "retries": {"abandoned": rule}}
    fates = {n: person(talk_s=1.5) for n in range(2)}
    async with floor(tmp_path, own_valkey, fates=fates) as site:
        await site.begin(agents=1, campaign={**settings, "connect_within_s": 0.5})
        await site.push(range(2))
        lost = await site.wait("call.abandoned")
        await site.order(CampaignState.RUNNING)
        ended = await site.wait("call.ended", outcome="abandoned")
        assert ended["contact"] == lost["contact"]

        async def owed() -> bool:
            return [promise.contact for promise in await promised(site)] == [lost["contact"]]

        await until(owed, "a promise to whoever was abandoned")
        again = await site.wait("call.connected", contact=lost["contact"])
        assert again["agent"] == "agent01"
        await site.settle()
