"""When people are called again: the rule's delay, their other numbers first, and another part of the day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, RetryRule
from dialer.core.contact_phone import ContactNumber, PhoneTerms
from dialer.core.day_parts import PARTS, another_part_of_day, part_of_day
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.core.retry import OTHER_PHONE_S, retry_at

ZONES = st.sampled_from([None, "Europe/Madrid", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
MOMENTS = st.floats(1_700_000_000, 1_800_000_000)
START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC).timestamp()


def ended(number: int, outcome: Outcome = Outcome.NO_ANSWER, started_at: float = START) -> Attempt:
    return Attempt(
        call=CallId(f"n1-boot-{number}"),
        campaign=CampaignId("winter"),
        contact=ContactId("crm-1"),
        phone=Phone("+34600111222"),
        attempt_number=number,
        outcome=outcome,
        reason="",
        started_at=started_at,
        ended_at=started_at + 25.0,
    )


def permit(phones: int = 1, timezone: str | None = None) -> Permit:
    return Permit(
        call=CallId("n1-boot-1"),
        campaign=CampaignId("winter"),
        contact=ContactId("crm-1"),
        phone=Phone("+34600111222"),
        fencing_token=1,
        attempt_number=1,
        expires_at=START,
        phones=phones,
        timezone=timezone,
    )


def campaign(**rule: object) -> Campaign:
    made = RetryRule(**{"delay_s": 3_600.0, "max_attempts": 100, **rule})  # type: ignore[arg-type]
    return Campaign(id=CampaignId("winter"), max_attempts=100, retries={Outcome.NO_ANSWER: made})


@given(number=st.integers(1, 20), phones=st.integers(1, 5), growth=st.floats(1, 2))
def test_every_number_is_called_once_before_the_delay_counts(number: int, phones: int, growth: float) -> None:
    rules = campaign(other_phone_first=True, growth=growth)
    attempt = ended(number)
    at = retry_at(rules, attempt, permit(phones))
    assert at is not None
    round_is_over = number % phones == 0
    waited_s = at - attempt.ended_at
    expected = 3_600.0 * growth ** (number // phones - 1) if round_is_over else OTHER_PHONE_S
    assert waited_s == pytest.approx(expected)


@given(number=st.integers(1, 20), phones=st.integers(1, 5))
def test_without_the_wish_all_numbers_share_one_delay(number: int, phones: int) -> None:
    attempt = ended(number)
    assert retry_at(campaign(), attempt, permit(phones)) == attempt.ended_at + 3_600.0


@given(number=st.integers(1, 20), phones=st.integers(1, 5), limit=st.integers(1, 10))
def test_other_numbers_are_no_way_round_the_cap(number: int, phones: int, limit: int) -> None:
    rules = campaign(other_phone_first=True, max_attempts=limit)
    assert (retry_at(rules, ended(number), permit(phones)) is None) == (number >= limit)


def test_a_number_that_does_not_exist_ends_the_contact_only_with_its_last_one() -> None:
    attempt = ended(1, Outcome.INVALID)
    assert retry_at(campaign(), attempt, permit(1)) is None
    assert retry_at(campaign(), attempt, permit(2)) == attempt.ended_at + OTHER_PHONE_S
    assert retry_at(campaign(), replace(attempt, attempt_number=2), permit(2)) is None
    assert retry_at(replace(campaign(), max_attempts=1), attempt, permit(2)) is None


def test_a_call_that_we_took_back_is_made_again_whatever_the_rules() -> None:
    attempt = ended(1, Outcome.CANCELLED)
    assert retry_at(replace(campaign(), retries={}), attempt, permit(2)) == attempt.ended_at + 900.0


def numbered(*numbers: tuple[int, int | None], called: int = 0) -> Permit:
    """One with numbers of which so many attempts were made, of at most so many; the one that is called first."""
    known = tuple(
        ContactNumber(phone=Phone(f"+3460011122{n}"), attempts=made, terms=PhoneTerms(max_attempts=most))
        for n, (made, most) in enumerate(numbers)
    )
    return replace(permit(len(known)), numbers=known, phone=known[called].phone)


NUMBERS = st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(1, 5)), min_size=1, max_size=4)


@given(numbers=NUMBERS, data=st.data())
def test_attempts_left_are_those_of_the_numbers_where_the_contact_says_how_many(
    numbers: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    called = data.draw(st.integers(0, len(numbers) - 1))
    asked = numbered(*numbers, called=called)
    attempt = replace(ended(sum(made for made, _ in numbers) + 1), phone=asked.phone)
    at = retry_at(campaign(other_phone_first=True, growth=2.0), attempt, asked)
    made = [count + (n == called) for n, (count, _) in enumerate(numbers)]
    left = [n for n, (_, most) in enumerate(numbers) if most is None or made[n] < most]
    if not left:
        assert at is None
    elif any(made[n] < made[called] for n in left if n != called):
        assert at == attempt.ended_at + OTHER_PHONE_S
    else:
        assert at == pytest.approx(attempt.ended_at + 3_600.0 * 2.0 ** (made[called] - 1))


def test_a_number_that_does_not_exist_leaves_those_that_were_never_called() -> None:
    tried = numbered((0, None), (2, 2), (0, 1))
    invalid = replace(ended(3, Outcome.INVALID), phone=tried.phone)
    assert retry_at(campaign(), invalid, tried) == invalid.ended_at + OTHER_PHONE_S
    assert retry_at(campaign(), invalid, numbered((0, None), (2, 3))) is None


def test_what_was_promised_is_tried_again_however_often_the_number_was_called() -> None:
    attempt = ended(3)
    assert retry_at(campaign(), attempt, numbered((2, 2))) is None
    assert retry_at(campaign(), attempt, numbered((2, 2)), attempt.ended_at + 7_200.0) == attempt.ended_at + 3_600.0


@given(earliest=MOMENTS, tried=st.lists(MOMENTS, max_size=6), zone=ZONES)
def test_the_next_attempt_is_in_the_part_of_the_day_tried_least(
    earliest: float, tried: list[float], zone: str | None
) -> None:
    at = another_part_of_day(earliest, tried, zone)
    assert earliest <= at <= earliest + 2 * 86_400.0
    parts = [part_of_day(each, zone) for each in tried]
    chosen = part_of_day(at, zone)
    assert chosen is not None, "never at night"
    assert parts.count(chosen) == min(parts.count(part) for part in range(len(PARTS)))


@given(moment=MOMENTS, delay_s=st.floats(0, 3 * 86_400), zone=ZONES)
def test_with_only_the_last_attempt_known_the_next_is_at_another_time_of_day(
    moment: float, delay_s: float, zone: str | None
) -> None:
    rules = campaign(spread_hours=True, delay_s=delay_s)
    at = retry_at(rules, ended(1, started_at=moment), permit(timezone=zone))
    assert at is not None
    assert at >= moment + 25.0 + delay_s
    assert part_of_day(at, zone) not in {None, part_of_day(moment, zone)}


def test_a_day_between_attempts_leads_through_all_parts_of_the_day() -> None:
    at, zone = START, "Europe/Madrid"
    parts = []
    for number in range(1, 9):
        again = retry_at(
            campaign(spread_hours=True, delay_s=86_000.0), ended(number, started_at=at), permit(timezone=zone)
        )
        assert again is not None
        at = again
        parts.append(part_of_day(at, zone))
    assert {tuple(parts[i : i + 4]) for i in range(5)} <= {(2, 3, 0, 1), (3, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 0)}


def test_a_night_with_a_changing_clock_has_its_morning_where_the_clock_says_nine() -> None:
    madrid = ZoneInfo("Europe/Madrid")
    for day in ((2026, 3, 29), (2026, 10, 25)):
        late = datetime(*day, 0, 30, tzinfo=madrid)
        at = datetime.fromtimestamp(another_part_of_day(late.timestamp(), (), "Europe/Madrid"), madrid)
        assert (at.date(), at.hour, at.minute) == (late.date(), 9, 0)


@pytest.mark.parametrize("zone", ["Nowhere/City", "../../etc/passwd", "", "a\x00b"])
def test_a_zone_that_is_none_counts_as_utc(zone: str) -> None:
    assert part_of_day(START, zone) == part_of_day(START, "UTC") == 0
