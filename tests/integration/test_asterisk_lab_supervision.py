"""A supervisor on the real Asterisk: who hears whom in each mode, measured at every phone's own end of the line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dialer.core.commands import CallMonitor, ChangeMonitor, HangUpMonitor
from dialer.core.events import CallHungUp, MonitorPhoneGone, MonitorPhoneUp
from dialer.core.ids import AgentId, MonitorId
from dialer.core.monitor import MonitorMode
from scripts.lab.record import Session
from tests.lab import AsteriskLab
from tests.switch_rig import SERVER, Rig
from tests.talks import Ears, Talk

pytestmark = pytest.mark.asterisk

AGENT_PHONE, SUPERVISOR_PHONE = "agent15", "agent16"


def change(rig: Rig, monitor: MonitorId, agent: AgentId, mode: MonitorMode) -> None:
    rig.switch.change_monitor(ChangeMonitor(monitor=monitor, agent=agent, mode=mode, server=SERVER))


async def test_listen_whisper_and_barge_in_are_what_they_say(
    asterisk_lab: AsteriskLab,
    session: Session,
    name: Callable[[str], str],
    talking: Callable[[str], AbstractAsyncContextManager[Talk]],
    tmp_path: Path,
) -> None:
    monitor = MonitorId(name("monitor"))
    async with talking(AGENT_PHONE) as talk:
        rig, agent = talk.rig, talk.agent
        rig.switch.call_monitor(CallMonitor(monitor=monitor, agent=agent, extension=SUPERVISOR_PHONE, server=SERVER))
        await rig.wait(MonitorPhoneUp)
        ends = {**talk.ends, "supervisor": session.far_end(SUPERVISOR_PHONE)}
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
        assert talk.goes_on()
        rig.switch.call_monitor(CallMonitor(monitor=monitor, agent=agent, extension=SUPERVISOR_PHONE, server=SERVER))
        await rig.wait(MonitorPhoneUp, count=2)
        session.lay_down(ends["agent"])
        await rig.wait(MonitorPhoneGone, count=2)
        await rig.wait(CallHungUp, talk.call)
