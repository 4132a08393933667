"""Recordings in the engine: the table, who may order what and when, and what is told of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.call import CallState
from dialer.core.campaign import Campaign, RecordingConsent, RecordingMode
from dialer.core.floor import Output
from dialer.core.ids import AgentId, CallId, RecordingId, ServerName
from dialer.core.recording import (
    TRANSITIONS,
    UNDER_WAY,
    Recording,
    RecordingOrder,
    RecordingState,
    RecordingStep,
    file_of,
    recording_id,
)
from dialer.core.recording_desk import ANNOUNCEMENT_TIMEOUT_S, START_TIMEOUT_S
from dialer.errors import InvalidTransition
from tests.engine_harness import CAMPAIGN, PBX, Harness
from tests.unit.test_state_tables import a_call

_O, _S = RecordingOrder, RecordingState


@pytest.mark.parametrize(("state", "step"), list(itertools.product(RecordingState, RecordingStep)))
def test_table(state: RecordingState, step: RecordingStep) -> None:
    recording = Recording(call=a_call(CallState.CONNECTED), number=1, state=state)
    expected = TRANSITIONS.get((state, step))
    assert recording.can(step) is (expected is not None)
    if expected is None:
        with pytest.raises(InvalidTransition):
            recording.take(step, 5.0)
        assert recording.state is state
    else:
        assert recording.take(step, 5.0) is state
        assert recording.state is expected


def test_every_state_can_be_reached_and_ends_with_the_call() -> None:
    reached = {RecordingState.OFF}
    while more := {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached:
        reached |= more
    assert reached == set(RecordingState)
    assert all((state, RecordingStep.END) in TRANSITIONS for state in set(RecordingState) - {RecordingState.ENDED})
    assert not any(state is RecordingState.ENDED for state, _ in TRANSITIONS)


class Talk:
    """A call that is with an agent."""

    #: What is said to both before a recording.
    sound = ""

    def __init__(
        self, mode: RecordingMode = RecordingMode.ON_DEMAND, consent: RecordingConsent = RecordingConsent.NONE
    ) -> None:
        campaign = Campaign(
            id=CAMPAIGN,
            method="progressive",
            recording=mode,
            recording_consent=consent,
            recording_announcement=self.sound,
        )
        self.floor = Harness(campaign)
        self.floor.start("ana")
        self.floor.advance(0.1)
        self.call = self.floor.calls()[0]
        self.floor.answer(self.call)
        self.floor.join(self.call)

    def state(self) -> RecordingState:
        return self.floor.engine.recordings.state(self.call)

    @property
    def id(self) -> RecordingId:
        found = self.floor.engine.recordings.current(self.call)
        assert found is not None
        return found

    def ask(self, order: RecordingOrder, *, consented: bool = False) -> list[Output]:
        """Somebody orders; the commands that come of it."""
        return self.floor.feed(
            ev.RecordingAsked(at=self.floor.now, call=self.call, order=order, by="ana", consented=consented)
        )

    def answer(self, order: RecordingOrder, problem: str = "", *, certain: bool = True) -> list[Output]:
        """The switch has done it, or not."""
        return self.floor.feed(
            ev.RecordingAnswered(
                at=self.floor.now, call=self.call, recording=self.id, order=order, problem=problem, certain=certain
            )
        )

    def do(self, order: RecordingOrder) -> None:
        self.ask(order)
        self.answer(order)

    def lose(self) -> None:
        self.floor.feed(ev.ServerLost(at=self.floor.now, server=PBX, reason="cut"))

    def come_back(self) -> list[Output]:
        return self.floor.feed(
            ev.ServerConnected(
                at=self.floor.now, server=PBX, calls=frozenset({self.call}), agents=frozenset({AgentId("ana")})
            )
        )

    def told(self) -> list[ntc.RecordingChanged]:
        return self.floor.of(ntc.RecordingChanged)


def orders(outputs: list[Output]) -> list[RecordingOrder]:
    return [output.order for output in outputs if isinstance(output, cmd.Record)]


def test_a_state_changes_only_when_the_switch_has_said_so() -> None:
    talk = Talk()
    assert orders(talk.ask(_O.START)) == [_O.START]
    assert talk.state() is _S.STARTING
    talk.answer(_O.START)
    assert talk.state() is _S.ON
    assert orders(talk.ask(_O.PAUSE)) == [_O.PAUSE]
    assert talk.state() is _S.ON, "nobody may say a card number yet"
    assert orders(talk.ask(_O.PAUSE)) == [_O.PAUSE], "somebody is in a hurry"
    talk.answer(_O.PAUSE)
    assert orders(talk.ask(_O.PAUSE)) == [], "it is so already"
    talk.answer(_O.PAUSE)
    assert talk.state() is _S.PAUSED
    talk.do(_O.RESUME)
    talk.do(_O.STOP)
    assert talk.state() is _S.OFF
    talk.do(_O.START)
    assert talk.id == recording_id(talk.call, 2), "a piece of its own"


def test_pauses_are_told_with_the_end_of_the_call() -> None:
    talk = Talk()
    began = talk.floor.now
    talk.do(_O.START)
    for order in (_O.PAUSE, _O.RESUME, _O.PAUSE):
        talk.floor.advance(10.0)
        talk.do(order)
    talk.floor.advance(10.0)
    outputs = talk.floor.hang_up(talk.call)
    (told,) = [output for output in outputs if isinstance(output, ntc.RecordingChanged)]
    assert told.complete
    assert told.state is _S.ENDED
    assert [(a - began, (b or 0.0) - began) for a, b in told.pauses] == [(10.0, 20.0), (30.0, 40.0)]
    kinds = [type(output) for output in outputs]
    assert kinds.index(ntc.RecordingChanged) < kinds.index(cmd.FinishCall) < kinds.index(ntc.CallEnded)
    assert talk.state() is _S.OFF, "forgotten at once"
    assert orders(outputs) == [], "Asterisk ends it with the channel"


def test_orders_that_make_no_sense_are_refused_in_words() -> None:
    talk = Talk()
    desk = talk.floor.engine.recordings
    for order in (_O.PAUSE, _O.RESUME, _O.STOP):
        assert desk.refusal(talk.call, order) == "this call is not being recorded"
        assert orders(talk.ask(order)) == []
    assert desk.refusal(CallId("other-1-1"), _O.START) == "this call is not under way here"
    talk.do(_O.START)
    talk.do(_O.PAUSE)
    assert "resume it" in desk.refusal(talk.call, _O.START)
    talk.lose()
    assert "out of reach" in desk.refusal(talk.call, _O.RESUME)


@pytest.mark.parametrize("mode", list(RecordingMode))
def test_what_the_campaign_says(mode: RecordingMode) -> None:
    talk = Talk(mode)
    (moved,) = talk.floor.of(cmd.ConnectCall)
    assert (moved.recording == recording_id(talk.call, 1)) is (mode is RecordingMode.ALWAYS)
    assert orders(talk.floor.out) == [], "the move itself begins it"
    assert (talk.state() is _S.STARTING) is (mode is RecordingMode.ALWAYS)
    refusal = talk.floor.engine.recordings.refusal(talk.call, _O.START)
    assert bool(refusal) is (mode is RecordingMode.OFF)


def test_only_talks_are_recorded() -> None:
    floor = Harness(Campaign(id=CAMPAIGN, method="progressive", recording=RecordingMode.ON_DEMAND))
    floor.start("ana")
    floor.advance(0.1)
    call = floor.calls()[0]
    refusal = floor.engine.recordings.refusal
    assert "with an agent" in refusal(call, _O.START)
    floor.answer(call)
    assert "with an agent" in refusal(call, _O.START)
    floor.join(call)
    assert refusal(call, _O.START) == ""


def test_consent_is_on_record_or_said_with_the_order() -> None:
    talk = Talk(RecordingMode.ALWAYS, RecordingConsent.REQUIRED)
    assert talk.state() is _S.OFF, "nobody has agreed"
    assert orders(talk.ask(_O.START)) == []
    assert orders(talk.ask(_O.START, consented=True)) == [_O.START]


def test_a_start_that_fails_leaves_no_recording() -> None:
    talk = Talk()
    talk.ask(_O.START)
    talk.answer(_O.START, "Could not start monitoring channel")
    assert talk.state() is _S.OFF
    assert (talk.told()[-1].problem, talk.told()[-1].complete) == ("Could not start monitoring channel", False)
    talk.do(_O.START)
    assert talk.state() is _S.ON


def test_a_pause_that_fails_is_told_and_may_be_asked_for_again() -> None:
    talk = Talk()
    talk.do(_O.START)
    talk.ask(_O.PAUSE)
    talk.answer(_O.PAUSE, "Cannot set mute flag")
    assert talk.state() is _S.ON
    assert talk.told()[-1].problem == "Cannot set mute flag"
    assert orders(talk.ask(_O.PAUSE)) == [_O.PAUSE]


def test_a_start_without_an_answer_is_stopped_and_its_file_is_looked_for() -> None:
    talk = Talk()
    talk.ask(_O.START)
    assert orders(talk.answer(_O.START, "no response in time", certain=False)) == []
    assert orders(talk.floor.advance(START_TIMEOUT_S + 0.1)) == [_O.STOP]
    assert talk.state() is _S.OFF
    assert talk.told()[-1].complete


def test_an_asterisk_that_never_says_so_does_not_record() -> None:
    talk = Talk()
    talk.ask(_O.START)
    assert talk.state() is _S.STARTING
    assert orders(talk.floor.advance(START_TIMEOUT_S + 0.1)) == [_O.STOP]
    assert talk.state() is _S.OFF
    assert "extensions.conf" in talk.told()[-1].problem


def test_what_is_asked_for_at_the_start_is_done_when_it_has_begun() -> None:
    for order in (_O.PAUSE, _O.STOP):
        talk = Talk()
        talk.ask(_O.START)
        assert orders(talk.ask(order)) == []
        assert orders(talk.answer(_O.START)) == [order]


def test_a_customer_who_never_arrives_is_not_recorded() -> None:
    floor = Harness(Campaign(id=CAMPAIGN, method="progressive", recording=RecordingMode.ALWAYS))
    floor.start("ana", "ben")
    floor.advance(0.1)
    call = floor.calls()[0]
    floor.answer(call)
    floor.advance(1.1)  # the first agent's room is given up
    first, second = [command for command in floor.of(cmd.ConnectCall) if command.call == call]
    assert first.recording == second.recording == recording_id(call, 1)
    floor.hang_up(call)
    told = floor.of(ntc.RecordingChanged)
    assert [(one.state, one.complete) for one in told] == [(_S.STARTING, False), (_S.OFF, False)]


def test_asterisk_stops_by_itself() -> None:
    talk = Talk()
    talk.do(_O.START)
    talk.floor.feed(ev.RecordingStopped(at=talk.floor.now, call=talk.call))
    assert talk.state() is _S.OFF
    assert (talk.told()[-1].complete, talk.told()[-1].problem) == (True, "stopped by Asterisk")


def test_the_word_of_a_stop_that_was_asked_for_does_not_end_the_next_recording() -> None:
    talk = Talk()
    talk.do(_O.START)
    talk.do(_O.STOP)
    talk.do(_O.START)
    talk.floor.feed(ev.RecordingStopped(at=talk.floor.now, call=talk.call))
    assert talk.state() is _S.ON


@pytest.mark.parametrize("told_first", [True, False])
@pytest.mark.parametrize("order", [_O.PAUSE, _O.STOP])
def test_what_was_not_answered_before_the_server_went_is_asked_for_again(
    order: RecordingOrder, told_first: bool
) -> None:
    talk = Talk()
    talk.do(_O.START)
    talk.ask(order)
    if told_first:
        talk.answer(order, "connection lost", certain=False)
    talk.lose()
    if not told_first:
        talk.answer(order, "connection lost", certain=False)
    assert talk.state() is _S.ON
    assert orders(talk.come_back()) == [order]


def test_a_start_that_nobody_knows_of_is_made_anew() -> None:
    talk = Talk()
    talk.ask(_O.START)
    talk.ask(_O.PAUSE)
    talk.lose()
    talk.answer(_O.START, "connection lost", certain=False)
    assert talk.state() is _S.STARTING
    assert orders(talk.come_back()) == [_O.STOP, _O.START]
    assert talk.id == recording_id(talk.call, 2)
    assert orders(talk.answer(_O.START)) == [_O.PAUSE], "as soon as there is something to pause"
    assert [(told.recording, told.complete) for told in talk.told()][-3:] == [
        (recording_id(talk.call, 1), True),
        (recording_id(talk.call, 2), False),
        (recording_id(talk.call, 2), False),
    ]


def test_a_talk_that_ended_while_nobody_listened_ends_its_recording() -> None:
    talk = Talk()
    talk.do(_O.START)
    talk.lose()
    talk.floor.feed(
        ev.ServerConnected(at=talk.floor.now, server=PBX, calls=frozenset(), agents=frozenset({AgentId("ana")}))
    )
    assert talk.told()[-1].complete


def test_a_recording_of_an_earlier_process_is_taken_over() -> None:
    talk = Talk()
    found = ev.RecordingFound(
        at=talk.floor.now,
        call=talk.call,
        recording=recording_id(talk.call, 3),
        started_at=talk.floor.now - 30.0,
        paused=True,
        by="ana",
        paused_at=talk.floor.now - 5.0,
    )
    talk.floor.feed(replace(found, recording=RecordingId("../../etc/passwd")))
    assert talk.state() is _S.OFF
    talk.floor.feed(found)
    assert talk.state() is _S.PAUSED
    talk.do(_O.RESUME)
    talk.do(_O.STOP)
    told = talk.told()[-1]
    assert told.recording == recording_id(talk.call, 3)
    assert told.pauses == ((talk.floor.now - 5.0, talk.floor.now),)
    assert talk.floor.engine.recordings.state(talk.call) not in UNDER_WAY


def test_answers_about_other_recordings_are_ignored() -> None:
    talk = Talk()
    talk.do(_O.START)
    for recording in (recording_id(talk.call, 9), recording_id(CallId("n1-x-1"), 1)):
        talk.floor.feed(ev.RecordingAnswered(at=talk.floor.now, call=talk.call, recording=recording, order=_O.PAUSE))
    assert talk.state() is _S.ON
    assert talk.floor.of(ntc.EventIgnored)[-1].event == "RecordingAnswered"


def test_the_switch_is_told_the_call_and_the_file_that_we_chose() -> None:
    talk = Talk()
    (record,) = [output for output in talk.ask(_O.START) if isinstance(output, cmd.Record)]
    assert (record.call, record.server) == (talk.call, ServerName("pbx"))
    assert file_of(record.recording) == f"cadencia/{talk.call}-r1.wav"


# ---- announcements


class ToldFirst(Talk):
    """A talk whose campaign has an announcement."""

    sound = "recorded"

    def announced(self, problem: str = "") -> list[Output]:
        """The switch has played it, or has not."""
        return self.floor.feed(
            ev.RecordingAnnounced(at=self.floor.now, call=self.call, recording=self.id, problem=problem)
        )


def announcements(outputs: list[Output]) -> list[cmd.Announce]:
    return [output for output in outputs if isinstance(output, cmd.Announce)]


def broken_off(outputs: list[Output]) -> list[RecordingId]:
    return [output.recording for output in outputs if isinstance(output, cmd.StopAnnouncement)]


def test_always_begins_when_both_have_heard_it_and_they_are_together_before() -> None:
    talk = ToldFirst(RecordingMode.ALWAYS)
    (connect,) = talk.floor.of(cmd.ConnectCall)
    assert connect.recording is None, "the law gives two seconds until the agent is there"
    [announce] = talk.floor.of(cmd.Announce)
    assert (announce.room, announce.sound, announce.recording) == ("ana", "recorded", f"{talk.call}-r1")
    assert talk.state() is _S.STARTING
    assert all(told.announcing for told in talk.told())
    assert not talk.floor.of(cmd.Record)
    talk.floor.advance(4.0)
    assert orders(talk.announced()) == [_O.START]
    talk.answer(_O.START)
    assert (talk.state(), talk.told()[-1].announcing) == (_S.ON, False)
    assert orders(talk.announced()) == [], "told twice"


def test_each_recording_of_a_talk_is_announced() -> None:
    talk = ToldFirst()
    for number in (1, 2):
        [announce] = announcements(talk.ask(_O.START))
        assert announce.recording == recording_id(talk.call, number)
        assert announcements(talk.ask(_O.START)) == [], "it is on its way"
        assert orders(talk.announced()) == [_O.START]
        talk.answer(_O.START)
        talk.do(_O.STOP)


@pytest.mark.parametrize("how", ["not played", "too long", "stopped", "hung up"])
def test_who_has_not_heard_it_is_not_recorded(how: str) -> None:
    talk = ToldFirst()
    talk.ask(_O.START)
    recording = talk.id
    if how == "not played":
        outputs = talk.announced("no such sound")
    elif how == "too long":
        outputs = talk.floor.advance(ANNOUNCEMENT_TIMEOUT_S + 0.1)
    elif how == "stopped":
        outputs = talk.ask(_O.STOP)
    else:
        outputs = talk.floor.hang_up(talk.call)
    assert orders(outputs) == []
    assert broken_off(talk.floor.out) == [recording]
    last = talk.told()[-1]
    assert (last.state, last.complete, last.announcing, bool(last.problem)) == (_S.OFF, False, False, True)
    late = talk.floor.feed(ev.RecordingAnnounced(at=talk.floor.now, call=talk.call, recording=recording))
    assert orders(late) == []
    assert talk.state() is _S.OFF


def test_a_pause_during_the_announcement_holds_from_the_beginning() -> None:
    talk = ToldFirst()
    talk.ask(_O.START)
    assert orders(talk.ask(_O.PAUSE)) == []
    assert orders(talk.announced()) == [_O.START]
    assert orders(talk.answer(_O.START)) == [_O.PAUSE]


def test_a_server_that_comes_back_says_it_again() -> None:
    talk = ToldFirst(RecordingMode.ALWAYS)
    first = talk.id
    talk.lose()
    talk.floor.advance(ANNOUNCEMENT_TIMEOUT_S + 1.0)
    assert talk.state() is _S.STARTING, "the reconnection will tell"
    [again] = announcements(talk.come_back())
    assert again.recording == recording_id(talk.call, 2)
    assert first in broken_off(talk.floor.out)
    assert orders(talk.announced()) == [_O.START]


def test_nobody_is_told_of_a_recording_to_which_they_have_not_agreed() -> None:
    talk = ToldFirst(RecordingMode.ALWAYS, RecordingConsent.REQUIRED)
    assert talk.floor.of(cmd.Announce) == []
    [announce] = announcements(talk.ask(_O.START, consented=True))
    assert announce.call == talk.call
