"""What customers hear while their agent's page is being loaded anew, in the words of Asterisk.

Both halves of a Local channel run our dialplan: one plays, the other whispers that to the customer's channel. So the
room has nothing of it: neither an agent, whose new leg comes into it at any moment, nor a supervisor, nor the
recording, whose ears are before the whisper. The Uniqueids are ``comfort~`` and the call: Asterisk refuses a second one
while the first is there. Whatever goes wrong, the customer hears what they heard without it: nothing.
"""

from __future__ import annotations

import re
from typing import Final

from dialer.ami import Action, actions
from dialer.ami.messages import Message
from dialer.core.commands import Comfort
from dialer.core.ids import CallId
from dialer.errors import LocalProtocolError

CONTEXT_WHISPER: Final = "cadencia-comforter"
CONTEXT_SOUND: Final = "cadencia-comfort"
#: Channel variable with the Uniqueid of who is to hear it.
COMFORTED_VARIABLE: Final = "CADENCIA_COMFORTED"
#: The half that whispers answers at once, or never.
_ANSWERS_WITHIN_S: Final = 5.0
_MARK: Final = "comfort~"
_CALL: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)


def leg_of_comfort(call: CallId) -> str:
    """Uniqueid of the half that plays."""
    return f"{_MARK}{call}"


def is_comfort(uniqueid: str) -> bool:
    """Whether a channel is one of these."""
    return uniqueid.startswith(_MARK)


def action_for(command: Comfort) -> Action:
    """What has a customer hear it.

    Raises:
        LocalProtocolError: the dialplan would not take this name of a channel as it is.
    """
    if _CALL.fullmatch(command.call) is None:
        raise LocalProtocolError("a call's id has up to 128 letters, digits, _, - and .")
    return actions.originate(
        f"Local/s@{CONTEXT_WHISPER}/n",
        context=CONTEXT_SOUND,
        exten="s",
        channel_id=leg_of_comfort(command.call),
        timeout_s=_ANSWERS_WITHIN_S,
        variables={COMFORTED_VARIABLE: command.call},
    )


class Comforts:
    """Those under way on one server, for one thing: an end that comes before the beginning."""

    def __init__(self) -> None:
        #: Whether the channel has been seen.
        self._seen: dict[str, bool] = {}
        self._over: set[str] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def goes_on(self, call: CallId) -> bool:
        """Whether it is at their ear already, or on its way: another one might begin behind the end of this."""
        leg = leg_of_comfort(call)
        if leg not in self._seen:
            return False
        self._over.discard(leg)
        return True

    def began(self, call: CallId) -> None:
        """The action is on its way."""
        leg = leg_of_comfort(call)
        self._seen.setdefault(leg, False)
        self._over.discard(leg)

    def ended(self, call: CallId) -> str | None:
        """It is to be over; the channel that has to be hung up now, if there is one."""
        leg = leg_of_comfort(call)
        if self._seen.get(leg) is False:
            self._over.add(leg)
            return None
        # Nothing is known of one from before the connection was lost, which may be there.
        self._seen.pop(leg, None)
        return leg

    def forget(self) -> None:
        """The connection was lost: the dialplan ends them by itself."""
        self._seen.clear()
        self._over.clear()

    def failed(self, leg: str) -> None:
        """There is no such channel, or no more."""
        self._seen.pop(leg, None)
        self._over.discard(leg)

    def refused(self, leg: str) -> str | None:
        """The action was refused, which it is while one of before is there; the channel to hang up now, if any."""
        over = leg in self._over
        self.failed(leg)
        return leg if over else None

    def handle(self, message: Message) -> str | None:
        """The channel that has to be hung up now, if there is one: it was over before it began."""
        leg = message.get("Uniqueid", "")
        match message.event:
            case "Newchannel" if leg in self._seen:
                self._seen[leg] = True
                return leg if leg in self._over else None
            case "Hangup" if leg in self._seen:
                self.failed(leg)
            case "OriginateResponse" if message.get("Response") != "Success":
                self.failed(message.action_id or "")
        return None
