"""What the carrier did with each call, read back from its own logs: the truth to compare a dialer's records with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .layout import Layout

#: SIPp's [timestamp] is "date <tab> time <tab> unix seconds".
_SIPP_LINE = re.compile(r"(?P<at>\d{9,}\.\d+)\s+(?P<number>\d+) (?P<did>[a-z_0-9]+)\s*$")
#: [unix seconds.milliseconds] VERBOSE[...] file: CALL number what
_VOICE_LINE = re.compile(r"^\[(?P<at>\d{9,}\.\d+)\] .*\bCALL (?P<number>\d+) (?P<did>[a-z_]+)\s*$")


class Did(StrEnum):
    """What became of a call, as the carrier saw it."""

    REFUSED = "refused"
    #: It answered, and the caller hung up.
    CALLER_HUNG_UP = "caller_hung_up"
    #: It answered, and the callee hung up.
    CALLEE_HUNG_UP = "callee_hung_up"
    #: It rang, and the caller gave up.
    CANCELLED = "cancelled"
    #: Not a word was said to it.
    IGNORED = "ignored"
    #: It still goes on, or its end was lost.
    OPEN = "open"


@dataclass(slots=True, kw_only=True)
class CarrierCall:
    """One call that reached the carrier. Times in unix seconds."""

    number: str
    invited_at: float
    did: Did = Did.OPEN
    sip: int | None = None
    answered_at: float | None = None
    ended_at: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("number", "invited_at", "did", "sip", "answered_at", "ended_at")}


def _records(lines: Iterable[str], pattern: re.Pattern[str]) -> Iterator[tuple[float, str, str]]:
    for line in lines:
        found = pattern.search(line)
        if found:
            yield float(found["at"]), found["number"], found["did"]


def calls(carrier: Iterable[str], voice: Iterable[str]) -> list[CarrierCall]:
    """One record for each call, in the order in which they arrived, from the lines of both logs.

    Where a number is called twice at once, its records are told apart by order only.
    """
    done: list[CarrierCall] = []
    live: dict[str, CarrierCall] = {}
    merged = sorted([*_records(carrier, _SIPP_LINE), *_records(voice, _VOICE_LINE)], key=lambda record: record[0])
    for at, number, did in merged:
        if did in {"invited", "ignored"}:
            call = live.get(number)
            # the second Asterisk's "invited" goes on with the call that was forwarded to it
            if call is None or call.ended_at is not None:
                call = CarrierCall(number=number, invited_at=at)
                live[number] = call
                done.append(call)
            if did == "ignored":
                call.did, call.ended_at = Did.IGNORED, at
            continue
        call = live.get(number)
        if call is None or did == "forwarded":
            continue
        if did == "answered":
            call.answered_at = at
        elif did.startswith("refused_"):
            call.did, call.sip, call.ended_at = Did.REFUSED, int(did.removeprefix("refused_")), at
        elif did == "callee_hung_up":
            call.did, call.ended_at = Did.CALLEE_HUNG_UP, at
        elif call.answered_at is None:
            call.did, call.ended_at = Did.CANCELLED, at
        else:
            call.did, call.ended_at = Did.CALLER_HUNG_UP, at
    return done


def invitations(carrier: Iterable[str]) -> list[tuple[float, str]]:
    """When which number was called, from the lines of SIPp's log; one for each call, even where no end is known."""
    return [(at, number) for at, number, did in _records(carrier, _SIPP_LINE) if did in {"invited", "ignored"}]


def read(layout: Layout, *, since: float = 0.0) -> list[CarrierCall]:
    """The calls of a running lab that arrived at or after `since`."""
    texts = [
        path.read_text(errors="replace").splitlines() if path.is_file() else []
        for path in (layout.carrier_log, layout.voice_log)
    ]
    return [call for call in calls(texts[0], texts[1]) if call.invited_at >= since]
