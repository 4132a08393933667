"""Both AMI drivers against the embedded exchange: a customer whose agent's page is being loaded anew."""

from __future__ import annotations

from string import ascii_letters, digits

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialer.ami import encode_action
from dialer.core.commands import Comfort, EndComfort
from dialer.core.events import CallHungUp, ServerConnected, ServerLost
from dialer.core.ids import CallId
from dialer.errors import LocalProtocolError
from dialer.simulation import local_channels
from dialer.switch.comforts import Comforts, action_for, is_comfort, leg_of_comfort
from dialer.switch.mapping import call_of
from tests.contract.test_switch_announcements import CALL, PHONE, exchange_of, talk
from tests.patience import PATIENCE_S
from tests.switch_rig import SERVER, running, settings_for

BEGIN, END = Comfort(call=CALL, server=SERVER), EndComfort(call=CALL, server=SERVER)
LEG = leg_of_comfort(CALL)


@pytest.mark.parametrize("driver", ["native", "pyst2"])
async def test_it_lasts_until_it_is_ended_or_the_call_is(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_channels, "COMFORT_S", 10 * PATIENCE_S)
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        board = exchange.switchboard
        await talk(rig)

        def begun() -> bool:
            # Asked again, as by a page that is loaded anew twice: whoever hears it hears it until one end.
            rig.switch.comfort(BEGIN)
            return board.find(LEG) is not None

        await rig.until(begun, "it is at their ear")
        rig.switch.end_comfort(END)
        await rig.until(lambda: board.find(LEG) is None, "its end")
        await rig.until(begun, "it is there once more")
        assert [record.number for record in exchange.dialed] == [PHONE[1:]], "nobody is dialed for it"
        assert not rig.of(CallHungUp)
        rig.hang_up(CALL)
        await rig.wait(CallHungUp, CALL)
        await rig.until(lambda: board.find(LEG) is None, "nobody is at an ear that is gone")


async def test_it_ends_by_itself_where_nobody_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_channels, "COMFORT_S", 0.3)
    async with exchange_of() as exchange, running(settings_for("native", exchange.port)) as rig:
        board = exchange.switchboard
        await talk(rig)
        rig.switch.comfort(BEGIN)
        await rig.until(lambda: board.find(LEG) is not None, "it is at their ear")
        exchange.drop()
        await rig.wait(ServerLost)
        rig.switch.comfort(BEGIN)
        again = await rig.wait(ServerConnected, count=2)
        assert again.calls == {CALL}, "it is no call"
        await rig.until(lambda: board.find(LEG) is None, "its end")
        # of somebody who is not there
        rig.switch.comfort(Comfort(call=CallId("n-2"), server=SERVER))
        rig.switch.end_comfort(EndComfort(call=CallId("n-3"), server=SERVER))
        await rig.until(lambda: board.find(leg_of_comfort(CallId("n-2"))) is None, "its end")
        assert not rig.of(CallHungUp)


async def test_one_that_is_over_before_it_began_is_not_heard_for_long() -> None:
    async with exchange_of() as exchange, running(settings_for("native", exchange.port)) as rig:
        await talk(rig)
        rig.switch.comfort(BEGIN)
        rig.switch.end_comfort(END)
        await rig.until(lambda: exchange.switchboard.counts.ended == 1, "it has been there, and is not any more")
        assert exchange.switchboard.find(LEG) is None
        assert not rig.of(CallHungUp)


def test_an_end_finds_the_channel_or_waits_for_it() -> None:
    comforts = Comforts()
    assert comforts.ended(CALL) == LEG, "one of before the connection was lost may be there"
    comforts.began(CALL)
    assert comforts.ended(CALL) is None
    assert len(comforts) == 1
    comforts.began(CALL)
    comforts.forget()
    assert comforts.ended(CALL) == LEG
    comforts.began(CALL)
    comforts.failed(LEG)
    assert len(comforts) == 0


def test_what_is_at_their_ear_is_not_asked_for_again() -> None:
    comforts = Comforts()
    assert not comforts.goes_on(CALL)
    comforts.began(CALL)
    assert comforts.goes_on(CALL)
    assert comforts.ended(CALL) is None
    assert comforts.goes_on(CALL), "it has not begun, and goes on after all"
    assert comforts.refused(LEG) is None
    comforts.began(CALL)
    comforts.failed(LEG)
    assert comforts.ended(CALL) == LEG
    assert not comforts.goes_on(CALL), "what follows an end is another one"


def test_an_end_that_comes_between_a_repeat_and_its_refusal_is_not_forgotten() -> None:
    """The second is refused because the first is there, of which the other connection has not told yet."""
    comforts = Comforts()
    comforts.began(CALL)
    comforts.began(CALL)
    assert comforts.ended(CALL) is None
    assert comforts.refused(LEG) == LEG
    assert comforts.refused(LEG) is None
    assert len(comforts) == 0


@example("n-0000000001")
@given(
    st.text(max_size=140) | st.sampled_from(["../x", "a&b", "x,b", "x\r\nApplication: System", "${SHELL(x)}", "a~b"])
)
def test_no_call_becomes_more_than_a_name(text: str) -> None:
    try:
        sent = encode_action(action_for(Comfort(call=CallId(text), server=SERVER)), "a").decode()
    except LocalProtocolError:
        return
    lines = sent.splitlines()
    assert lines[2:5] == ["Channel: Local/s@cadencia-comforter/n", "Context: cadencia-comfort", "Exten: s"]
    assert f"Variable: CADENCIA_COMFORTED={text}" in lines
    assert set(text) <= set(ascii_letters + digits + "_-.")


def test_its_channel_is_nobodys_call() -> None:
    assert is_comfort(LEG)
    assert call_of(LEG) is None
    assert call_of(f"{LEG};2") is None
