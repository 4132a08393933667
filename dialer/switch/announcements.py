"""Announcements before recordings, in the words of Asterisk: a voice of its own in the agent's room.

Both halves of a Local channel run our dialplan: one is in the room, the other plays the sound and says with a UserEvent
whether it came to its end. So both people hear it while they are together already, and nobody's leg is touched. The
Uniqueids are ``announce~`` and the recording, which the tracker of calls and agents does not take for its own.
"""

from __future__ import annotations

import re
from typing import Final

from dialer.ami import Action, actions
from dialer.ami.messages import Message
from dialer.core.commands import Announce
from dialer.core.events import RecordingAnnounced, SwitchEvent
from dialer.core.ids import CallId, RecordingId, valid_name
from dialer.core.recording import valid_recording_id
from dialer.errors import LocalProtocolError

CONTEXT_ROOM: Final = "cadencia-announcer"
CONTEXT_SOUND: Final = "cadencia-announce"
#: The half in the room answers at once, or never.
_ANSWERS_WITHIN_S: Final = 5.0
_BROKEN_OFF: Final = "its announcement was broken off, or the agent's phone is not in its room"
_LEG: Final = re.compile(r"announce~([A-Za-z0-9_-]{1,160})", re.ASCII)


def leg_of_announcement(recording: RecordingId) -> str:
    """Uniqueid of the half that plays the sound."""
    return f"announce~{recording}"


def is_announcement(uniqueid: str) -> bool:
    """Whether a channel is one of these."""
    return _LEG.fullmatch(uniqueid) is not None


def action_for(command: Announce) -> Action:
    """What has an announcement played.

    Raises:
        LocalProtocolError: the names of room and sound must be plain ones, and the recording one of ours.
    """
    if not valid_recording_id(command.recording):
        raise LocalProtocolError("not the id of a recording")
    if not valid_name(command.room) or not valid_name(command.sound):
        raise LocalProtocolError("a room and a sound have up to 64 letters, digits, _ and -")
    return actions.originate(
        f"Local/{command.room}@{CONTEXT_ROOM}/n",
        context=CONTEXT_SOUND,
        exten=command.sound,
        channel_id=leg_of_announcement(command.recording),
        timeout_s=_ANSWERS_WITHIN_S,
        variables={"CADENCIA_CALL": command.call, "CADENCIA_RECORDING": command.recording},
    )


class Announcements:
    """Those under way on one server."""

    def __init__(self) -> None:
        self._calls: dict[str, CallId] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def began(self, command: Announce) -> None:
        """The action is on its way."""
        self._calls[leg_of_announcement(command.recording)] = command.call

    def forget(self) -> None:
        """The connection was lost: what becomes of them is not told any more."""
        self._calls.clear()

    def failed(self, leg: str, problem: str, now: float) -> list[SwitchEvent]:
        """It was not played, or not to its end."""
        call = self._calls.pop(leg, None)
        if call is None:
            return []
        recording = RecordingId(leg.removeprefix("announce~"))
        return [RecordingAnnounced(at=now, call=call, recording=recording, problem=problem)]

    def handle(self, message: Message, now: float) -> list[SwitchEvent]:
        """What one event means; most mean nothing to us."""
        match message.event:
            case "UserEvent" if message.get("UserEvent") == "CadenciaAnnounced":
                leg = message.get("Uniqueid", "")
                if message.get("Played", "").lower() != "yes":
                    return self.failed(leg, "its announcement was not played: is there such a sound?", now)
                call = self._calls.pop(leg, None)
                if call is None:
                    return []
                return [RecordingAnnounced(at=now, call=call, recording=RecordingId(leg.removeprefix("announce~")))]
            # These two come in either order.
            case "OriginateResponse" if message.get("Response") != "Success":
                return self.failed(message.action_id or "", _BROKEN_OFF, now)
            case "Hangup":
                return self.failed(message.get("Uniqueid", ""), _BROKEN_OFF, now)
            case _:
                return []
