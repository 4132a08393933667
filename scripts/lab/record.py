"""Records what Asterisk says, byte by byte, while the engine's moves are made: material for replay tests.

Each transcript is what one logged-in event connection received, banner included; beside it stands what was sent on the
connection of actions (`.tx.txt`), which had its events off. The secret is written as ``SECRET``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from . import plan
from .ami import PATIENCE_S, Ami, Message
from .install import Say
from .layout import LabError, Layout
from .plan import PERSONAS, Kind, Persona
from .servers import secret, status

#: Extensions of the callees with audio.
_HEARD: Final = frozenset({"listen", *(f"persona-{index}" for index in range(10))})


class Session:
    """The two connections of a dialer: actions without events, events without actions."""

    def __init__(self, layout: Layout) -> None:
        word = secret(layout)
        self.events = Ami(layout.ami_port, "cadencia", word)
        self.actions = Ami(layout.ami_port, "cadencia", word, events=False)
        self._phones = Ami(layout.voice_ami_port, "phones", word)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (self.events, self.actions, self._phones):
            connection.__exit__()

    def sign_in(self, room: str, phone: str = "agent01") -> str:
        """Calls an agent's phone and waits until it is in its room; the channel's id."""
        leg = f"agent-{room}-{time.time_ns() % 10**9}"
        self.actions.action(
            "Originate",
            ActionID=leg,
            Channel=f"PJSIP/{phone}",
            ChannelId=leg,
            Context="cadencia-agent",
            Exten=room,
            Priority=1,
            Timeout=10000,
            Async="true",
        )
        self.events.event("ConfbridgeJoin", Conference=room, Uniqueid=leg)
        return leg

    def dial(
        self,
        call: str,
        number: str,
        *,
        trunk: str = "carrier",
        context: str = "cadencia-wait",
        timeout_ms: int = 30000,
        amd: str = "",
    ) -> Message:
        """Originates a customer's call; the response to the action."""
        return self.actions.action(
            "Originate",
            ActionID=call,
            Channel=f"PJSIP/{number}@{trunk}",
            ChannelId=call,
            Context=context,
            Exten="s",
            Priority=1,
            Timeout=timeout_ms,
            Async="true",
            variables={"CADENCIA_CALL": call} | ({"CADENCIA_AMD": amd} if amd else {}),
        )

    def answered(self, call: str, *, seconds: float = PATIENCE_S) -> Message:
        return self.events.event("Newstate", Uniqueid=call, ChannelStateDesc="Up", seconds=seconds)

    def redirect(self, call: str, context: str, exten: str) -> Message:
        """By the call's id: Asterisk takes a Uniqueid wherever it wants a channel's name."""
        return self.actions.action("Redirect", Channel=call, Context=context, Exten=exten, Priority=1)

    def hang_up(self, call: str) -> Message:
        return self.actions.action("Hangup", Channel=call, Cause=16)

    def ended(self, call: str, *, seconds: float = PATIENCE_S) -> Message:
        return self.events.event("Hangup", Uniqueid=call, seconds=seconds)

    def offer_key(self, call: str, key: str) -> Message:
        """Names the key by which the message of this call is objected to; before the redirect to it."""
        return self.actions.action("Setvar", Channel=call, Variable="CADENCIA_OPT_OUT", Value=key)

    def press(self, key: str) -> None:
        """The callee with audio who has answered last presses a key."""
        since = len(self._phones.seen)
        self._phones.send("CoreShowChannels")
        self._phones.event("CoreShowChannelsComplete", since=since)
        legs = [
            it
            for it in self._phones.seen[since:]
            if it.get("Event") == "CoreShowChannel" and it["ChannelStateDesc"] == "Up" and it["Exten"] in _HEARD
        ]
        if not legs:
            raise LabError("no callee with audio is on the line")
        latest = max(legs, key=lambda leg: float(leg["Uniqueid"].rpartition("-")[2]))
        answer = self._phones.action("PlayDTMF", Channel=latest["Channel"], Digit=key)
        if answer["Response"] != "Success":
            raise LabError(f"the callee cannot press {key}: {answer.get('Message', '')}")

    def hang_up_phone(self, phone: str, *, nth: int = -1) -> None:
        """The agent puts the receiver down: the latest call that the phone has taken is ended by the phone's side."""
        self.lay_down(self.far_end(phone, nth=nth))

    def lay_down(self, channel: str) -> None:
        """Whoever is at this far end ends the call."""
        self._phones.action("Hangup", Channel=channel, Cause=16)

    def far_end(self, exten: str, *, nth: int = -1) -> str:
        """The latest channel of a phone, or of a callee by its extension, at its own side of the line."""
        since = len(self._phones.seen)
        self._phones.send("CoreShowChannels")
        self._phones.event("CoreShowChannelsComplete", since=since)
        legs = [it for it in self._phones.seen[since:] if it.get("Event") == "CoreShowChannel" and it["Exten"] == exten]
        if not legs:
            raise LabError(f"the phone {exten} has no call")
        return str(sorted(legs, key=lambda leg: float(leg["Uniqueid"].rpartition("-")[2]))[nth]["Channel"])

    def speak(self, channel: str, *, quiet: bool = False) -> None:
        """Whoever is at this far end speaks for some eight seconds, or says nothing any more."""
        exten = "listen" if quiet else f"persona-{PERSONAS.index(Persona.MACHINE)}"
        answer = self._phones.action("Redirect", Channel=channel, Context="callee", Exten=exten, Priority=1)
        if answer["Response"] != "Success":
            raise LabError(f"{channel} cannot speak: {answer.get('Message', '')}")


