"""With what codes calls are closed, and what each means: data of a campaign; pure.

A code says of which kind the end is (`category`), whether it counts as a sale and as a contact in reports, and what
follows: another call (`retry`), an entry on the do-not-call list (`do_not_call`, which no later code takes back), an
appointment (`callback`, which needs a time), an amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class DispositionCategory(StrEnum):
    """Of which kind the end of a call is, for reports and rules that go over several campaigns."""

    SALE = "sale"
    #: A promise to pay, or to do something else that was asked for.
    PROMISE = "promise"
    CALLBACK = "callback"
    #: The right person, who does not want it.
    REFUSED = "refused"
    #: The right person, and neither yes nor no.
    INFORMED = "informed"
    #: Somebody picked up, but the right person is not there.
    NOT_THERE = "not_there"
    #: The number is somebody else's.
    WRONG_PERSON = "wrong_person"
    MACHINE = "machine"
    DO_NOT_CALL = "do_not_call"
    #: Silence, noise, a line that broke down.
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispositionRetry:
    """The contact is called again `delay_s` after the code, unless it has been called `max_attempts` times."""

    delay_s: float
    max_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DispositionCode:
    """One code of a campaign."""

    code: str
    category: DispositionCategory
    #: For people.
    name: str = ""
    is_sale: bool = False
    #: The person who was meant was talked with.
    is_contact: bool = False
    #: None: the call's outcome decides.
    retry: DispositionRetry | None = None
    do_not_call: bool = False
    #: Needs the time of an appointment.
    callback: bool = False
    needs_amount: bool = False


_HOUR_S: Final = 3_600.0

#: Of a campaign that names none.
DEFAULT_DISPOSITIONS: Final[tuple[DispositionCode, ...]] = (
    DispositionCode(code="SALE", name="Sale", category=DispositionCategory.SALE, is_sale=True, is_contact=True),
    DispositionCode(
        code="PROMISE", name="Promise to pay", category=DispositionCategory.PROMISE, is_contact=True, needs_amount=True
    ),
    DispositionCode(code="NO_SALE", name="Not interested", category=DispositionCategory.REFUSED, is_contact=True),
    DispositionCode(code="INFORMED", name="Informed", category=DispositionCategory.INFORMED, is_contact=True),
    DispositionCode(
        code="CALLBACK", name="Call back", category=DispositionCategory.CALLBACK, is_contact=True, callback=True
    ),
    DispositionCode(
        code="NOT_THERE",
        name="Not there",
        category=DispositionCategory.NOT_THERE,
        retry=DispositionRetry(delay_s=4 * _HOUR_S, max_attempts=8),
    ),
    DispositionCode(
        code="CALL_AGAIN",
        name="Call again",
        category=DispositionCategory.INFORMED,
        is_contact=True,
        retry=DispositionRetry(delay_s=24 * _HOUR_S, max_attempts=8),
    ),
    DispositionCode(code="WRONG_PERSON", name="Wrong person", category=DispositionCategory.WRONG_PERSON),
    DispositionCode(
        code="MACHINE",
        name="Answering machine",
        category=DispositionCategory.MACHINE,
        retry=DispositionRetry(delay_s=4 * _HOUR_S, max_attempts=8),
    ),
    DispositionCode(
        code="DO_NOT_CALL",
        name="Wants no calls",
        category=DispositionCategory.DO_NOT_CALL,
        is_contact=True,
        do_not_call=True,
    ),
    DispositionCode(
        code="BAD_LINE",
        name="Line broke down",
        category=DispositionCategory.FAILED,
        retry=DispositionRetry(delay_s=_HOUR_S / 4, max_attempts=8),
    ),
)


def find_code(codes: Sequence[DispositionCode], wanted: str) -> DispositionCode | None:
    """The code that `wanted` names, whatever its case; None where the campaign has no such code."""
    name = wanted.strip().casefold()
    return next((code for code in codes if code.code.casefold() == name), None)
