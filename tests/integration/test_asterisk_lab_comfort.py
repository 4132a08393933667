"""A customer whose agent's page is being loaded anew, on the real Asterisk: who hears that, and for how long."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialer.core.commands import Comfort, EndComfort, Record
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
from tests.integration.test_asterisk_lab_supervision import HEADER, Ears
from tests.lab import AsteriskLab
from tests.recordings import AUDIBLE
from tests.switch_rig import SERVER, running, settings_for

pytestmark = pytest.mark.asterisk

AGENT_PHONE = "agent18"


async def heard(ears: Ears) -> set[str]:
    """Who hears something within three seconds, or before that: the tone comes every two."""
    return await ears.hear() or await ears.hear() or await ears.hear()


def loudest(file: Path) -> int:
    # The header of a file that grows does not say how long it is.
    data = file.read_bytes()[HEADER:]
    return max(map(abs, array("h", data[: len(data) // 2 * 2])), default=0)


async def test_the_customer_alone_hears_it_and_the_recording_does_not(
    asterisk_lab: AsteriskLab, session: Session, name: Callable[[str], str], serials: Iterator[int], tmp_path: Path
) -> None:
    agent, call = AgentId(name("agent")), CallId(name("call"))
    number = plan.number(Kind.AUDIO, next(serials), persona=Persona.QUIET)
    settings = settings_for(
        "native", asterisk_lab.layout.ami_port, secret=asterisk_lab.secret, dial="PJSIP/{number}@carrier"
    )
    begin, end = Comfort(call=call, server=SERVER), EndComfort(call=call, server=SERVER)
    recording = recording_id(call, 1)
    file = asterisk_lab.layout.run / "dialer" / "spool" / "monitor" / "cadencia" / f"{recording}.wav"

    async def comforters(count: int) -> None:
        await rig.until(
            lambda: asterisk_lab.cli("core show channels concise").count("!ChanSpy!") == count, f"{count} at the ear"
        )

    async with running(settings) as rig:
        await rig.wait(ServerConnected)
        rig.call_agent(agent, AGENT_PHONE)
        await rig.wait(AgentPhoneUp, agent)
        rig.originate(call, number)
        await rig.wait(CallAnswered, call)
        rig.connect(call, agent)
        await rig.wait(CallJoined, call)
        order = Record(call=call, recording=recording, order=RecordingOrder.START, server=SERVER, room=agent)
        rig.switch.record(order)
        assert (await rig.wait(RecordingAnswered)).problem == ""
        ends = {"agent": session.far_end(AGENT_PHONE), "customer": session.far_end("listen")}
        ears = Ears(asterisk_lab, tmp_path, ends)

        rig.switch.comfort(begin)
        assert await heard(ears) == {"customer"}
        rig.switch.comfort(begin)
        await comforters(1)
        rig.switch.end_comfort(end)
        await comforters(0)
        # once more, and over before it has begun
        rig.switch.comfort(begin)
        rig.switch.end_comfort(end)
        # A moment of it may be: whatever began is hung up as soon as it is there, and lasts 20 s where it is not.
        assert [await heard(ears), await heard(ears)][1] == set()
        await comforters(0)

        assert file.stat().st_size > 16_000 * 3, "there are seconds of it"
        assert loudest(file) <= AUDIBLE, "the recording has nothing of it"
        session.speak(ends["agent"])
        assert await heard(ears) == {"customer"}
        await rig.until(lambda: loudest(file) > AUDIBLE, "the recording goes on")
        assert not [*rig.of(CallHungUp), *rig.of(AgentPhoneGone)], "the talk goes on"

        # it ends with the call
        rig.switch.comfort(begin)
        await comforters(1)
        session.lay_down(ends["customer"])
        await rig.wait(CallHungUp, call)
        await comforters(0)
