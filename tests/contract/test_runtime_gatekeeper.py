"""The gatekeeper between the engine and the queues' port: permits, purges, a gate that shuts and is opened again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from dialer.compliance.screening import TurnedAway
from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.ids import CallId, CampaignId, NodeName, Phone
from dialer.errors import GateNotReady, QueueError
from dialer.queues.cap_law import CapLaw
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import Reservation, Write
from dialer.runtime import gatekeeper
from dialer.runtime.tasks import Tasks
from tests.patience import PATIENCE_S
from tests.runtime_floor import CAMPAIGN, NODE, RuntimeFloor, eventually


class Weather(MemoryQueues):
    """Memory queues behind a network with moods."""

    def __init__(self, server: MemoryServer, *, node: NodeName) -> None:
        super().__init__(server, node=node)
        self.refuse_reserve: list[QueueError] = []
        self.refuse_after: list[QueueError] = []
        self.refuse_prepare: list[QueueError] = []
        self.refuse_heartbeat: list[QueueError] = []
        self.refuse_drain: list[QueueError] = []
        #: Reserving waits for this, holding nothing.
        self.go = asyncio.Event()
        self.go.set()
        self.asked = 0
        self.beats = 0

    async def prepare(self) -> bool:
        if self.refuse_prepare:
            raise self.refuse_prepare.pop(0)
        return await super().prepare()

    async def heartbeat(self, now: float, ttl_s: float) -> None:
        self.beats += 1
        if self.refuse_heartbeat:
            raise self.refuse_heartbeat.pop(0)
        await super().heartbeat(now, ttl_s)

    async def drain(self) -> tuple[ev.CallPurged, ...]:
        if self.refuse_drain:
            raise self.refuse_drain.pop(0)
        return await super().drain()

    def reserve(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        now: float,
        lease_s: float = 0.05,
        caps: CapLaw | None = None,
    ) -> AbstractAsyncContextManager[Reservation]:
        return self._with_moods(campaign, calls, now, caps)

    @asynccontextmanager
    async def _with_moods(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, caps: CapLaw | None
    ) -> AsyncGenerator[Reservation, None]:
        self.asked += 1
        if self.refuse_reserve:
            raise self.refuse_reserve.pop(0)
        await self.go.wait()
        async with super().reserve(campaign, calls, now, 10.0, caps) as reservation:
            yield reservation
        if self.refuse_after:
            raise self.refuse_after.pop(0)

    async def write(self, writes: Sequence[Write]) -> None:
        await super().write(writes)


@pytest.fixture
async def floor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RuntimeFloor]:
    for name in ("_HEARTBEAT_S", "_RETRY_S", "_PURGE_WAIT_S"):
        monkeypatch.setattr(gatekeeper, name, 0.02)
    made = RuntimeFloor()
    made.queues = weather(made)
    async with Tasks() as tasks:
        keeper = made.gatekeeper
        keeper._queues = made.outbox._queues = made.queues
        tasks.start("gate", keeper.run())
        tasks.start("permits", keeper.serve_permits())
        tasks.start("purges", keeper.watch_purges())
        tasks.start("heartbeat", keeper.heartbeat())
        tasks.start("outbox", made.outbox.run())
        yield made
        assert tasks._failed is not None
        assert not tasks._failed.done(), "a task has died"
        made.dispatcher.close()


def weather(floor: RuntimeFloor) -> Weather:
    if not isinstance(floor.queues, Weather):
        floor.queues = Weather(floor.server, node=NODE)
    return floor.queues


def dialed(floor: RuntimeFloor) -> list[CallId]:
    return [c.permit.call for c in floor.switch.of(cmd.Originate)]


async def ready(floor: RuntimeFloor, contacts: int = 10) -> None:
    await asyncio.wait_for(floor.gatekeeper.wait_open(), PATIENCE_S)
    await floor.offer(contacts)


def shut(floor: RuntimeFloor) -> None:
    """Redis has restarted and cannot be prepared for now."""
    weather(floor).refuse_prepare += [QueueError("no redis")] * 1_000
    floor.gatekeeper._trouble(GateNotReady("restarted"))


async def test_an_empty_server_is_loaded_from_the_record_and_then_the_gate_opens(floor: RuntimeFloor) -> None:
    await ready(floor)
    assert floor.rebuilds == 1
    assert floor.gatekeeper.problem == ""


async def test_permits_come_on_request_and_calls_have_unique_ids_of_one_length(floor: RuntimeFloor) -> None:
    await ready(floor, 30)
    floor.work(*(f"agent{n}" for n in range(12)))
    await eventually(lambda: len(dialed(floor)) == 12)
    calls = dialed(floor)
    assert len(set(calls)) == 12
    assert len({len(call) for call in calls}) == 1
    assert all(call.startswith("n1-beef0001-") for call in calls)


async def test_a_node_that_stood_still_does_not_dial_before_it_has_said_that_it_lives(floor: RuntimeFloor) -> None:
    await ready(floor)
    weather(floor).refuse_heartbeat += [QueueError("no redis")] * 10_000
    floor.gatekeeper._beat_at = -1_000.0
    beats = weather(floor).beats
    floor.work("anna", "ben")
    await eventually(lambda: weather(floor).beats > beats + 10)
    assert dialed(floor) == []
    weather(floor).refuse_heartbeat.clear()
    await eventually(lambda: len(dialed(floor)) == 2)


async def test_originates_are_handed_over_while_the_gate_is_held(floor: RuntimeFloor) -> None:
    await ready(floor)
    held: list[bool] = []
    floor.switch.on_command = lambda command: (
        held.append(floor.server.holder.locked()) if isinstance(command, cmd.Originate) else None
    )
    floor.work("anna", "ben")
    await eventually(lambda: len(dialed(floor)) == 2)
    assert held == [True, True]


async def test_who_is_turned_away_goes_back_until_then_and_the_others_are_called(floor: RuntimeFloor) -> None:
    later = floor.clock.now() + 3_600.0
    floor.screen.turned_away[Phone("+34600000001")] = TurnedAway("hours", later, {"says": "Sunday"})
    floor.screen.turned_away[Phone("+34600000002")] = TurnedAway("registry", None, {"says": "listed"})
    await ready(floor, 3)
    floor.work("anna", "berta", "carla")
    await eventually(lambda: dialed(floor))
    await eventually(lambda: floor.server.results)
    [rejected] = [result for result in floor.server.results if result["type"] == "contact.rejected"]
    assert (rejected["contact"], rejected["reason"]) == ("crm-2", "registry")

    async def put_off() -> bool:
        return (await floor.queues.depth(CAMPAIGN)).later == 1

    async with asyncio.timeout(PATIENCE_S):
        while not await put_off():  # noqa: ASYNC110 - depths have no event
            await asyncio.sleep(0.005)
    [call] = floor.switch.of(cmd.Originate)
    assert (call.permit.phone, call.permit.verdict) == ("+34600000003", "{}")
    answered = next(n for n in floor.notices.seen if isinstance(n, ntc.GateAnswered) and n.granted)
    assert dict(answered.refused) == {"hours": 1, "registry": 1}


async def test_where_all_are_turned_away_the_next_are_asked_for_at_once(floor: RuntimeFloor) -> None:
    later = floor.clock.now() + 3_600.0
    for n in range(1, 9):
        floor.screen.turned_away[Phone(f"+34600{n:06d}")] = TurnedAway("hours", later, {})
    await ready(floor, 9)
    floor.work("anna")
    await eventually(lambda: dialed(floor))
    [call] = floor.switch.of(cmd.Originate)
    assert call.permit.contact == "crm-9"
    [answered] = [n for n in floor.notices.seen if isinstance(n, ntc.GateAnswered) and n.granted]
    assert answered.requested == 1


async def test_a_campaign_that_may_not_dial_asks_the_gate_for_nobody(floor: RuntimeFloor) -> None:
    floor.screen.problems[CAMPAIGN] = "registry robinson is of 2026-01-01: too old"
    await ready(floor)
    floor.work("anna")
    await eventually(lambda: any(isinstance(n, ntc.GateAnswered) for n in floor.notices.seen))
    assert next(n.refused for n in floor.notices.seen if isinstance(n, ntc.GateAnswered)) == (("compliance", 1),)
    assert weather(floor).asked == 0
    del floor.screen.problems[CAMPAIGN]
    await eventually(lambda: dialed(floor))


async def test_a_shut_gate_permits_nothing_and_the_engine_asks_again(floor: RuntimeFloor) -> None:
    shut(floor)
    floor.work("anna")
    await eventually(lambda: any(isinstance(n, ntc.GateAnswered) for n in floor.notices.seen))
    (first, *_) = [n for n in floor.notices.seen if isinstance(n, ntc.GateAnswered)]
    assert first.refused == (("gate is shut", 1),)
    assert floor.gatekeeper.problem in {"no redis", "restarted"}
    weather(floor).refuse_prepare.clear()
    await ready(floor)
    await eventually(lambda: dialed(floor))


async def test_a_server_that_lost_its_memory_shuts_the_gate_until_it_is_loaded_again(floor: RuntimeFloor) -> None:
    await ready(floor)
    floor.server.loaded = False
    floor.work("anna")
    await eventually(lambda: floor.rebuilds == 2)
    await eventually(lambda: dialed(floor))
    assert floor.gatekeeper.problem == ""


@pytest.mark.parametrize("error", [QueueError("out of reach"), GateNotReady("restarted")])
async def test_a_request_that_failed_is_answered_once_and_asked_again(floor: RuntimeFloor, error: QueueError) -> None:
    await ready(floor)
    weather(floor).refuse_reserve.append(error)
    floor.work("anna")
    await eventually(lambda: dialed(floor))
    answers = [n for n in floor.notices.seen if isinstance(n, ntc.GateAnswered)]
    assert answers[0].refused == (("gate is out of reach", 1),)
    assert len(dialed(floor)) == 1
    await eventually(lambda: floor.gatekeeper.problem == "")


async def test_an_error_after_the_answer_is_not_a_second_answer(floor: RuntimeFloor) -> None:
    await ready(floor)
    weather(floor).refuse_after.append(QueueError("lost on the way out"))
    floor.work("anna")
    await eventually(lambda: not weather(floor).refuse_after)
    await asyncio.sleep(0)
    answers = [n for n in floor.notices.seen if isinstance(n, ntc.GateAnswered)]
    assert [a.granted for a in answers] == [1]


async def test_a_removal_reaches_the_engine_and_the_call_is_hung_up(floor: RuntimeFloor) -> None:
    await ready(floor, 1)
    floor.work("anna")
    await eventually(lambda: dialed(floor))
    await floor.server.add("removals", json.dumps({"id": "m1", "campaign": "winter", "contact": "crm-1"}).encode())
    await eventually(lambda: floor.switch.of(cmd.HangUp))
    await eventually(lambda: any(r["type"] == "removal.cancelled" for r in floor.server.results))
    floor.hang_up(dialed(floor)[0])
    await eventually(lambda: any(r["type"] == "call.ended" for r in floor.server.results))
    assert (await floor.queues.depth(CAMPAIGN)).later == 0, "never again"


async def test_purges_go_on_after_an_error(floor: RuntimeFloor) -> None:
    await ready(floor, 1)
    floor.work("anna")
    await eventually(lambda: dialed(floor))
    weather(floor).refuse_drain.append(QueueError("away"))
    await floor.server.add("removals", json.dumps({"id": "m1", "campaign": "winter", "contact": "crm-1"}).encode())
    await eventually(lambda: floor.switch.of(cmd.HangUp))
    assert not weather(floor).refuse_drain


async def test_closing_permits_nothing_any_more(floor: RuntimeFloor) -> None:
    await ready(floor)
    floor.gatekeeper.close()
    floor.work("anna")
    await eventually(lambda: any(isinstance(n, ntc.GateAnswered) for n in floor.notices.seen))
    assert next(n.refused for n in floor.notices.seen if isinstance(n, ntc.GateAnswered)) == (("stopping", 1),)
    assert not dialed(floor)
    assert (await floor.queues.depth(CAMPAIGN)).ready == 10


async def test_closing_while_the_gate_is_being_asked_calls_nobody_and_gives_the_contacts_back(
    floor: RuntimeFloor,
) -> None:
    await ready(floor)
    weather(floor).go.clear()
    floor.work("anna")
    await eventually(lambda: weather(floor).asked)
    floor.gatekeeper.close()
    weather(floor).go.set()
    await eventually(lambda: any(isinstance(n, ntc.GateAnswered) for n in floor.notices.seen))
    await eventually(lambda: not floor.server.live)
    assert not dialed(floor)
    assert (await floor.queues.depth(CAMPAIGN)).ready == 10


async def test_a_node_whose_gate_is_shut_is_not_dead(floor: RuntimeFloor) -> None:
    """Loading the record again takes minutes; meanwhile nobody may take over the calls that go on here."""
    await ready(floor)
    shut(floor)
    floor.server.heartbeats.clear()
    before = weather(floor).beats
    await eventually(lambda: weather(floor).beats > before + 3)
    assert not floor.gatekeeper.is_open
    assert floor.queues in floor.server.heartbeats


async def test_calls_of_a_dead_process_are_taken_over(floor: RuntimeFloor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.core.end_desk.MISSING_S", 0.02)
    await ready(floor)
    dead = MemoryQueues(floor.server, node=NodeName("n2"))
    async with dead.reserve(CAMPAIGN, [CallId("n2-boot-0000000001")], floor.clock.now()) as reservation:
        assert len(reservation.granted.permits) == 1
    floor.server.heartbeats[dead] = floor.clock.now() - 1
    await eventually(lambda: CallId("n2-boot-0000000001") in floor.engine.floor.calls)
    assert not [r for r in floor.server.results if r["type"] == "call.ended"], "no server has told its channels yet"
    floor.work()
    await eventually(lambda: any(r["type"] == "call.ended" for r in floor.server.results))
    (ended,) = [r for r in floor.server.results if r["type"] == "call.ended"]
    assert (ended["call"], ended["outcome"]) == ("n2-boot-0000000001", "lost")


async def test_a_missed_heartbeat_is_not_the_end(floor: RuntimeFloor) -> None:
    await ready(floor)
    weather(floor).refuse_heartbeat.append(QueueError("slow"))
    await eventually(lambda: not weather(floor).refuse_heartbeat)
    before = weather(floor).beats
    await eventually(lambda: weather(floor).beats > before + 1)
    assert floor.gatekeeper.problem == "", "what has passed is no problem"
    assert floor.gatekeeper.is_open
