"""The switchboard of the exchange on a virtual clock, with everything it says parsed, for tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

from dialer.ami import Decoder, Message
from dialer.simulation.channels import EventClass
from dialer.simulation.faults import Faults
from dialer.simulation.profiles import FAST
from dialer.simulation.records import CallRecord, OriginateRequest
from dialer.simulation.switchboard import Switchboard
from dialer.simulation.world import Fate, Profile, Reaction, World

EPOCH = 1_795_000_000.0
NUMBER = "34600111222"


class Bench:
    """A switchboard whose time stands still until `run`."""

    def __init__(
        self, fate: Fate | None = None, *, profile: Profile = FAST, seed: int = 1, faults: Faults | None = None
    ) -> None:
        scripted: Mapping[str, Fate] = {NUMBER: fate} if fate is not None else {}
        self.now = 0.0
        self.faults = faults or Faults()
        self.world = World(profile, seed, scripted=scripted)
        self.board = Switchboard(
            self.world, clock=lambda: EPOCH + self.now, publish=self._publish, faults=self.faults, system_name="a"
        )
        #: (virtual time, class, message) of every event.
        self.told: list[tuple[float, EventClass, Message]] = []
        self._ids = itertools.count(1)

    def _publish(self, kind: EventClass, name: str, text: str) -> None:
        (message,) = Decoder(expect_banner=False).receive_data(text.encode())
        assert message.event == name
        assert message.get("Privilege") == f"{(kind.name or '').lower()},all"
        self.told.append((self.now, kind, message))

    def run(self, until: float = 1e9) -> None:
        """Let time pass, to `until` or until nothing more happens."""
        while (deadline := self.board.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.board.advance(self.now)
        if until < 1e9:
            self.now = max(self.now, until)

    def call(
        self,
        number: str = NUMBER,
        *,
        call: str | None = None,
        context: str = "cadencia-wait",
        timeout_s: float = 30.0,
        exten: str = "s",
    ) -> str:
        """Originate a customer's call; its id."""
        call = call or f"call-{next(self._ids)}"
        self.originate(
            OriginateRequest(
                channel=f"PJSIP/{number}@sipp",
                endpoint="sipp",
                number=number,
                is_agent=False,
                context=context,
                exten=exten,
                timeout_s=timeout_s,
                action_id=f"orig-{call}",
                channel_id=call,
                caller_number="5550100",
                caller_name="Lab",
                variables=(("CADENCIA_CALL", call),),
            )
        )
        return call

    def phone(self, phone: str = "agent01", room: str = "anna") -> str:
        """Originate an agent's leg and let it come into its room; its Uniqueid."""
        leg = f"leg-{phone}-{next(self._ids)}"
        self.originate(
            OriginateRequest(
                channel=f"PJSIP/{phone}",
                endpoint=phone,
                number=phone,
                is_agent=True,
                context="cadencia-agent",
                exten=room,
                timeout_s=10.0,
                action_id=f"orig-{leg}",
                channel_id=leg,
            )
        )
        self.run(self.now + 1.0)
        return leg

    def originate(self, request: OriginateRequest) -> CallRecord | None:
        """Any originate."""
        return self.board.originate(request, self.now)

    def redirect(self, call: str, context: str, exten: str) -> bool:
        """Redirect an existing channel."""
        channel = self.board.find(call)
        assert channel is not None
        return self.board.redirect(channel, context, exten, 1, self.now)

    def hang_up(self, call: str, cause: int = 16, by: str = "dialer") -> None:
        """Hang up an existing channel."""
        channel = self.board.find(call)
        assert channel is not None
        self.board.hang_up(channel, cause, self.now, by=by)

    def about(self, call: str) -> list[Message]:
        """Events about one channel, in order."""
        return [
            message
            for _, _, message in self.told
            if call in {message.get("Uniqueid"), message.get("DestUniqueid")} and message.event
        ]

    def log_of(self, call: str) -> CallRecord:
        """What the exchange wrote down about a call."""
        (record,) = [record for record in self.board.log if record.call == call]
        return record

    def names(self, call: str) -> list[str]:
        """Their names."""
        return [message.event or "" for message in self.about(call)]

    def one(self, call: str, name: str) -> Message:
        """The only event of this name about the channel."""
        found = [message for message in self.about(call) if message.event == name]
        assert len(found) == 1, f"{name}: {len(found)}, of {self.names(call)}"
        return found[0]


def shuffled(fate: Fate, u: float) -> Fate:
    """The same fate, with Asterisk's threads in another order."""
    return replace(fate, shuffle=(u, u, u, u))


def person(*, talk_s: float = 60.0, patience_s: float = 60.0, ring_s: float = 1.0) -> Fate:
    """Somebody who picks up after a second."""
    return Fate(reaction=Reaction.PERSON, post_dial_s=0.005, ring_s=ring_s, talk_s=talk_s, patience_s=patience_s)
