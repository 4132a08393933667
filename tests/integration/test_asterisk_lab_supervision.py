"""A supervisor on the real Asterisk: who hears whom in each mode, measured at every phone's own end of the line."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialer.core.commands import CallMonitor, ChangeMonitor, HangUpMonitor
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    MonitorPhoneGone,
    MonitorPhoneUp,
    ServerConnected,
)
from dialer.core.ids import AgentId, MonitorId
from dialer.core.monitor import MonitorMode
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from scripts.lab.record import Session
from tests.lab import AsteriskLab
from tests.patience import PATIENCE_S
from tests.recordings import AUDIBLE
from tests.switch_rig import SERVER, Rig, running, settings_for

pytestmark = pytest.mark.asterisk

#: Samples of one phase, of which there are 8,000 a second, and how many of the first are left to the switch.
PHASE, SETTLE = 8_000, 3_600
#: Bytes before the first sample.
HEADER = 44
AGENT_PHONE, SUPERVISOR_PHONE = "agent15", "agent16"


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
        return {who for who, at in begun.items() if self._loudness(who, at + SETTLE, at + PHASE) > AUDIBLE}

    async def come_to(self, who: set[str]) -> None:
        """Wait until these hear something and nobody else does: the switch takes its time."""
        heard = [await self.hear()]
        while heard[-1] != who:
            assert len(heard) < 4, (heard, who)
            heard.append(await self.hear())

    def _samples(self, who: str) -> int:
        file = self._files[who]
        return max(0, file.stat().st_size - HEADER) // 2 if file.exists() else 0

    def _loudness(self, who: str, begin: int, end: int) -> int:
        # The header of a file that grows does not say how long it is.
        data = self._files[who].read_bytes()[HEADER + 2 * begin : HEADER + 2 * end]
        return max(map(abs, array("h", data)))


def change(rig: Rig, monitor: MonitorId, agent: AgentId, mode: MonitorMode) -> None:
    rig.switch.change_monitor(ChangeMonitor(monitor=monitor, agent=agent, mode=mode, server=SERVER))


async def test_listen_whisper_and_barge_in_are_what_they_say(
    asterisk_lab: AsteriskLab, session: Session, name: Callable[[str], str], serials: Iterator[int], tmp_path: Path
) -> None:
    agent, monitor, call = AgentId(name("agent")), MonitorId(name("monitor")), name("call")
    number = plan.number(Kind.AUDIO, next(serials), persona=Persona.QUIET)
    settings = settings_for(
        "native", asterisk_lab.layout.ami_port, secret=asterisk_lab.secret, dial="PJSIP/{number}@carrier"
    )
    async with running(settings) as rig:
        await rig.wait(ServerConnected)
        rig.call_agent(agent, AGENT_PHONE)
        await rig.wait(AgentPhoneUp, agent)
        rig.originate(call, number)
        await rig.wait(CallAnswered, call)
        rig.connect(call, agent)
        await rig.wait(CallJoined, call)
        rig.switch.call_monitor(CallMonitor(monitor=monitor, agent=agent, extension=SUPERVISOR_PHONE, server=SERVER))
        await rig.wait(MonitorPhoneUp)
        ends = {
            "agent": session.far_end(AGENT_PHONE),
            "supervisor": session.far_end(SUPERVISOR_PHONE),
            "customer": session.far_end("listen"),
        }
        ears = Ears(asterisk_lab, tmp_path, ends)

        session.speak(ends["customer"])
        await ears.come_to({"agent", "supervisor"})
        session.speak(ends["customer"], quiet=True)
        session.speak(ends["agent"])
        await ears.come_to({"supervisor", "customer"})  # both sides are heard
        session.speak(ends["agent"], quiet=True)

        session.speak(ends["supervisor"])
        await ears.come_to(set())  # a listener is not heard
        change(rig, monitor, agent, MonitorMode.WHISPER)
        await ears.come_to({"agent"})
        session.speak(ends["supervisor"])
        change(rig, monitor, agent, MonitorMode.BARGE)
        await ears.come_to({"agent", "customer"})
        change(rig, monitor, agent, MonitorMode.LISTEN)
        session.speak(ends["supervisor"])
        await ears.come_to(set())

        rig.switch.hang_up_monitor(HangUpMonitor(monitor=monitor, server=SERVER))
        await rig.wait(MonitorPhoneGone)
        assert not [*rig.of(CallHungUp), *rig.of(AgentPhoneGone)], "the talk goes on"
        rig.switch.call_monitor(CallMonitor(monitor=monitor, agent=agent, extension=SUPERVISOR_PHONE, server=SERVER))
        await rig.wait(MonitorPhoneUp, count=2)
        session.lay_down(ends["agent"])
        await rig.wait(MonitorPhoneGone, count=2)
        await rig.wait(CallHungUp, call)