def _connect(session: Session) -> None:
    """Customer answered, redirected into the agent's room; the agent hangs up, and both legs end."""
    leg = session.sign_in("rec-connect")
    session.dial("rec-connect-1", plan.number(Kind.ANSWER, 90001))
    session.answered("rec-connect-1")
    session.redirect("rec-connect-1", "cadencia-connect", "rec-connect")
    session.events.event("ConfbridgeJoin", Uniqueid="rec-connect-1")
    session.events.collect(1.0)
    session.hang_up_phone("agent01")
    session.ended("rec-connect-1")
    session.ended(leg)


def _customer_leaves(session: Session) -> None:
    """The customer hangs up; the agent stays."""
    leg = session.sign_in("rec-leave")
    session.dial("rec-leave-1", plan.number(Kind.ANSWER, 90002, talk_s=3.0))
    session.answered("rec-leave-1")
    session.redirect("rec-leave-1", "cadencia-connect", "rec-leave")
    session.ended("rec-leave-1")
    session.events.collect(0.5)
    session.hang_up(leg)
    session.ended(leg)


def _amd(persona: Persona, call: str) -> Callable[[Session], None]:
    def run(session: Session) -> None:
        session.dial(call, plan.number(Kind.AUDIO, 90003, persona=persona), context="cadencia-amd")
        session.events.event("UserEvent", UserEvent="CadenciaAmd", Call=call)
        session.events.collect(0.3)
        session.hang_up(call)
        session.ended(call)

    return run


def _message(session: Session) -> None:
    """Nobody was free: the message, to its end."""
    session.dial("rec-message-1", plan.number(Kind.ANSWER, 90004))
    session.answered("rec-message-1")
    session.redirect("rec-message-1", "cadencia-message", "hello-world")
    session.ended("rec-message-1")


def _purge(session: Session) -> None:
    """A removal came while it rang: hung up by its Uniqueid."""
    session.dial("rec-purge-1", plan.number(Kind.RINGS_ON, 90005))
    session.events.event("Newstate", Uniqueid="rec-purge-1", ChannelStateDesc="Ringing")
    session.events.collect(0.5)
    session.hang_up("rec-purge-1")
    session.ended("rec-purge-1")
    session.events.event("OriginateResponse", ActionID="rec-purge-1")


