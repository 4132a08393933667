"""What the words of Asterisk's events mean to us. Pure functions, one fact of the manager interface each."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from dialer.ami.messages import Message
from dialer.core.events import Verdict
from dialer.core.ids import AgentId, CallId, valid_name
from dialer.errors import LocalProtocolError
from dialer.switch.announcements import is_announcement
from dialer.switch.comforts import is_comfort
from dialer.switch.monitor_legs import monitor_of_leg
from dialer.switch.phone_keys import is_phone_key

#: Where the dialplan of ``config/asterisk/extensions.conf`` takes calls.
CONTEXT_AGENT: Final = "cadencia-agent"
CONTEXT_WAIT: Final = "cadencia-wait"
CONTEXT_DETECT: Final = "cadencia-amd"
CONTEXT_CONNECT: Final = "cadencia-connect"
CONTEXT_MESSAGE: Final = "cadencia-message"
CONTEXT_GOODBYE: Final = "cadencia-goodbye"
CONTEXT_MONITOR: Final = "cadencia-monitor"
#: Channel variables of a supervisor's leg: the leg that it hears, and the room that it may be put in.
SPIED_VARIABLE: Final = "CADENCIA_SPIED"
ROOM_VARIABLE: Final = "CADENCIA_ROOM"
#: Channel variable with the id of the recording that begins with the next move into a room.
RECORD_VARIABLE: Final = "CADENCIA_RECORD"
#: Channel variable with the key that the message offers.
KEY_VARIABLE: Final = "CADENCIA_OPT_OUT"
#: On a channel that a process has taken over from another: which of them follows it.
NODE_VARIABLE: Final = "CADENCIA_FOLLOWED_BY"

#: A tilde is in no name of ours, so that no call id can look like the leg of an agent.
_AGENT_LEG: Final = re.compile(r"agent~([A-Za-z0-9_-]{1,64})~([A-Za-z0-9-]{1,40})", re.ASCII)
#: Asterisk's own: ``[systemname-]epoch.count``; halves of a Local channel end in ``;1`` and ``;2``.
_ASTERISKS_OWN: Final = re.compile(r"(?:.*-)?[0-9]{9,12}\.[0-9]+(?:;[12])?", re.ASCII)
_CALL: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_PHONE: Final = re.compile(r"[A-Za-z0-9_+.-]{1,64}", re.ASCII)
_SIP_CODE: Final = re.compile(r"(?:SIP )?([1-6][0-9]{2})(?![0-9])", re.ASCII)

_VERDICTS: Final = {"HUMAN": Verdict.HUMAN, "MACHINE": Verdict.MACHINE, "NOTSURE": Verdict.UNSURE}


def agent_leg_id(agent: AgentId, run: str, number: int) -> str:
    """Uniqueid of one leg of an agent; `run` tells this process from earlier ones, whose legs may still be there."""
    return f"agent~{agent}~{run}-{number}"


def runs_of(node: str) -> str:
    """How the names of all runs of a node begin: by them its legs are told from those of other nodes."""
    return hashlib.sha256(node.encode()).hexdigest()[:8]


def is_of_runs(uniqueid: str, runs: str) -> bool:
    """Whether a leg of an agent was called by one of these runs (`runs_of`)."""
    match = _AGENT_LEG.fullmatch(uniqueid)
    return match is not None and match[2].startswith(runs)


def agent_of_leg(uniqueid: str) -> AgentId | None:
    """Whose leg a channel is; None where it is nobody's."""
    match = _AGENT_LEG.fullmatch(uniqueid)
    return AgentId(match[1]) if match is not None else None


def call_of(uniqueid: str) -> CallId | None:
    """The call that a channel may be: its Uniqueid was chosen, not made up by Asterisk, and it is no phone of ours."""
    if _CALL.fullmatch(uniqueid) is None or _ASTERISKS_OWN.fullmatch(uniqueid) or uniqueid.endswith((";1", ";2")):
        return None
    ours = agent_of_leg(uniqueid) is not None or monitor_of_leg(uniqueid) is not None or is_phone_key(uniqueid)
    return None if ours or is_announcement(uniqueid) or is_comfort(uniqueid) else CallId(uniqueid)


def room_of(message: Message) -> AgentId | None:
    """The agent in whose room a ConfBridge event happened; None where the conference is not one of ours."""
    room = message.get("Conference", "")
    return AgentId(room) if valid_name(room) else None


def verdict_of(status: str) -> Verdict | None:
    """AMD's verdict; None for HANGUP (the callee left during detection) and for words that are not known."""
    return _VERDICTS.get(status.strip().upper())


def cause_of(message: Message) -> int:
    """Q.850 cause of a Hangup or HangupRequest; 0 where Asterisk knew none."""
    text = message.get("Cause", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0


def sip_code_of(message: Message) -> int | None:
    """SIP status from TechCause; None where there was none on the wire."""
    match = _SIP_CODE.match(message.get("TechCause", "").strip())
    return int(match[1]) if match is not None else None


def is_ringing(message: Message) -> bool:
    """Whether a Newstate or DialState says that the callee's phone rings."""
    if message.get("ChannelStateDesc") == "Ringing" and message.event == "Newstate":
        return True
    return message.get("DialStatus", "") == "RINGING" and message.event == "DialState"


def is_early_media(message: Message) -> bool:
    """Whether a DialState says that there is sound before the answer: a ringing tone, or an announcement."""
    return message.get("DialStatus", "") == "PROGRESS" and message.event == "DialState"


def key_of(text: str) -> str | None:
    """The one digit that somebody pressed; None where it is none."""
    key = text.strip()
    return key if len(key) == 1 and key.isascii() and key.isdigit() else None


def dial_phone(dial: str, phone: str) -> str:
    """The dial string of a phone of an agent or a supervisor, by the settings' template.

    Raises:
        LocalProtocolError: it is no plain name: with an ``@`` it would be a number on a trunk, called without a permit.
    """
    if _PHONE.fullmatch(phone) is None:
        raise LocalProtocolError("a phone is up to 64 letters, digits and _ + . -")
    return dial.replace("{phone}", phone)


def dial_number(dial: str, phone: str) -> str:
    """The dial string of a trunk for a number in E.164, whose plus sign trunks do not want."""
    return dial.replace("{number}", phone.removeprefix("+"))
