"""A talk on the real Asterisk, and what is heard of it at the other end of each line."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dialer.core.commands import Record
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    RecordingAnswered,
    ServerConnected,
)
from dialer.core.ids import AgentId, CallId
from dialer.core.recording import RecordingOrder, recording_id
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from scripts.lab.record import Session
from tests.lab import AsteriskLab
from tests.patience import PATIENCE_S
from tests.recordings import AUDIBLE
from tests.switch_rig import SERVER, Rig, running, settings_for

#: Samples of one phase, of which there are 8,000 a second, and how many of the first are left to the switch.
PHASE, SETTLE = 8_000, 3_600
#: Bytes before the first sample.
HEADER: Final = 44


class Ears:
    """Records what phones hear: at the other Asterisk, which has their ends of the lines."""

    def __init__(self, lab: AsteriskLab, folder: Path, ends: dict[str, str]) -> None:
        self._files = {who: folder / f"{who}.wav" for who in ends}
        for who, channel in ends.items():
            # Only one of the two files is looked at: what comes in.
            lab.cli(f"mixmonitor start {channel} {folder}/both-{who}.wav,r({self._files[who]})", server="voice")

    async def hear(self) -> set[str]:
        """Who hears something now."""
        begun = {who: self._samples(who) for who in self._files}
        until = time.monotonic() + PATIENCE_S
        while any(self._samples(who) < begun[who] + PHASE for who in self._files):
            assert time.monotonic() < until, "a phone gets no sound at all, and no silence"
            await asyncio.sleep(0.02)
        return {who for who, at in begun.items() if loudness(self._files[who], at + SETTLE, at + PHASE) > AUDIBLE}

    async def come_to(self, who: set[str]) -> None:
        """Wait until these hear something and nobody else does: the switch takes its time."""
        heard = [await self.hear()]
        while heard[-1] != who:
            assert len(heard) < 4, (heard, who)
            heard.append(await self.hear())

    def _samples(self, who: str) -> int:
        file = self._files[who]
        return max(0, file.stat().st_size - HEADER) // 2 if file.exists() else 0


def loudness(file: Path, begin: int = 0, end: int | None = None) -> int:
    """The loudest sample of a file, or of a part of it; the file may still grow."""
    # Its header does not say how long it is.
    samples = file.read_bytes()[HEADER + 2 * begin : None if end is None else HEADER + 2 * end]
    return max(map(abs, array("h", samples[: len(samples) // 2 * 2])), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """An agent and a customer in one room, both silent; `ends` are the channels of their phones."""

    rig: Rig
    agent: AgentId
    call: CallId
    ends: dict[str, str]

    async def record(self) -> None:
        """Begin the recording of the call."""
        recording = recording_id(self.call, 1)
        start = RecordingOrder.START
        self.rig.switch.record(Record(call=self.call, recording=recording, order=start, server=SERVER, room=self.agent))
        assert (await self.rig.wait(RecordingAnswered)).problem == ""

    def goes_on(self) -> bool:
        return not [*self.rig.of(CallHungUp), *self.rig.of(AgentPhoneGone)]


@pytest.fixture
def talking(
    asterisk_lab: AsteriskLab, session: Session, name: Callable[[str], str], serials: Iterator[int]
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    """Makes a talk of an agent at the phone that is named."""

    @asynccontextmanager
    async def talk(phone: str) -> AsyncIterator[Talk]:
        agent, call = AgentId(name("agent")), CallId(name("call"))
        number = plan.number(Kind.AUDIO, next(serials), persona=Persona.QUIET)
        settings = settings_for(
            "native", asterisk_lab.layout.ami_port, secret=asterisk_lab.secret, dial="PJSIP/{number}@carrier"
        )
        async with running(settings) as rig:
            await rig.wait(ServerConnected)
            rig.call_agent(agent, phone)
            await rig.wait(AgentPhoneUp, agent)
            rig.originate(call, number)
            await rig.wait(CallAnswered, call)
            rig.connect(call, agent)
            await rig.wait(CallJoined, call)
            ends = {"agent": session.far_end(phone), "customer": session.far_end("listen")}
            yield Talk(rig=rig, agent=agent, call=call, ends=ends)

    return talk
