"""The announcement before a recording on the real Asterisk: who hears it, and what becomes of one that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialer.core.commands import Announce, Record, StopAnnouncement
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    RecordingAnnounced,
    RecordingAnswered,
    ServerConnected,
)
from dialer.core.ids import AgentId, CallId
from dialer.core.recording import RecordingOrder, recording_id
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from scripts.lab.record import Session
from tests.integration.test_asterisk_lab_supervision import Ears
from tests.lab import AsteriskLab
from tests.switch_rig import SERVER, running, settings_for

pytestmark = pytest.mark.asterisk

AGENT_PHONE = "agent17"
#: Shipped with Asterisk; two seconds and more of speech.
SOUND = "please-try-call-later"


async def test_both_hear_it_before_the_recording_begins(
    asterisk_lab: AsteriskLab, session: Session, name: Callable[[str], str], serials: Iterator[int], tmp_path: Path
) -> None:
    agent, call = AgentId(name("agent")), CallId(name("call"))
    number = plan.number(Kind.AUDIO, next(serials), persona=Persona.QUIET)
    settings = settings_for(
        "native", asterisk_lab.layout.ami_port, secret=asterisk_lab.secret, dial="PJSIP/{number}@carrier"
    )
    recording = recording_id(call, 1)

    def announce(number: int, sound: str) -> Announce:
        return Announce(call=call, recording=recording_id(call, number), sound=sound, server=SERVER, room=agent)

    async with running(settings) as rig:
        await rig.wait(ServerConnected)
        rig.call_agent(agent, AGENT_PHONE)
        await rig.wait(AgentPhoneUp, agent)
        rig.originate(call, number)
        await rig.wait(CallAnswered, call)
        rig.connect(call, agent)
        await rig.wait(CallJoined, call)
        ears = Ears(
            asterisk_lab,
            tmp_path,
            {"agent": session.far_end(AGENT_PHONE), "customer": session.far_end("listen")},
        )
        assert await ears.hear() == set()
        rig.switch.announce(announce(1, SOUND))
        assert await ears.hear() == {"agent", "customer"}
        told = await rig.wait(RecordingAnnounced)
        assert (told.call, told.recording, told.problem) == (call, recording, "")
        order = Record(call=call, recording=recording, order=RecordingOrder.START, server=SERVER, room=agent)
        rig.switch.record(order)
        assert (await rig.wait(RecordingAnswered)).problem == ""

        rig.switch.announce(announce(2, "no-such-sound"))
        assert "not played" in (await rig.wait(RecordingAnnounced, count=2)).problem
        rig.switch.announce(announce(3, SOUND))
        assert await ears.hear() == {"agent", "customer"}
        rig.switch.stop_announcement(StopAnnouncement(recording=recording_id(call, 3), server=SERVER))
        assert "broken off" in (await rig.wait(RecordingAnnounced, count=3)).problem
        await rig.until(lambda: "announcer" not in asterisk_lab.cli("core show channels concise"), "it is gone")
        assert not [*rig.of(CallHungUp), *rig.of(AgentPhoneGone)], "the talk goes on"

        session.lay_down(session.far_end(AGENT_PHONE))
        await rig.wait(CallHungUp, call)
        rig.switch.announce(announce(4, SOUND))
        assert "not in its room" in (await rig.wait(RecordingAnnounced, count=4)).problem
