"""The people who are called, and the carriers between: what happens when a number is dialed.

A world holds no state. What becomes of a call follows from (seed, number, attempt, hour) alone, by a keyed hash whose
bytes are uniform numbers, one for each cause. So the same callers stand before two pacing methods, in whatever order
and however often they are called, and no cause disturbs another: a profile with longer talks leaves everybody's
ring time as it was.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.simulation.distributions import Constant, Distribution, Uniform, check_shares


class Reaction(StrEnum):
    """What answers a call, or why nothing does."""

    #: Picks up, waits a while, talks with an agent.
    PERSON = "person"
    #: Picks up and lays down at once.
    HASTY = "hasty"
    MACHINE = "machine"
    #: Rings until we give up.
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    #: Refused by the callee, after ringing.
    REJECTED = "rejected"
    #: Switched off or out of reach: the carrier says so at once.
    UNAVAILABLE = "unavailable"
    #: No such number; stays so at every attempt.
    INVALID = "invalid"
    #: The carrier has no way.
    CONGESTION = "congestion"
    #: The carrier never says a word.
    SILENT = "silent"

    @property
    def answers(self) -> bool:
        """Whether the call is picked up."""
        return self in {Reaction.PERSON, Reaction.HASTY, Reaction.MACHINE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What answering-machine detection says, in the words of Asterisk's AMD()."""

    #: HUMAN, MACHINE or NOTSURE.
    status: str = "HUMAN"
    cause: str = "HUMAN-300-300"
    #: Seconds after the answer.
    after_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one call. Times in seconds; those of things that do not happen mean nothing."""

    reaction: Reaction
    #: From the originate to the carrier's first word: ringing, early media or a refusal.
    post_dial_s: float = 0.0
    #: Whether it rings (or early media comes) before the end.
    rings: bool = True
    #: 183 with early media instead of 180: Asterisk reports PROGRESS, and no state Ringing.
    early_media: bool = False
    #: From the carrier's first word to the answer or refusal.
    ring_s: float = 0.0
    #: From the meeting with an agent to laying down.
    talk_s: float = math.inf
    #: From the answer to laying down where no agent comes.
    patience_s: float = math.inf
    #: A machine lays down this long after it answered, whether anybody listens or not.
    machine_s: float = math.inf
    detection: Detection = field(default_factory=Detection)
    #: Key that they press so long after the message to people for whom no agent is free has begun; empty: as the
    #: profile has it.
    presses: str = ""
    presses_after_s: float = 0.0
    #: Uniform numbers for whatever the exchange does in one order or another.
    shuffle: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionProfile:
    """How answering-machine detection does, with the tuning of ``config/asterisk/amd.conf``."""

    human_after: Distribution = field(default_factory=lambda: Uniform(0.5, 1.2))
    machine_after: Distribution = field(default_factory=lambda: Uniform(1.0, 1.45))
    #: Share of people who are taken for machines, and the reverse.
    false_machine: float = 0.03
    false_human: float = 0.08
    #: Share of either for which it cannot tell.
    unsure: float = 0.03
    unsure_after: Distribution = field(default_factory=lambda: Constant(1.5))

    def __post_init__(self) -> None:
        for share in (self.false_machine, self.false_human, self.unsure):
            if not 0 <= share <= 0.5:
                raise ValueError(f"shares of wrong verdicts must be 0 to 0.5, was {share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProfile:
    """How agents work."""

    wrapup: Distribution
    #: Codes of dispositions with their shares.
    dispositions: tuple[tuple[str, float], ...] = (
        ("NO_SALE", 0.5),
        ("SALE", 0.15),
        ("CALL_AGAIN", 0.25),
        ("WRONG_PERSON", 0.1),
    )
    #: Chance of a break after a call, and its length in seconds.
    break_share: float = 0.0
    break_length: Distribution = field(default_factory=lambda: Constant(300.0))
    #: Time for a phone to answer by itself at sign-in.
    phone_answers: Distribution = field(default_factory=lambda: Uniform(0.005, 0.05))

    def __post_init__(self) -> None:
        check_shares([share for _, share in self.dispositions])
        if not 0 <= self.break_share <= 1:
            raise ValueError(f"break_share must be 0 to 1, was {self.break_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a world is like. All distributions in seconds."""

    name: str
    #: Share of calls with each reaction; adds up to 1.
    mix: Mapping[Reaction, float]
    post_dial: Distribution
    #: Ringing until a person picks up.
    ring: Distribution
    machine_ring: Distribution
    #: Ringing until a refusal.
    refusal_ring: Distribution
    talk: Distribution
    patience: Distribution
    hasty: Distribution
    #: How long an answering machine stays on the line: greeting and recording time.
    machine: Distribution
    agents: AgentProfile
    detection: DetectionProfile = field(default_factory=DetectionProfile)
    #: Share of ringing calls that have early media instead of ringing.
    early_media: float = 0.1
    #: Share of busy numbers that ring first.
    busy_rings: float = 0.3
    #: Factor on the share of people who pick up, for each hour of the day in UTC; empty: none. What is taken away
    #: does not answer.
    by_hour: tuple[float, ...] = ()
    #: Length of the message to people for whom no agent is free.
    message: Distribution = field(default_factory=lambda: Constant(4.0))
    #: Share of the people who hear it, and who object to further calls by the key that it offers.
    objects: float = 0.0

    def __post_init__(self) -> None:
        check_shares(list(self.mix.values()))
        if not 0 <= self.objects <= 1:
            raise ValueError(f"objects must be 0 to 1, was {self.objects}")
        if self.by_hour and (len(self.by_hour) != 24 or not all(0 <= factor <= 1 for factor in self.by_hour)):
            raise ValueError("by_hour needs 24 factors from 0 to 1, or none")

    @property
    def answer_rate(self) -> float:
        """Share of calls that a live person answers."""
        return self.mix.get(Reaction.PERSON, 0.0) + self.mix.get(Reaction.HASTY, 0.0)


