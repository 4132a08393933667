"""A customer whose agent's page is being loaded anew, on the real Asterisk: who hears that, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dialer.core.commands import Comfort, EndComfort
from dialer.core.events import CallHungUp
from dialer.core.recording import recording_id
from scripts.lab.record import Session
from tests.lab import AsteriskLab
from tests.recordings import AUDIBLE
from tests.switch_rig import SERVER
from tests.talks import Ears, Talk, loudness

pytestmark = pytest.mark.asterisk

AGENT_PHONE = "agent18"


async def heard(ears: Ears) -> set[str]:
    """Who hears something within three seconds, or before that: the tone comes every two."""
    return await ears.hear() or await ears.hear() or await ears.hear()


async def silent(ears: Ears) -> bool:
    """Whether nobody hears anything for three seconds, before twelve are over."""
    for _ in range(4):
        if not await heard(ears):
            return True
    return False


async def test_the_customer_alone_hears_it_and_the_recording_does_not(
    asterisk_lab: AsteriskLab,
    session: Session,
    talking: Callable[[str], AbstractAsyncContextManager[Talk]],
    tmp_path: Path,
) -> None:
    async def comforters(count: int) -> None:
        await rig.until(
            lambda: asterisk_lab.cli("core show channels concise").count("!ChanSpy!") == count, f"{count} at the ear"
        )

    async with talking(AGENT_PHONE) as talk:
        rig, call = talk.rig, talk.call
        begin, end = Comfort(call=call, server=SERVER), EndComfort(call=call, server=SERVER)
        kept = asterisk_lab.layout.run / "dialer" / "spool" / "monitor" / "cadencia"
        file = kept / f"{recording_id(call, 1)}.wav"
        await talk.record()
        ears = Ears(asterisk_lab, tmp_path, talk.ends)

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
        assert await silent(ears)
        await comforters(0)

        assert file.stat().st_size > 16_000 * 3, "there are seconds of it"
        assert loudness(file) <= AUDIBLE, "the recording has nothing of it"
        session.speak(talk.ends["agent"])
        assert await heard(ears) == {"customer"}
        await rig.until(lambda: loudness(file) > AUDIBLE, "the recording goes on")
        assert talk.goes_on()

        # it ends with the call
        rig.switch.comfort(begin)
        await comforters(1)
        session.lay_down(talk.ends["customer"])
        await rig.wait(CallHungUp, call)
        await comforters(0)
