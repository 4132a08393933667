"""Both AMI drivers against the embedded exchange: people in a room are told that they are about to be recorded."""

from __future__ import annotations

from string import ascii_letters, digits

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialer.ami import encode_action
from dialer.core.commands import Announce, StopAnnouncement
from dialer.core.events import (
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    RecordingAnnounced,
    ServerConnected,
    ServerLost,
)
from dialer.core.ids import AgentId, CallId, RecordingId
from dialer.core.recording import recording_id
from dialer.errors import LocalProtocolError
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import DEMO
from dialer.simulation.world import Fate, Reaction, World
from dialer.switch.announcements import action_for, is_announcement, leg_of_announcement
from dialer.switch.mapping import call_of
from tests.switch_rig import SECRET, SERVER, Rig, running, settings_for

PHONE = "+34600111222"
CALL = CallId("n-1")
RECORDING = recording_id(CALL, 1)


def announce(sound: str = "recorded", room: str = "a1", recording: RecordingId = RECORDING) -> Announce:
    return Announce(call=CALL, recording=recording, sound=sound, server=SERVER, room=AgentId(room))


def exchange_of() -> Exchange:
    fate = Fate(reaction=Reaction.PERSON, post_dial_s=0.01, ring_s=0.02, talk_s=60.0)
    return Exchange(World(DEMO, 1, scripted={PHONE[1:]: fate}), secret=SECRET)


async def talk(rig: Rig) -> None:
    await rig.wait(ServerConnected)
    rig.call_agent("a1", "agent01")
    await rig.wait(AgentPhoneUp, "a1")
    rig.originate(CALL, PHONE)
    await rig.wait(CallAnswered, CALL)
    rig.connect(CALL, "a1")
    await rig.wait(CallJoined, CALL)


@pytest.mark.parametrize("driver", ["native", "pyst2"])
async def test_it_is_played_once_and_told_and_nobody_is_dialed_for_it(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await talk(rig)
        rig.switch.announce(announce())
        told = await rig.wait(RecordingAnnounced)
        assert (told.call, told.recording, told.problem) == (CALL, RECORDING, "")
        await rig.until(lambda: exchange.switchboard.find(leg_of_announcement(RECORDING)) is None, "its end")
        # Broken off in the middle, and with no agent in the room.
        second = recording_id(CALL, 2)
        rig.switch.announce(announce(recording=second))
        await rig.until(lambda: exchange.switchboard.find(leg_of_announcement(second)) is not None, "it speaks")
        rig.switch.stop_announcement(StopAnnouncement(recording=second, server=SERVER))
        assert "broken off" in (await rig.wait(RecordingAnnounced, count=2)).problem
        rig.switch.announce(announce(room="a2"))
        assert "not in its room" in (await rig.wait(RecordingAnnounced, count=3)).problem
        assert [record.number for record in exchange.dialed] == [PHONE[1:]]
        assert not rig.of(CallHungUp)


async def test_a_connection_that_is_lost_forgets_it_and_takes_it_for_no_call() -> None:
    async with exchange_of() as exchange, running(settings_for("native", exchange.port)) as rig:
        await talk(rig)
        rig.switch.announce(announce())
        await rig.until(lambda: exchange.switchboard.find(leg_of_announcement(RECORDING)) is not None, "it speaks")
        exchange.drop()
        await rig.wait(ServerLost)
        rig.switch.announce(announce(recording=recording_id(CALL, 2)))
        assert "not connected" in (await rig.wait(RecordingAnnounced)).problem
        again = await rig.wait(ServerConnected, count=2)
        assert again.calls == {CALL}
        await rig.until(lambda: exchange.switchboard.find(leg_of_announcement(RECORDING)) is None, "its end")
        assert len(rig.of(RecordingAnnounced)) == 1


@example("_", True)
@given(
    st.text(max_size=80) | st.sampled_from(["../x", "a&b", "h", "i", "x,b", "x\r\nApplication: System", "x@trunk"]),
    st.booleans(),
)
def test_no_name_becomes_more_than_a_room_or_a_sound(text: str, is_room: bool) -> None:
    command = announce(room=text) if is_room else announce(sound=text)
    try:
        sent = encode_action(action_for(command), "a").decode()
    except LocalProtocolError:
        return
    assert sent.splitlines()[2:5] == [
        f"Channel: Local/{command.room}@cadencia-announcer/n",
        "Context: cadencia-announce",
        f"Exten: {command.sound}",
    ]
    assert set(text) <= set(ascii_letters + digits + "_-")
    assert 1 <= len(text) <= 64


def test_its_channel_is_nobodys_call() -> None:
    leg = leg_of_announcement(RECORDING)
    assert is_announcement(leg)
    assert call_of(leg) is None
    assert call_of(f"{leg};2") is None
    with pytest.raises(LocalProtocolError):
        action_for(announce(recording=RecordingId("../x-r1")))
