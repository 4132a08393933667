"""Who is recorded: by order of people, or always where the campaign says so.

The switch does it and tells what came of each order; until it has, nobody is told that a card number can be said. While
a server is out of reach Asterisk goes on recording: what was asked for and not answered is asked for again when it is
back. The desk learns of talks and ends from what the other desks let out (`follow`), so that no way a call can end is
forgotten.

Where the campaign has an announcement, both hear it in the agent's room first, and nothing is recorded before its end.
Not on the way there: whoever answers must meet the agent within the seconds that the law gives. Who has not heard it is
not recorded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dialer.core.call import Call, CallState
from dialer.core.campaign import RecordingConsent, RecordingMode
from dialer.core.commands import Announce, ConnectCall, FinishCall, Record, StopAnnouncement
from dialer.core.events import (
    RecordingAnnounced,
    RecordingAnswered,
    RecordingAsked,
    RecordingFound,
    RecordingStopped,
)
from dialer.core.floor import Floor, Output
from dialer.core.ids import CallId, RecordingId, ServerName
from dialer.core.notices import CallConnected, RecordingChanged, ServerChanged
from dialer.core.recording import (
    DONE,
    UNDER_WAY,
    Recording,
    RecordingOrder,
    RecordingState,
    RecordingStep,
    number_of,
    valid_recording_id,
)

#: In place of a person: the campaign records every talk.
BY_CAMPAIGN: Final = "campaign"
#: Under this key of a contact's consent, `true` says that they agree to be recorded.
CONSENT_KEY: Final = "recording"
#: The switch says within milliseconds that it records; what takes longer has not begun.
START_TIMEOUT_S: Final = 3.0
#: Longest announcement; what takes longer is broken off, and they are not recorded.
ANNOUNCEMENT_TIMEOUT_S: Final = 20.0
#: Recordings that one call may have.
MAX_RECORDINGS: Final = 1_000

_STOPPED_FIRST: Final = "stopped before it began"
_ENDED_FIRST: Final = "the call ended before it began"
#: Why nothing was recorded where that is nobody's failure.
NO_FAILURE: Final = frozenset({"", _STOPPED_FIRST, _ENDED_FIRST})

_S, _O = RecordingState, RecordingOrder
_WANTED: Final = {_O.START: _S.ON, _O.PAUSE: _S.PAUSED, _O.RESUME: _S.ON, _O.STOP: _S.OFF}


class RecordingDesk:
    """Moves recordings through their states."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        #: Of calls under way that are, or were, recorded.
        self._recordings: dict[CallId, Recording] = {}

    def state(self, call: CallId) -> RecordingState:
        """Where the recording of a call stands; OFF where there is none."""
        found = self._recordings.get(call)
        return RecordingState.OFF if found is None else found.state

    def current(self, call: CallId) -> RecordingId | None:
        """The recording of a call that is under way, or its last one; None where there was none."""
        found = self._recordings.get(call)
        return None if found is None else found.id

    def announces(self, call: CallId) -> bool:
        """Whether people are being told that the recording of a call is about to begin."""
        found = self._recordings.get(call)
        return found is not None and found.announcing

    def refusal(self, call_id: CallId, order: RecordingOrder, *, consented: bool = False) -> str:
        """Why an order cannot be carried out, in words that say what to do; empty: it can."""
        floor = self._floor
        call = floor.calls.get(call_id)
        if call is None:
            return "this call is not under way here"
        found = self._recordings.get(call_id)
        under_way = found is not None and found.state in UNDER_WAY and found.wanted is not RecordingState.OFF
        if not floor.connected(call.server):
            return f"Asterisk server {call.server} is out of reach: what it records now cannot be changed"
        if order is not RecordingOrder.START:
            return "" if under_way else "this call is not being recorded"
        if found is not None and under_way:
            paused = found.wanted is RecordingState.PAUSED
            return "the recording of this call is paused: resume it" if paused else ""
        if call.campaign.recording is RecordingMode.OFF:
            return f"campaign {call.campaign.id} records no calls: its setting recording is off"
        if call.state is not CallState.CONNECTED or call.hang_up_reason:
            return "only a call that is with an agent can be recorded"
        if found is not None and found.state in UNDER_WAY:
            return "the recording before is being stopped: ask again in a moment"
        if found is not None and found.number >= MAX_RECORDINGS:
            return f"this call has been recorded {MAX_RECORDINGS} times"
        if not consented and not _agreed(call):
            return "the person has not agreed to be recorded: ask them, and say so with the order"
        return ""

    # ---- orders

    def asked(self, event: RecordingAsked) -> None:
        """Somebody wants it changed; what is so already is left so."""
        refusal = self.refusal(event.call, event.order, consented=event.consented)
        if refusal:
            self._floor.ignore("RecordingAsked", refusal)
            return
        call = self._floor.calls[event.call]
        found = self._recordings.get(event.call)
        if event.order is RecordingOrder.START and (found is None or found.state not in UNDER_WAY):
            self._start(call, event.by)
        elif found is not None and event.order is not RecordingOrder.START:
            wanted = _WANTED[event.order]
            if found.announcing and wanted is RecordingState.OFF:
                found.by = event.by
                self._give_up(found, _STOPPED_FIRST)
            elif found.state is not wanted:
                found.wanted, found.by = wanted, event.by
                if found.state is not RecordingState.STARTING:  # else once it has begun
                    self._order(found, event.order)

    # ---- from the switch

    def answered(self, event: RecordingAnswered) -> None:
        """The switch has done it, or has not."""
        found = self._recordings.get(event.call)
        if found is None or found.id != event.recording:
            self._floor.ignore("RecordingAnswered", "no such recording under way")
            return
        if event.problem and event.certain:
            self._not_done(found, event)
        elif event.problem:
            # Nobody knows. A start has its deadline; what else is wanted is asked for again by people, or when the
            # server is back.
            if event.order is not RecordingOrder.START and found.state in UNDER_WAY:
                self._tell(found, found.state, event.at, problem=event.problem)
        elif found.can(DONE[event.order]):
            self._take(found, DONE[event.order], event.at)
            if event.order is RecordingOrder.START:
                self._catch_up(found)
        else:
            self._floor.ignore("RecordingAnswered", f"recording is {found.state}")

    def announced(self, event: RecordingAnnounced) -> None:
        """They have been told, or have not."""
        found = self._recordings.get(event.call)
        if found is None or found.id != event.recording or not found.announcing:
            self._floor.ignore("RecordingAnnounced", "no such announcement under way")
        elif event.problem:
            self._give_up(found, f"nobody was told of it, so it did not begin: {event.problem}")
        else:
            found.announcing = False
            self._order(found, RecordingOrder.START)
            self._wait_for_word(found)

    def stopped(self, event: RecordingStopped) -> None:
        """It is over; told after our own stop as well, whose answer has said so already."""
        found = self._recordings.get(event.call)
        if found is None:
            return  # somebody else's recording
        if found.stops_due:
            found.stops_due -= 1
        elif found.can(RecordingStep.STOPPED):
            found.wanted = RecordingState.OFF
            self._take(found, RecordingStep.STOPPED, event.at, problem="stopped by Asterisk")

    def start_over(self, call_id: CallId) -> None:
        """No word of the beginning of a recording has come in time."""
        found = self._recordings.get(call_id)
        if found is None or found.state is not RecordingState.STARTING or not self._floor.connected(found.call.server):
            return  # the reconnection will tell
        if found.announcing:
            problem = "Asterisk does not say that the announcement is over: it is too long, or the dialplan too old"
            self._give_up(found, problem)
            return
        problem = "Asterisk does not say that it records: has it the dialplan of this version (extensions.conf)?"
        found.wanted = RecordingState.OFF
        self._order(found, RecordingOrder.STOP)
        self._take(found, RecordingStep.STOPPED, self._floor.now, problem=problem)

    # ---- from a crash

    def found(self, event: RecordingFound) -> None:
        """Asterisk has gone on recording a talk of an earlier process."""
        call = self._floor.calls.get(event.call)
        if call is None or call.state is not CallState.CONNECTED or event.call in self._recordings:
            return
        if not valid_recording_id(event.recording):
            return
        state = RecordingState.PAUSED if event.paused else RecordingState.ON
        pauses: list[tuple[float, float | None]] = list(event.pauses)
        if event.paused:
            pauses.append((event.at if event.paused_at is None else event.paused_at, None))
        self._recordings[call.id] = Recording(
            call=call,
            number=number_of(event.recording),
            state=state,
            wanted=state,
            started_at=event.started_at,
            by=event.by,
            pauses=pauses,
        )

    # ---- what the other desks let out

    def follow(self, outputs: list[Output]) -> list[Output]:
        """`outputs`, and what they mean to recordings in its place among them."""
        followed: list[Output] = []
        for output in outputs:
            if isinstance(output, FinishCall):
                # Before the end of the call is told.
                self._call_over(output.attempt.call, output.attempt.ended_at)
                followed += self._floor.take_outputs()
                followed.append(output)
            elif isinstance(output, ConnectCall):
                followed.append(self._recorded_from_the_first_word(output))
            else:
                followed.append(output)
                if isinstance(output, ServerChanged) and output.connected:
                    self._server_is_back(output.server)
                elif isinstance(output, CallConnected):
                    self._recorded_once_told(output.call)
        return [*followed, *self._floor.take_outputs()]

    def _recorded_from_the_first_word(self, command: ConnectCall) -> ConnectCall:
        """Where the campaign records every talk, the move into the agent's room begins the recording."""
        call = self._floor.calls.get(command.call)
        if call is None or not _always(call) or call.campaign.recording_announcement:
            return command
        found = self._recordings.get(call.id)
        if found is None or found.state is not RecordingState.STARTING:
            found = self._begin(call, BY_CAMPAIGN)
        # Else they were on their way to another agent before, and did not arrive.
        self._wait_for_word(found)
        return replace(command, recording=found.id)

    def _recorded_once_told(self, call_id: CallId) -> None:
        """The same where there is an announcement: it begins when they are together."""
        call = self._floor.calls.get(call_id)
        if call is not None and _always(call) and call.campaign.recording_announcement and not call.hang_up_reason:
            self._start(call, BY_CAMPAIGN)

    def _call_over(self, call_id: CallId, at: float) -> None:
        found = self._recordings.pop(call_id, None)
        if found is None:
            return
        self._floor.timers.cancel(("recording", call_id))
        if found.announcing:
            self._give_up(found, _ENDED_FIRST)
            return
        if found.state is RecordingState.STARTING and found.call.connected_at is None:
            self._take(found, RecordingStep.FAILED, at, problem=_ENDED_FIRST)
        elif found.state in UNDER_WAY:
            self._take(found, RecordingStep.END, at)

    def _server_is_back(self, server: ServerName) -> None:
        for found in [r for r in self._recordings.values() if r.call.server == server]:
            call, wanted = found.call, found.wanted
            if call.id not in self._floor.calls:
                continue
            if found.announcing:
                # Whether they have heard it is not known.
                self._give_up(found, "the switch went away at its start")
                self._start(call, found.by)
                found.wanted = wanted
                continue
            if found.state is RecordingState.STARTING and call.state is not CallState.CONNECTED:
                # It begins with the next move into a room.
                self._take(found, RecordingStep.FAILED, self._floor.now, problem="the switch went away at its start")
            elif found.state is RecordingState.STARTING:
                # Whether it ever began is not known: its file is looked for, and another begins.
                self._order(found, RecordingOrder.STOP)
                self._take(found, RecordingStep.STOPPED, self._floor.now, problem="the switch went away at its start")
                if wanted is not RecordingState.OFF:
                    self._start(call, found.by)
                    found.wanted = wanted
            else:
                self._catch_up(found)

    def _catch_up(self, found: Recording) -> None:
        """Ask for what was wanted when nobody could be asked."""
        if found.state in {RecordingState.ON, RecordingState.PAUSED} and found.wanted is not found.state:
            order = {RecordingState.PAUSED: _O.PAUSE, RecordingState.ON: _O.RESUME}.get(found.wanted, _O.STOP)
            self._order(found, order)

    # ---- inside

    def _start(self, call: Call, by: str) -> None:
        sound, room = call.campaign.recording_announcement, call.agent
        if not sound or room is None:  # without a room it cannot begin
            self._order(self._begin(call, by), RecordingOrder.START)
            self._wait_for_word(self._recordings[call.id])
            return
        found = self._begin(call, by, announcing=True)
        self._floor.emit(
            Announce(call=call.id, recording=found.id, sound=sound, server=call.server, room=room),
        )
        self._floor.timers.set(("recording", call.id), self._floor.now + ANNOUNCEMENT_TIMEOUT_S)

    def _begin(self, call: Call, by: str, *, announcing: bool = False) -> Recording:
        found = self._recordings.get(call.id)
        if found is None:
            found = self._recordings[call.id] = Recording(call=call)
        found.number += 1
        found.announcing = announcing
        found.wanted, found.by = RecordingState.ON, by
        found.started_at = self._floor.now
        found.pauses = []
        self._take(found, RecordingStep.START, self._floor.now)
        return found

    def _wait_for_word(self, found: Recording) -> None:
        self._floor.timers.set(("recording", found.call.id), self._floor.now + START_TIMEOUT_S)

    def _order(self, found: Recording, order: RecordingOrder) -> None:
        found.stops_due += order is RecordingOrder.STOP
        self._floor.emit(
            Record(
                call=found.call.id,
                recording=found.id,
                order=order,
                server=found.call.server,
                room=found.call.agent if order is RecordingOrder.START else None,
            ),
        )

    def _give_up(self, found: Recording, problem: str) -> None:
        """What was being announced does not begin."""
        found.announcing, found.wanted = False, RecordingState.OFF
        self._floor.emit(StopAnnouncement(recording=found.id, server=found.call.server))
        self._take(found, RecordingStep.FAILED, self._floor.now, problem=problem)

    def _not_done(self, found: Recording, event: RecordingAnswered) -> None:
        found.stops_due -= event.order is RecordingOrder.STOP and found.stops_due > 0
        if event.order is RecordingOrder.START and found.state is RecordingState.STARTING:
            found.wanted = RecordingState.OFF
            self._take(found, RecordingStep.FAILED, event.at, problem=event.problem)
        elif found.state in UNDER_WAY:
            # As it was: whoever asked is told so, and may ask again.
            found.wanted = RecordingState.PAUSED if found.state is RecordingState.PAUSED else RecordingState.ON
            self._tell(found, found.state, event.at, problem=event.problem)

    def _take(self, found: Recording, step: RecordingStep, at: float, *, problem: str = "") -> None:
        previous = found.take(step, at)
        if previous is RecordingState.STARTING:
            self._floor.timers.cancel(("recording", found.call.id))
        if step is RecordingStep.STARTED:
            found.started_at = at
        self._tell(
            found,
            previous,
            at,
            problem=problem,
            complete=step in {RecordingStep.STOPPED, RecordingStep.END} and previous in UNDER_WAY,
        )

    def _tell(
        self, found: Recording, previous: RecordingState, at: float, *, problem: str = "", complete: bool = False
    ) -> None:
        permit = found.call.permit
        self._floor.emit(
            RecordingChanged(
                at=at,
                recording=found.id,
                call=found.call.id,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                agent=found.call.agent,
                server=found.call.server,
                state=found.state,
                previous=previous,
                by=found.by,
                started_at=found.started_at,
                pauses=tuple(found.pauses),
                problem=problem,
                complete=complete,
                announcing=found.announcing,
            )
        )


def _always(call: Call) -> bool:
    """Whether the talk is recorded without anybody's order."""
    return call.campaign.recording is RecordingMode.ALWAYS and _agreed(call)


def _agreed(call: Call) -> bool:
    """Whether what the CRM has on record lets the call be recorded under its campaign's rule."""
    if call.campaign.recording_consent is RecordingConsent.NONE:
        return True
    return call.permit.consent.get(CONSENT_KEY) is True
