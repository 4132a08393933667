"""A campaign's filter between the gate and the dial: whom it leaves out is never called, and everybody else soon is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.contact import Contact
from dialer.core.ids import ContactId, Phone
from dialer.runtime import gatekeeper
from dialer.runtime.tasks import Tasks
from tests.runtime_floor import CAMPAIGN, RuntimeFloor, eventually

CALIFORNIA, NEW_YORK = 'state = "CA"', 'state = "NY"'


@pytest.fixture
async def floor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RuntimeFloor]:
    monkeypatch.setattr(gatekeeper, "_RETRY_S", 0.02)
    made = RuntimeFloor()
    async with Tasks() as tasks:
        tasks.start("gate", made.gatekeeper.run())
        tasks.start("permits", made.gatekeeper.serve_permits())
        tasks.start("outbox", made.outbox.run())
        await made.gatekeeper.wait_open()
        yield made
        made.dispatcher.close()


async def offer(floor: RuntimeFloor, states: list[str]) -> None:
    await floor.queues.offer(
        [
            Contact(campaign=CAMPAIGN, id=ContactId(f"{s}-{n}"), phones=(Phone(f"+34600{n:06d}"),), fields={"state": s})
            for n, s in enumerate(states)
        ]
    )


def called(floor: RuntimeFloor) -> list[str]:
    return [c.permit.contact for c in floor.switch.of(cmd.Originate)]


async def test_one_in_fifty_is_found_at_once_and_nobody_else_is_called(floor: RuntimeFloor) -> None:
    await offer(floor, [("CA" if n % 50 == 49 else "TX") for n in range(400)])
    await floor.queues.set_filter(CAMPAIGN, CALIFORNIA)
    floor.work(*(f"agent{n}" for n in range(5)))
    await eventually(lambda: len(called(floor)) == 5)
    assert {contact[:2] for contact in called(floor)} == {"CA"}
    await eventually(lambda: len(floor.server.live) == 5, "the others have been given back")
    depth = await floor.queues.depth(CAMPAIGN)
    assert depth.aside + depth.ready == 395
    refused = [dict(n.refused) for n in floor.notices.seen if isinstance(n, ntc.GateAnswered)]
    assert sum(each.get("filter", 0) for each in refused) == depth.aside


async def test_another_filter_holds_for_whoever_waits_already(floor: RuntimeFloor) -> None:
    await offer(floor, ["CA", "NY", "CA", "NY", "CA", "NY"])
    await floor.queues.set_filter(CAMPAIGN, CALIFORNIA)
    floor.work("anna", "berta", "carla", "dora", "eva")
    await eventually(lambda: len(called(floor)) == 3)
    await floor.queues.set_filter(CAMPAIGN, NEW_YORK)
    for call in [c.permit.call for c in floor.switch.of(cmd.Originate)]:
        floor.hang_up(call)
    await eventually(lambda: len(called(floor)) == 6)
    assert [contact[:2] for contact in called(floor)] == ["CA"] * 3 + ["NY"] * 3


async def test_attempts_count_as_those_made_before(floor: RuntimeFloor) -> None:
    await offer(floor, ["CA"])
    await floor.queues.set_filter(CAMPAIGN, "@attempts < 1")
    floor.work("anna")
    await eventually(lambda: called(floor) == ["CA-0"])


async def test_one_that_cannot_be_read_lets_nobody_through(floor: RuntimeFloor) -> None:
    """As another version may have written it."""
    await offer(floor, ["CA", "NY"])
    await floor.queues.set_filter(CAMPAIGN, "state resembles CA")
    floor.work("anna")
    await eventually(lambda: len(floor.server.later.get(CAMPAIGN, {})) == 2, "both are left out")
    assert called(floor) == []
    await floor.queues.set_filter(CAMPAIGN, "")
    await floor.queues.due_for_agents(CAMPAIGN, floor.clock.now())
    floor.dispatcher.feed(ev.HopperSeen(at=floor.clock.now(), campaign=CAMPAIGN, ready=2))
    await eventually(lambda: called(floor) == ["CA-0"])
