"""The announcement before a recording on the real Asterisk: who hears it, and what becomes of one that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dialer.core.commands import Announce, StopAnnouncement
from dialer.core.events import CallHungUp, RecordingAnnounced
from dialer.core.recording import recording_id
from scripts.lab.record import Session
from tests.lab import AsteriskLab
from tests.switch_rig import SERVER
from tests.talks import Ears, Talk

pytestmark = pytest.mark.asterisk

AGENT_PHONE = "agent17"
#: Shipped with Asterisk; two seconds and more of speech.
SOUND = "please-try-call-later"


async def test_both_hear_it_before_the_recording_begins(
    asterisk_lab: AsteriskLab,
    session: Session,
    talking: Callable[[str], AbstractAsyncContextManager[Talk]],
    tmp_path: Path,
) -> None:
    async with talking(AGENT_PHONE) as talk:
        rig, call = talk.rig, talk.call

        def announce(number: int, sound: str) -> Announce:
            recording = recording_id(call, number)
            return Announce(call=call, recording=recording, sound=sound, server=SERVER, room=talk.agent)

        ears = Ears(asterisk_lab, tmp_path, talk.ends)
        assert await ears.hear() == set()
        rig.switch.announce(announce(1, SOUND))
        assert await ears.hear() == {"agent", "customer"}
        told = await rig.wait(RecordingAnnounced)
        assert (told.call, told.recording, told.problem) == (call, recording_id(call, 1), "")
        await talk.record()

        rig.switch.announce(announce(2, "no-such-sound"))
        assert "not played" in (await rig.wait(RecordingAnnounced, count=2)).problem
        rig.switch.announce(announce(3, SOUND))
        assert await ears.hear() == {"agent", "customer"}
        rig.switch.stop_announcement(StopAnnouncement(recording=recording_id(call, 3), server=SERVER))
        assert "broken off" in (await rig.wait(RecordingAnnounced, count=3)).problem
        await rig.until(lambda: "announcer" not in asterisk_lab.cli("core show channels concise"), "it is gone")
        assert talk.goes_on()

        session.lay_down(talk.ends["agent"])
        await rig.wait(CallHungUp, call)
        rig.switch.announce(announce(4, SOUND))
        assert "not in its room" in (await rig.wait(RecordingAnnounced, count=4)).problem
