"""The recording of a call: its states, which happening leads where, and what it is called.

A call is recorded in one piece or in several: each start makes a recording of its own. While one is `paused` its file
goes on with silence, so that what was said after a card number stands at its time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.core.call import Call
from dialer.core.ids import CallId, RecordingId
from dialer.errors import InvalidTransition


class RecordingState(StrEnum):
    """Where the recording of a call stands."""

    OFF = "off"
    #: Asked for; the switch has not said yet that it records.
    STARTING = "starting"
    ON = "on"
    PAUSED = "paused"
    #: The call is over.
    ENDED = "ended"


class RecordingStep(StrEnum):
    """What can happen to it."""

    START = "start"
    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    FAILED = "failed"
    END = "end"


class RecordingOrder(StrEnum):
    """What people may ask for."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


_S, _X = RecordingState, RecordingStep

#: A pair that is missing here cannot happen to that state; the engine reports it as ignored.
TRANSITIONS: Final[Mapping[tuple[RecordingState, RecordingStep], RecordingState]] = {
    (_S.OFF, _X.START): _S.STARTING,
    (_S.STARTING, _X.STARTED): _S.ON,
    (_S.STARTING, _X.FAILED): _S.OFF,
    # Word of its start never came.
    (_S.STARTING, _X.STOPPED): _S.OFF,
    (_S.ON, _X.PAUSED): _S.PAUSED,
    (_S.PAUSED, _X.RESUMED): _S.ON,
    (_S.ON, _X.STOPPED): _S.OFF,
    (_S.PAUSED, _X.STOPPED): _S.OFF,
    (_S.OFF, _X.END): _S.ENDED,
    (_S.STARTING, _X.END): _S.ENDED,
    (_S.ON, _X.END): _S.ENDED,
    (_S.PAUSED, _X.END): _S.ENDED,
}

#: There is, or may be, a file that grows.
UNDER_WAY: Final = frozenset({_S.STARTING, _S.ON, _S.PAUSED})

#: Where a successful order leads, once the switch has said so.
DONE: Final[Mapping[RecordingOrder, RecordingStep]] = {
    RecordingOrder.START: _X.STARTED,
    RecordingOrder.PAUSE: _X.PAUSED,
    RecordingOrder.RESUME: _X.RESUMED,
    RecordingOrder.STOP: _X.STOPPED,
}

#: What may stand in the name of a file: no separator, no dot, nothing that a shell or an option would be made of.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,159}-r[1-9][0-9]{0,3}", re.ASCII)


#: Folder of ours below Asterisk's own for recordings.
FOLDER: Final = "cadencia"


def file_of(recording: RecordingId) -> str:
    """Where Asterisk writes a recording, below its own folder for them.

    Raises:
        ValueError: the id is none of ours: a file that others name is never written, read or moved.
    """
    if not valid_recording_id(recording):
        raise ValueError("not the id of a recording")
    return f"{FOLDER}/{recording}.wav"


def recording_id(call: CallId, number: int) -> RecordingId:
    """Id of the `number`-th recording of a call, from 1."""
    return RecordingId(f"{call}-r{number}")


def valid_recording_id(text: str) -> bool:
    """Whether `text` has the form of `recording_id`: letters, digits, ``_`` and ``-`` alone, the first no dash."""
    return _ID.fullmatch(text) is not None


def number_of(recording: RecordingId) -> int:
    """Which recording of its call it is, from 1.

    Raises:
        ValueError: it is none of ours.
    """
    if not valid_recording_id(recording):
        raise ValueError("not the id of a recording")
    return int(recording.rpartition("-r")[2])


@dataclass(slots=True, kw_only=True)
class Recording:
    """What is recorded of a call under way. Only the engine changes it."""

    call: Call
    number: int = 0
    state: RecordingState = RecordingState.OFF
    #: What it is to come to: ON, PAUSED or OFF.
    wanted: RecordingState = RecordingState.OFF
    started_at: float = 0.0
    #: Who asked for the last change.
    by: str = ""
    #: From when until when it was paused, in unix seconds; None: it still is.
    pauses: list[tuple[float, float | None]] = field(default_factory=list)
    #: They are being told of it; the switch has not been asked to record yet.
    announcing: bool = False
    #: Ends that we have asked for and that the switch will tell of by itself.
    stops_due: int = 0

    @property
    def id(self) -> RecordingId:
        """Id of the recording under way, or of the last one."""
        return recording_id(self.call.id, self.number)

    def can(self, step: RecordingStep) -> bool:
        """Whether the table has `step` for the present state."""
        return (self.state, step) in TRANSITIONS

    def take(self, step: RecordingStep, at: float) -> RecordingState:
        """Go where `step` leads, and keep the book of pauses; answers with the state before.

        Raises:
            InvalidTransition: the table does not have it; ask `can` first where it depends on the outside.
        """
        previous = self.state
        try:
            self.state = TRANSITIONS[previous, step]
        except KeyError:
            raise InvalidTransition(f"the recording of call {self.call.id} is {previous}; it cannot {step}") from None
        if self.state is RecordingState.PAUSED:
            self.pauses.append((at, None))
        elif previous is RecordingState.PAUSED and self.pauses:
            since, _ = self.pauses[-1]
            self.pauses[-1] = (since, max(since, at))
        return previous
