"""Simulated agents at a desk that records what they do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.notices import AgentChanged
from dialer.errors import SwitchError
from dialer.runtime.tasks import cancel_all
from dialer.simulation.distributions import Constant
from dialer.simulation.people import SimulatedAgents, seats
from dialer.simulation.profiles import DEMO, FAST
from dialer.simulation.world import Profile, World
from tests.patience import PATIENCE_S

CAMPAIGNS = (CampaignId("winter"),)


class Desk:
    """A desk that gives every agent the same day: ready, a call, wrap-up, and so on."""

    def __init__(self, calls: int) -> None:
        self.said: list[tuple[str, ...]] = []
        self._calls = calls
        self._changes: asyncio.Queue[AgentChanged] = asyncio.Queue(maxsize=1000)
        self._states: dict[AgentId, AgentState] = {}
        self._talked: Counter[AgentId] = Counter()
        self.idle_with_nothing_to_do = asyncio.Event()
        self.fail_with: Exception | None = None

    def tell(self, agent: AgentId, state: AgentState, call: str | None = None) -> None:
        previous = self._states.get(agent, AgentState.SIGNED_OUT)
        self._states[agent] = state
        self._changes.put_nowait(
            AgentChanged(
                at=0.0,
                agent=agent,
                state=state,
                previous=previous,
                previous_s=0.0,
                campaigns=CAMPAIGNS,
                call=CallId(call) if call else None,
            )
        )

    def _idle(self, agent: AgentId) -> None:
        self.tell(agent, AgentState.IDLE)
        if self._talked[agent] == self._calls:
            self.idle_with_nothing_to_do.set()
            return
        self._talked[agent] += 1
        call = f"{agent}-{self._talked[agent]}"
        for state in (AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP):
            self.tell(agent, state, call)

    async def sign_in(self, agent: AgentId, phone: str, campaigns: tuple[CampaignId, ...]) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.said.append(("sign_in", agent, phone, *campaigns))
        self.tell(agent, AgentState.CONNECTING)
        self._idle(agent)

    async def ready(self, agent: AgentId) -> None:
        self.said.append(("ready", agent))
        self._idle(agent)

    async def pause(self, agent: AgentId, code: str) -> None:
        self.said.append(("pause", agent, code))
        self.tell(agent, AgentState.PAUSED)

    async def dispose(self, call: CallId, code: str, agent: AgentId) -> None:
        self.said.append(("dispose", call, code, agent))

    async def sign_out(self, agent: AgentId) -> None:
        self.said.append(("sign_out", agent))
        self._states[agent] = AgentState.SIGNED_OUT

    async def changes(self) -> AsyncIterator[AgentChanged]:
        while True:
            yield await self._changes.get()


class Sleeps:
    """Sleeping that takes no time and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def work(desk: Desk, people: SimulatedAgents) -> None:
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(people.run())
        await desk.idle_with_nothing_to_do.wait()
        people.stop()


def day(profile: Profile, seed: int, calls: int) -> tuple[Desk, Sleeps, SimulatedAgents]:
    desk, sleep = Desk(calls), Sleeps()
    return desk, sleep, SimulatedAgents(desk, World(profile, seed), seats(1), CAMPAIGNS, sleep=sleep)


async def test_wrap_up_then_a_disposition_then_ready() -> None:
    desk, sleep, people = day(DEMO, 3, calls=2)
    await work(desk, people)
    verbs = [said[0] for said in desk.said]
    assert verbs == ["sign_in", "dispose", "ready", "dispose", "ready", "sign_out"]
    assert desk.said[0] == ("sign_in", "agent01", "agent01", "winter")
    assert [said[1] for said in desk.said if said[0] == "dispose"] == ["agent01-1", "agent01-2"]
    assert len(sleep.slept) == 2
    assert sum(people.dispositions.values()) == 2
    assert set(people.dispositions) <= {code for code, _ in DEMO.agents.dispositions}


async def test_the_same_agent_takes_the_same_times_against_any_dialer() -> None:
    _, first, people = (one := day(DEMO, 3, calls=20))
    await work(one[0], people)
    _, second, others = (two := day(DEMO, 3, calls=20))
    await work(two[0], others)
    assert first.slept == second.slept
    assert people.dispositions == others.dispositions
    mean = sum(first.slept) / len(first.slept)
    deviation = (DEMO.agents.wrapup.variance / len(first.slept)) ** 0.5
    assert abs(mean - DEMO.agents.wrapup.mean) < 5 * deviation


async def test_breaks() -> None:
    tired = replace(FAST, agents=replace(FAST.agents, break_share=1.0, break_length=Constant(300.0)))
    desk, sleep, people = day(tired, 3, calls=1)
    await work(desk, people)
    assert [said[0] for said in desk.said] == ["sign_in", "dispose", "pause", "ready", "sign_out"]
    assert 300.0 in sleep.slept
    assert people.breaks == 1


async def test_a_lost_phone_is_picked_up_again() -> None:
    desk, _, people = day(FAST, 3, calls=0)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(people.run())
        await desk.idle_with_nothing_to_do.wait()
        desk.idle_with_nothing_to_do.clear()
        desk.tell(AgentId("agent01"), AgentState.LOST)
        await desk.idle_with_nothing_to_do.wait()
        people.stop()
    assert [said[0] for said in desk.said] == ["sign_in", "sign_in", "sign_out"]


async def test_changes_of_others_are_none_of_their_business() -> None:
    desk, _, people = day(FAST, 3, calls=1)
    desk.tell(AgentId("somebody-else"), AgentState.WRAPUP, "c-9")
    await work(desk, people)
    assert "c-9" not in [said[1] for said in desk.said]


async def test_an_error_of_the_desk_comes_through() -> None:
    desk, _, people = day(FAST, 3, calls=1)
    desk.fail_with = SwitchError("no server")
    with pytest.raises(ExceptionGroup) as caught:
        await people.run()
    assert caught.group_contains(SwitchError, match="no server")


async def test_told_to_go_they_go_though_a_desk_swallows_it() -> None:
    """A write that ends together with a cancellation swallows it (Python 3.11's `wait_for`); then they want a call."""
    desk, _, people = day(FAST, 3, calls=1)
    disposing = asyncio.Event()

    async def dispose(call: CallId, code: str, agent: AgentId) -> None:
        disposing.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600.0)

    desk.dispose = dispose  # type: ignore[method-assign]
    async with asyncio.timeout(PATIENCE_S):
        running = asyncio.ensure_future(people.run())
        await disposing.wait()
        await cancel_all([running])
    assert running.cancelled()


def test_names_of_seats() -> None:
    assert [seat.agent for seat in seats(3)] == ["agent01", "agent02", "agent03"]
    assert seats(120)[0].agent == "agent001"
    assert len({seat.phone for seat in seats(250)}) == 250
