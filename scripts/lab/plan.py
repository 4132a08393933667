"""The carrier's number plan: what a number does is written in its digits, so every test knows the truth beforehand.

A number is a Spanish mobile number in E.164, ``+34 6 K R T sssss``: K the kind of callee, R how long it rings (or which
variety of the kind), T how long it talks, and five digits to tell callees of one kind apart. The carrier looks at the
last eight digits only. Every number of the plan is one that ``phonenumbers`` calls valid.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: R: seconds from 180 Ringing to the answer (or to the refusal).
RING_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 35.0)
#: T: seconds from the answer to the callee's BYE; 0: the callee stays until the caller hangs up.
TALK_S: Final = (0.0, 0.7, 1.5, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 180.0)
#: An audio callee rings this long, whatever its digits say.
AUDIO_RING_S: Final = 1.0
SERIALS: Final = 100_000
_PREFIX: Final = "346"


class Kind(StrEnum):
    """Digit K."""

    ANSWER = "answer"
    BUSY = "busy"
    RINGS_ON = "rings_on"
    INVALID = "invalid"
    CONGESTION = "congestion"
    DECLINE = "decline"
    UNAVAILABLE = "unavailable"
    EARLY_MEDIA = "early_media"
    SILENT = "silent"
    AUDIO = "audio"


KINDS: Final = tuple(Kind)


class Persona(StrEnum):
    """Digit R of an audio callee: what is heard after the answer."""

    HELLO = "hello"
    MACHINE = "machine"
    QUIET = "quiet"
    NO_RTP = "no_rtp"
    TWO_WORDS = "two_words"
    MACHINE_PAUSE = "machine_pause"
    SLOW_HELLO = "slow_hello"
    MACHINE_SHORT = "machine_short"
    ECHO = "echo"
    CHATTY = "chatty"


PERSONAS: Final = tuple(Persona)
#: Answering machines; every other persona is a person, or nothing that could be told from one.
MACHINES: Final = frozenset({Persona.MACHINE, Persona.MACHINE_PAUSE, Persona.MACHINE_SHORT})

#: R of the refusals that have varieties: the SIP answers.
INVALID_SIP: Final = (404, 410, 484, 604, 404, 404, 404, 404, 404, 404)
CONGESTION_SIP: Final = (503, 500, 502, 504, 503, 503, 503, 503, 503, 503)
UNAVAILABLE_SIP: Final = (480, 408, 480, 480, 480, 480, 480, 480, 480, 480)

#: (Hangup's Cause, its TechCause) that Asterisk makes of a SIP refusal, as measured on Asterisk 22.
CAUSES: Final[Mapping[int, tuple[int, int]]] = {
    404: (1, 404),
    408: (18, 408),
    410: (22, 410),
    480: (19, 480),
    484: (28, 484),
    486: (17, 486),
    500: (38, 500),
    502: (27, 502),
    503: (34, 503),
    504: (102, 504),
    603: (21, 603),
    604: (1, 604),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """What the carrier does with one number."""

    number: str
    kind: Kind
    ring_s: float
    #: Seconds of talk before the callee hangs up; None: it never does.
    talk_s: float | None
    #: The refusal, or None where the number answers, rings for ever or says nothing.
    sip: int | None = None
    #: Asterisk's Hangup Cause and TechCause of that refusal.
    cause: int | None = None
    tech_cause: int | None = None
    persona: Persona | None = None

    @property
    def e164(self) -> str:
        """With the plus sign, as a CRM would write it."""
        return f"+{self.number}"

    @property
    def answers(self) -> bool:
        return self.kind in {Kind.ANSWER, Kind.EARLY_MEDIA, Kind.AUDIO}

    @property
    def machine(self) -> bool:
        return self.persona in MACHINES

    def as_json(self) -> dict[str, Any]:
        """For JSON: a callee who rings for ever has no ringing time."""
        ring_s = None if self.ring_s == float("inf") else self.ring_s
        return {**dataclasses.asdict(self), "ring_s": ring_s, "answers": self.answers, "machine": self.machine}


def _digit(table: tuple[float, ...], seconds: float, what: str) -> int:
    if seconds not in table:
        known = ", ".join(f"{value:g}" for value in table)
        raise ValueError(f"the number plan has no {what} of {seconds:g} s; it has {known}")
    return table.index(seconds)


def number(
    kind: Kind,
    serial: int,
    *,
    ring_s: float = 0.5,
    talk_s: float = 0.0,
    sip: int | None = None,
    persona: Persona | None = None,
) -> str:
    """The digits (E.164 without plus) of the callee that does this; ValueError where the plan has no such callee."""
    if not 0 <= serial < SERIALS:
        raise ValueError(f"a serial is 0 to {SERIALS - 1}, not {serial}")
    second = _digit(RING_S, ring_s, "ringing time")
    varieties = {
        Kind.INVALID: INVALID_SIP,
        Kind.CONGESTION: CONGESTION_SIP,
        Kind.UNAVAILABLE: UNAVAILABLE_SIP,
    }.get(kind)
    if varieties is not None:
        second = varieties.index(varieties[0] if sip is None else sip)
    elif sip is not None:
        raise ValueError(f"the answer of {kind} is fixed")
    if kind is Kind.AUDIO:
        second = PERSONAS.index(Persona.HELLO if persona is None else persona)
    elif persona is not None:
        raise ValueError("only an audio callee has a persona")
    return f"{_PREFIX}{KINDS.index(kind)}{second}{_digit(TALK_S, talk_s, 'talking time')}{serial:05d}"


def callee(digits: str) -> Callee:
    """What the carrier does with a number (with or without plus); ValueError for one outside the plan."""
    bare = digits.removeprefix("+")
    if not (bare.isascii() and bare.isdigit() and len(bare) == 11 and bare.startswith(_PREFIX)):
        raise ValueError(f"{digits!r} is not a number of the plan: +34 6 and eight digits")
    first, second, third = (int(digit) for digit in bare[3:6])
    kind = KINDS[first]
    ring_s = RING_S[second]
    talk_s = TALK_S[third] or None
    match kind:
        case Kind.ANSWER | Kind.EARLY_MEDIA:
            return Callee(number=bare, kind=kind, ring_s=ring_s, talk_s=talk_s)
        case Kind.AUDIO:
            return Callee(number=bare, kind=kind, ring_s=AUDIO_RING_S, talk_s=talk_s, persona=PERSONAS[second])
        case Kind.RINGS_ON | Kind.SILENT:
            return Callee(number=bare, kind=kind, ring_s=float("inf"), talk_s=None)
        case Kind.BUSY:
            sip = 486
        case Kind.DECLINE:
            sip = 603
        case Kind.INVALID:
            ring_s, sip = 0.0, INVALID_SIP[second]
        case Kind.CONGESTION:
            ring_s, sip = 0.0, CONGESTION_SIP[second]
        case Kind.UNAVAILABLE:
            ring_s, sip = 0.0, UNAVAILABLE_SIP[second]
    cause, tech_cause = CAUSES[sip]
    return Callee(number=bare, kind=kind, ring_s=ring_s, talk_s=None, sip=sip, cause=cause, tech_cause=tech_cause)


#: One cycle of the mixed list: a quarter answers, as on a real floor; the rest is spread over everything else.
_MIX: Final[tuple[dict[str, Any], ...]] = (
    *(
        {"kind": Kind.ANSWER, "ring_s": ring, "talk_s": talk}
        for ring, talk in ((0.5, 3.0), (1.0, 5.0), (2.0, 8.0), (3.0, 3.0))
    ),
    {"kind": Kind.ANSWER, "ring_s": 1.0, "talk_s": 0.7},
    {"kind": Kind.EARLY_MEDIA, "ring_s": 1.0, "talk_s": 5.0},
    {"kind": Kind.AUDIO, "persona": Persona.HELLO, "talk_s": 5.0},
    {"kind": Kind.AUDIO, "persona": Persona.MACHINE, "talk_s": 15.0},
    *({"kind": Kind.BUSY, "ring_s": ring} for ring in (0.2, 1.0)),
    *({"kind": Kind.RINGS_ON} for _ in range(5)),
    {"kind": Kind.INVALID},
    {"kind": Kind.CONGESTION},
    {"kind": Kind.DECLINE, "ring_s": 1.0},
    {"kind": Kind.UNAVAILABLE},
    *({"kind": Kind.ANSWER, "ring_s": ring, "talk_s": 5.0} for ring in (2.0, 3.0)),
    {"kind": Kind.INVALID, "sip": 484},
    {"kind": Kind.AUDIO, "persona": Persona.MACHINE_PAUSE, "talk_s": 15.0},
    {"kind": Kind.SILENT},
)


def mixed(count: int, *, first_serial: int = 0) -> Iterator[Callee]:
    """`count` different callees of every kind, in fixed proportions; the same ones each time."""
    for position, recipe in zip(range(count), itertools.cycle(_MIX), strict=False):
        yield callee(number(serial=first_serial + position, **recipe))


def as_json() -> dict[str, Any]:
    """The plan for programs: the tables, and an example of each kind."""
    examples: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        if kind is not Kind.AUDIO:
            examples[str(kind)] = callee(number(kind, 1)).as_json()
    for persona in PERSONAS:
        examples[f"audio:{persona}"] = callee(number(Kind.AUDIO, 1, persona=persona)).as_json()
    return {
        "form": "+346KRTsssss",
        "kinds": {str(index): str(kind) for index, kind in enumerate(KINDS)},
        "ring_s": list(RING_S),
        "talk_s": list(TALK_S),
        "personas": {str(index): str(persona) for index, persona in enumerate(PERSONAS)},
        "invalid_sip": list(INVALID_SIP),
        "congestion_sip": list(CONGESTION_SIP),
        "unavailable_sip": list(UNAVAILABLE_SIP),
        "examples": examples,
    }