#: One uniform number a cause, in this order; a new cause goes to the end, so that seeded runs stay as they were.
_REACTION, _POST_DIAL, _RING, _TALK, _PATIENCE, _MACHINE, _RINGS, _VERDICT, _VERDICT_TIME, _SHUFFLE = range(10)
_WORDS: Final = struct.Struct("<16I")
_SCALE: Final = 2.0**-32


class World:
    """The people and carriers behind an exchange."""

    def __init__(self, profile: Profile, seed: int, *, scripted: Mapping[str, Fate] | None = None) -> None:
        """A world of `profile`; `scripted` numbers (digits, no plus) have the fate that is given for them."""
        self.profile = profile
        self.seed = seed
        self._scripted = dict(scripted or {})
        self._hash = hashlib.blake2b(digest_size=_WORDS.size, key=seed.to_bytes(16, "little", signed=True))
        mix = dict(profile.mix)
        self._invalid_share = mix.pop(Reaction.INVALID, 0.0)
        rest = 1.0 - self._invalid_share
        self._mix = tuple((reaction, share / rest) for reaction, share in mix.items() if share > 0)

    def uniforms(self, *what: str | int) -> tuple[float, ...]:
        """16 uniform numbers, 0 < u < 1, that belong to `what` (such as "agent", an id and a running number)."""
        state = self._hash.copy()
        state.update("\x1f".join(map(str, what)).encode())
        return tuple((word + 0.5) * _SCALE for word in _WORDS.unpack(state.digest()))

    def script(self, number: str, fate: Fate) -> None:
        """From now on, `number` (digits, no plus) meets this fate at every attempt."""
        self._scripted[number] = fate

    def fate(self, number: str, attempt: int, now: float) -> Fate:
        """What becomes of the `attempt`-th call (from 1) to `number` at `now` (unix seconds)."""
        number = number.removeprefix("+")
        scripted = self._scripted.get(number)
        if scripted is not None:
            return scripted
        profile = self.profile
        u = self.uniforms("call", number, attempt)
        reaction = self._reaction(number, u[_REACTION], now)
        ring = profile.ring
        match reaction:
            case Reaction.MACHINE:
                ring = profile.machine_ring
            case Reaction.BUSY | Reaction.REJECTED:
                ring = profile.refusal_ring
        rings = reaction.answers or reaction in {Reaction.NO_ANSWER, Reaction.REJECTED}
        if reaction is Reaction.BUSY:
            rings = u[_RINGS] < profile.busy_rings
        patience = profile.hasty if reaction is Reaction.HASTY else profile.patience
        shuffle = u[_SHUFFLE : _SHUFFLE + 4]
        return Fate(
            reaction=reaction,
            post_dial_s=profile.post_dial.at(u[_POST_DIAL]),
            rings=rings,
            early_media=rings and u[_SHUFFLE + 4] < profile.early_media,
            ring_s=ring.at(u[_RING]) if rings else 0.0,
            talk_s=profile.talk.at(u[_TALK]),
            patience_s=patience.at(u[_PATIENCE]),
            machine_s=profile.machine.at(u[_MACHINE]) if reaction is Reaction.MACHINE else math.inf,
            detection=self._detection(reaction, u[_VERDICT], u[_VERDICT_TIME]),
            shuffle=(shuffle[0], shuffle[1], shuffle[2], shuffle[3]),
        )

    def _reaction(self, number: str, u: float, now: float) -> Reaction:
        # Whether a number exists is a property of the number, not of the attempt.
        if self._invalid_share and self.uniforms("number", number)[0] < self._invalid_share:
            return Reaction.INVALID
        by_hour = self.profile.by_hour
        factor = by_hour[int(now // 3600) % 24] if by_hour else 1.0
        low = 0.0
        for reaction, share in self._mix:
            if u < low + share:
                if factor < 1.0 and reaction in {Reaction.PERSON, Reaction.HASTY} and u >= low + share * factor:
                    return Reaction.NO_ANSWER
                return reaction
            low += share
        return self._mix[-1][0] if self._mix else Reaction.INVALID

    def _detection(self, reaction: Reaction, verdict: float, time: float) -> Detection:
        detection = self.profile.detection
        machine = reaction is Reaction.MACHINE
        wrong = detection.false_human if machine else detection.false_machine
        if verdict < detection.unsure:
            after_s = detection.unsure_after.at(time)
            return Detection(status="NOTSURE", cause=f"TOOLONG-{round(after_s * 1000)}", after_s=after_s)
        if machine != (verdict < detection.unsure + wrong):
            after_s = detection.machine_after.at(time)
            return Detection(status="MACHINE", cause="LONGGREETING-1000-1000", after_s=after_s)
        return Detection(status="HUMAN", cause="HUMAN-300-300", after_s=detection.human_after.at(time))


def between(limits: tuple[float, float], u: float) -> float:
    """Where a draw `u` of 0 to 1 lies between two limits."""
    return limits[0] + (limits[1] - limits[0]) * u


def place_of(shares: tuple[float, ...], u: float) -> int:
    """Index of the share on which a draw `u` of 0 to 1 lies."""
    low = 0.0
    for index, share in enumerate(shares):
        low += share
        if u < low:
            return index
    return len(shares) - 1