def _no_agent(session: Session) -> None:
    """The agent's phone had gone when the customer was redirected: told, waiting, hung up."""
    session.dial("rec-noagent-1", plan.number(Kind.ANSWER, 90006))
    session.answered("rec-noagent-1")
    session.redirect("rec-noagent-1", "cadencia-connect", "rec-nobody")
    session.events.event("UserEvent", UserEvent="CadenciaNoAgent", Call="rec-noagent-1")
    session.hang_up("rec-noagent-1")
    session.ended("rec-noagent-1")


def _wait_expired(session: Session) -> None:
    """The dialer has vanished: after ten seconds the customer is let go."""
    session.dial("rec-expired-1", plan.number(Kind.ANSWER, 90007))
    session.ended("rec-expired-1", seconds=20)


def _refused(kind: Kind, call: str, *, sip: int | None = None) -> Callable[[Session], None]:
    def run(session: Session) -> None:
        session.dial(call, plan.number(kind, 90008, sip=sip), timeout_ms=2000)
        session.ended(call)
        session.events.event("OriginateResponse", ActionID=call)

    return run


RECORDINGS: Final[Mapping[str, Callable[[Session], None]]] = {
    "redirect-into-room-agent-hangs-up": _connect,
    "redirect-into-room-customer-hangs-up": _customer_leaves,
    "amd-human": _amd(Persona.HELLO, "rec-human-1"),
    "amd-machine": _amd(Persona.MACHINE, "rec-machine-1"),
    "amd-not-sure": _amd(Persona.QUIET, "rec-quiet-1"),
    "message-played": _message,
    "purge-while-ringing": _purge,
    "redirect-into-empty-room": _no_agent,
    "wait-expired": _wait_expired,
    "busy-486": _refused(Kind.BUSY, "rec-busy-1"),
    "invalid-404": _refused(Kind.INVALID, "rec-invalid-1"),
    "invalid-410": _refused(Kind.INVALID, "rec-gone-1", sip=410),
    "invalid-484": _refused(Kind.INVALID, "rec-incomplete-1", sip=484),
    "invalid-604": _refused(Kind.INVALID, "rec-nowhere-1", sip=604),
    "congestion-503": _refused(Kind.CONGESTION, "rec-congestion-1"),
    "congestion-500": _refused(Kind.CONGESTION, "rec-error-1", sip=500),
    "decline-603": _refused(Kind.DECLINE, "rec-decline-1"),
    "unavailable-480": _refused(Kind.UNAVAILABLE, "rec-unavailable-1"),
    "unavailable-408": _refused(Kind.UNAVAILABLE, "rec-timeout-1", sip=408),
    "no-answer": _refused(Kind.RINGS_ON, "rec-noanswer-1"),
    "carrier-silent": _refused(Kind.SILENT, "rec-silent-1"),
}


def record(layout: Layout, target: Path, names: Sequence[str], say: Say) -> None:
    """Writes the transcripts `names` (all, where empty) of a running lab into a folder."""
    unknown = set(names) - RECORDINGS.keys()
    if unknown:
        raise LabError(f"no recording {', '.join(sorted(unknown))}; there are {', '.join(RECORDINGS)}")
    if not status(layout)["running"]:
        raise LabError("the lab does not run: scripts/asterisk-lab up")
    target.mkdir(parents=True, exist_ok=True)
    word = secret(layout).encode()
    for name in names or RECORDINGS:
        say(f"recording {name}")
        with Session(layout) as session:
            RECORDINGS[name](session)
            session.events.collect(0.3)
            received, sent = session.events.received, session.actions.sent
        # Asterisk never repeats the secret; should it ever, it is not to end in a file
        (target / f"{name}.rx.txt").write_bytes(received.replace(word, b"SECRET"))
        (target / f"{name}.tx.txt").write_bytes(sent.replace(word, b"SECRET"))
