"""The codes of a campaign as people and programs write them, and what a disposition must be to be taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from dialer.core.campaign import Campaign
from dialer.core.disposition import (
    DEFAULT_DISPOSITIONS,
    DispositionCategory,
    DispositionCode,
    DispositionRetry,
    find_code,
)
from dialer.core.events import CallDisposed
from dialer.core.money import MINOR_DIGITS, read_amount
from dialer.errors import InputError

#: What stands in a code: letters of any language, digits and a little more; neither at its ends a blank.
CODE_PATTERN: Final = r"^[\w.+-]([\w .+/-]{0,62}[\w.+-])?(?![\s\S])"
_TEXT_PATTERN: Final = r"^[^\x00-\x1f\x7f]*(?![\s\S])"
#: Codes of one campaign; an agent has to find the right one.
MAX_CODES: Final = 200
#: An appointment of an hour ago is a clock that goes wrong, one of two years is a typing error.
_PAST_S: Final = 3_600.0
_FUTURE_S: Final = 2 * 366 * 86_400.0


class RetryAfter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The contact is called again delay_s after the code, unless it has been called max_attempts times."""

    delay_s: Annotated[float, Meta(ge=0, le=366 * 86_400)]
    max_attempts: Annotated[int, Meta(ge=1, le=1_000)] = 8


class CodeInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One code with which a campaign's calls are closed."""

    code: Annotated[str, Meta(pattern=CODE_PATTERN, description="As it is sent, whatever its case, such as SALE")]
    category: Annotated[DispositionCategory, Meta(description="Of which kind the end of the call is")]
    name: Annotated[str, Meta(max_length=200, pattern=_TEXT_PATTERN, description="For people")] = ""
    is_sale: Annotated[bool, Meta(description="Counts as a sale in reports")] = False
    is_contact: Annotated[bool, Meta(description="The person who was meant was talked with")] = False
    retry: Annotated[RetryAfter | None, Meta(description="null: the outcome of the call decides")] = None
    do_not_call: Annotated[
        bool, Meta(description="Puts the number on the do-not-call list; no later code takes it off")
    ] = False
    callback: Annotated[bool, Meta(description="Must come with the time of an appointment")] = False
    needs_amount: Annotated[bool, Meta(description="Must come with an amount")] = False


def codes_of(given: Sequence[CodeInput]) -> tuple[DispositionCode, ...]:
    """The codes of a campaign; the default ones where none is given.

    Raises:
        InputError: a code stands there twice, or contradicts itself.
    """
    if not given:
        return DEFAULT_DISPOSITIONS
    names = Counter(one.code.casefold() for one in given)
    for one in given:
        if names[one.code.casefold()] > 1:
            raise InputError(f"dispositions: {one.code!r} stands there more than once; case makes no difference")
        if one.do_not_call and (one.retry is not None or one.callback):
            raise InputError(f"dispositions: {one.code!r} cannot forbid further calls and ask for one")
        if one.callback and one.retry is not None:
            raise InputError(f"dispositions: {one.code!r} has an appointment; leave out retry")
    return tuple(
        DispositionCode(
            code=one.code,
            category=one.category,
            name=one.name,
            is_sale=one.is_sale,
            is_contact=one.is_contact,
            retry=None
            if one.retry is None
            else DispositionRetry(delay_s=one.retry.delay_s, max_attempts=one.retry.max_attempts),
            do_not_call=one.do_not_call,
            callback=one.callback,
            needs_amount=one.needs_amount,
        )
        for one in given
    )


def dump_codes(codes: Sequence[DispositionCode]) -> list[dict[str, Any]]:
    """Plain values from which `codes_of` makes the same codes; none for the default ones."""
    return [] if tuple(codes) == DEFAULT_DISPOSITIONS else [dump_code(code) for code in codes]


def dump_code(code: DispositionCode) -> dict[str, Any]:
    """One code in plain values."""
    retry = code.retry
    return {
        "code": code.code,
        "category": code.category.value,
        "name": code.name,
        "is_sale": code.is_sale,
        "is_contact": code.is_contact,
        "retry": None if retry is None else {"delay_s": retry.delay_s, "max_attempts": retry.max_attempts},
        "do_not_call": code.do_not_call,
        "callback": code.callback,
        "needs_amount": code.needs_amount,
    }


def check_currency(currency: str) -> None:
    """Make sure that there is such a currency.

    Raises:
        InputError: there is none.
    """
    if currency not in MINOR_DIGITS:
        raise InputError(f"currency: {currency[:20]!r} is no currency of ISO 4217; it may be such as EUR, USD or JPY")


def meaning_of(event: CallDisposed, campaign: Campaign, now: float) -> DispositionCode:
    """What a disposition means in its campaign.

    Raises:
        InputError: the campaign has no such code, or the code needs more than was given; says what is allowed.
    """
    code = find_code(campaign.dispositions, event.code)
    if code is None:
        allowed = [each.code for each in campaign.dispositions]
        raise InputError(
            f"code: {event.code!r} is no code of campaign {campaign.id!r}; it may be {', '.join(allowed)}",
            word="unknown_code",
            allowed=allowed,
        )
    if event.currency is not None and event.currency != campaign.currency:
        raise InputError(
            f"currency: amounts of campaign {campaign.id!r} are in {campaign.currency}, not in {event.currency[:20]!r}",
            word="invalid_amount",
        )
    if event.amount is None:
        if code.needs_amount:
            raise InputError(
                f"amount: is missing; {code.code} must come with one, in {campaign.currency}", word="invalid_amount"
            )
    else:
        read_amount(event.amount, campaign.currency)
    if event.callback is None:
        if code.callback:
            raise InputError(
                f"callback: is missing; {code.code} needs the time of the appointment", word="missing_callback"
            )
        return code
    if code.do_not_call:
        raise InputError(f"callback: cannot come with {code.code}, which forbids further calls", word="wrong_value")
    if event.callback.at < now - _PAST_S:
        raise InputError("callback: its time has passed", word="invalid_time")
    if event.callback.at > now + _FUTURE_S:
        raise InputError("callback: its time is more than two years from now", word="invalid_time")
    return code
