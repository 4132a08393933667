"""Simulated agents: people at their desks, who see what an agent's page shows and press what it offers.

They know the dialer only through `AgentDesk`. All randomness is the world's, by agent and running number, so the
same agent takes the same wrap-up times against any pacing method.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.notices import AgentChanged
from dialer.runtime.tasks import Tasks
from dialer.simulation.world import World

#: A phone that is gone is picked up again after this, as somebody who stumbled over the cable would.
_BACK_AT_THE_PHONE_S = 2.0


class AgentDesk(Protocol):
    """What an agent can do, and what they see."""

    async def sign_in(self, agent: AgentId, phone: str, campaigns: tuple[CampaignId, ...]) -> None:
        """Begin to work: the phone is called, and kept."""

    async def ready(self, agent: AgentId) -> None:
        """Want calls, after a wrap-up or a break."""

    async def pause(self, agent: AgentId, code: str) -> None:
        """Want none."""

    async def dispose(self, call: CallId, code: str, agent: AgentId) -> None:
        """Close a call with a code."""

    async def sign_out(self, agent: AgentId) -> None:
        """Go home."""

    def changes(self) -> AsyncIterator[AgentChanged]:
        """Every change of every agent's state, from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """An agent and their phone."""

    agent: AgentId
    phone: str


def seats(count: int, *, prefix: str = "agent") -> tuple[Seat, ...]:
    """`count` agents named agent01, agent02, …, with phones of the same names."""
    width = max(2, len(str(count)))
    names = [f"{prefix}{number:0{width}d}" for number in range(1, count + 1)]
    return tuple(Seat(agent=AgentId(name), phone=name) for name in names)


@dataclass(slots=True)
class _Desk:
    seat: Seat
    #: The last change that the agent has not looked at. An older one is of no more interest.
    change: AgentChanged | None = None
    state: AgentState = AgentState.SIGNED_OUT
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0


class SimulatedAgents:
    """Agents who sign in, wrap up, press a disposition, become ready, take breaks, and at the end go home."""

    def __init__(
        self,
        desk: AgentDesk,
        world: World,
        people: Sequence[Seat],
        campaigns: tuple[CampaignId, ...],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Agents that do nothing before `run`.

        Args:
            desk: the dialer, as its agents see it.
            world: whose profile says how agents work.
            people: who they are.
            campaigns: what they work for.
            sleep: waits so many seconds.
        """
        self._desk = desk
        self._world = world
        self._campaigns = campaigns
        self._sleep = sleep
        self._desks = {seat.agent: _Desk(seat) for seat in people}
        self._stopping = asyncio.Event()
        #: How many calls were closed with which code.
        self.dispositions: Counter[str] = Counter()
        self.breaks = 0

    async def run(self) -> None:
        """Work until `stop`, then sign everybody out. Errors of the desk come through."""
        # Not children of a `TaskGroup`, which cancels once: what a desk waits for may swallow that (`cancel_all`).
        async with Tasks() as tasks:
            tasks.start("agents: changes", self._listen(self._desk.changes()))
            for place in self._desks.values():
                tasks.start(f"agent {place.seat.agent}", self._work(place))
            async with asyncio.TaskGroup() as group:
                failure = group.create_task(tasks.failure(), name="agents: watch")
                await self._stopping.wait()
                failure.cancel()
        for place in self._desks.values():
            if place.state is not AgentState.SIGNED_OUT:
                await self._desk.sign_out(place.seat.agent)

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping.set()

    def state(self, agent: AgentId) -> AgentState:
        """Where the agent believes to stand."""
        return self._desks[agent].state

    async def _listen(self, changes: AsyncIterator[AgentChanged]) -> None:
        async for change in changes:
            place = self._desks.get(change.agent)
            if place is not None:
                place.state, place.change = change.state, change
                place.looked.set()

    async def _work(self, place: _Desk) -> None:
        seat = place.seat
        await self._desk.sign_in(seat.agent, seat.phone, self._campaigns)
        # Whoever reads notices late may have missed the beginning; signing in is known from here on.
        if place.state is AgentState.SIGNED_OUT:
            place.state = AgentState.CONNECTING
        while True:
            await place.looked.wait()
            place.looked.clear()
            change, place.change = place.change, None
            if change is None:
                continue
            if change.state is AgentState.WRAPUP:
                await self._wrap_up(place, change)
            elif change.state is AgentState.LOST:
                await self._sleep(_BACK_AT_THE_PHONE_S)
                if place.state is AgentState.LOST:
                    await self._desk.sign_in(seat.agent, seat.phone, self._campaigns)

    async def _wrap_up(self, place: _Desk, change: AgentChanged) -> None:
        agent = place.seat.agent
        profile = self._world.profile.agents
        place.calls += 1
        u = self._world.uniforms("agent", agent, place.calls)
        await self._sleep(profile.wrapup.at(u[0]))
        if change.call is not None:
            code = _pick(profile.dispositions, u[1])
            self.dispositions[code] += 1
            await self._desk.dispose(change.call, code, agent)
        if u[2] < profile.break_share:
            self.breaks += 1
            await self._desk.pause(agent, "break")
            await self._sleep(profile.break_length.at(u[3]))
            await self._desk.ready(agent)
        elif place.state is AgentState.WRAPUP:
            await self._desk.ready(agent)


def _pick(shares: Sequence[tuple[str, float]], u: float) -> str:
    low = 0.0
    for name, share in shares:
        low += share
        if u < low:
            return name
    return shares[-1][0]
