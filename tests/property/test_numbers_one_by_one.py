"""Which number of a contact is called, and when, against an oracle that looks at every minute of the clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialer.compliance.loader import load_rule_book
from dialer.compliance.own_hours import read_own_hours
from dialer.compliance.registry import Registries
from dialer.compliance.screening import Admitted, Screening, terms_of
from dialer.compliance.windows import DAYS
from dialer.compliance.zones import Called, Whereabouts, locate
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, RetryRule
from dialer.core.contact import Contact
from dialer.core.contact_phone import PhoneTerms
from dialer.core.ids import ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.core.retry import retry_at
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Finish, Queues, Release
from dialer.runtime.next_number import turned_away, within_attempts
from dialer.simulation import OPEN_RULES
from tests.compliance_rules import shipped_book
from tests.queue_worlds import WINTER, Caller, MemoryWorld, Pages, RedisWorld

SERVER: list[EmbeddedServer] = []
#: A mobile of Spain, which may be in two zones; of Madrid, the Canaries, and of one and of several zones of America.
NUMBERS = tuple(map(Phone, ("+34600111222", "+34910000017", "+34928000017", "+12125550123", "+15025550123")))
#: Around them some of the zones change their clocks; and an ordinary week.
NIGHTS = ("2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-06-17")
DELAY_S = 2 * 3_600.0
RULE = RetryRule(delay_s=DELAY_S, max_attempts=6, other_phone_first=True)
CAMPAIGN = Campaign(id=WINTER, max_attempts=6, retries={Outcome.BUSY: RULE})
RING_S = terms_of(CAMPAIGN).ring_timeout_s
#: Whoever has a window at all has one within so many days.
HORIZON_MINUTES = 9 * 24 * 60


@pytest.fixture(autouse=True)
def _server(valkey_server: EmbeddedServer) -> Iterator[None]:
    SERVER[:] = [valkey_server]
    yield
    SERVER.clear()


@st.composite
def hours(draw: st.DrawFn) -> tuple[str, ...]:
    """Some windows, short ones and such as begin or end in the hours in which clocks change."""
    found = []
    for day in draw(st.sets(st.sampled_from(DAYS), min_size=1, max_size=3)):
        points = sorted(
            draw(st.sets(st.sampled_from((0, 30, 60, 90, 120, 121, 150, 180, 600, 900, 1_200, 1_440)), min_size=2))
        )
        pairs = list(zip(points[::2], points[1::2], strict=False))[:2]
        found += [f"{day} {a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in pairs]
    return read_own_hours(found)


@st.composite
def contacts(draw: st.DrawFn) -> Contact:
    """One with up to four numbers, of most of which something is said."""
    phones = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4, unique=True))
    said = st.builds(PhoneTerms, hours=hours() | st.just(()), max_attempts=st.none() | st.integers(1, 3))
    terms = {phone: draw(said) for phone in phones if draw(st.integers(0, 3))}
    return Contact(campaign=WINTER, id=ContactId("c1"), phones=tuple(phones), phone_terms=terms)


moments = st.builds(
    lambda day, s: datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + s,
    st.sampled_from(NIGHTS),
    st.integers(-2 * 86_400, 2 * 86_400).map(float),
)


def screening() -> Screening:
    return Screening(load_rule_book(OPEN_RULES), lambda: Registries([], {}))


@lru_cache(maxsize=16)
def zones_of(phone: Phone) -> tuple[str, ...]:
    where = locate(load_rule_book(OPEN_RULES), Called(phone=phone), 1_780_000_000.0)
    assert isinstance(where, Whereabouts)
    return where.zones


@dataclass
class Oracle:
    """When a number may be called, minute by minute from a moment on."""

    phone: Phone
    windows: Sequence[str]
    begin: int

    def __post_init__(self) -> None:
        self.open = [self._open(self.begin + 60 * n) for n in range(HORIZON_MINUTES + 5)] if self.windows else []

    def _open(self, at: int) -> bool:
        for zone in zones_of(self.phone):
            here = datetime.fromtimestamp(at, ZoneInfo(zone))
            minute = here.hour * 60 + here.minute
            if not any(_covers(window, here.weekday(), minute) for window in self.windows):
                return False
        return True

    def may_ring(self, at: float) -> bool:
        """Whether all of the ringing is within its hours."""
        if not self.windows:
            return True
        first, last = int(at - self.begin) // 60, -(int(self.begin - at - RING_S) // 60)
        return all(self.open[n] for n in range(first, last))

    def first(self, now: float) -> float | None:
        """The first moment from `now` on."""
        if self.may_ring(now):
            return now
        begins = (float(self.begin + 60 * n) for n in range(int(now - self.begin) // 60 + 1, HORIZON_MINUTES))
        return next((at for at in begins if self.may_ring(at)), None)


@lru_cache(maxsize=4_096)
def _parsed(window: str) -> tuple[frozenset[int], int, int]:
    days, _, times = window.rpartition(" ")
    found: set[int] = set(range(7)) if not days else set()
    for part in days.split(",") if days else ():
        first, _, last = part.partition("-")
        found |= set(range(DAYS.index(first), DAYS.index(last or first) + 1))
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in times.split("-"))
    return frozenset(found), start, end


def _covers(window: str, weekday: int, minute: int) -> bool:
    days, start, end = _parsed(window)
    return weekday in days and start <= minute < end


async def ask(reserve: Caller, law: Screening, now: float) -> tuple[Permit | None, float | None]:
    """As the gatekeeper does: who may be called, or until when the contact was told to wait."""
    waits: float | None = None
    judge = within_attempts(lambda permit, phone: law.judge(permit, CAMPAIGN, now, phone))
    for _ in range(12):
        law.caps(CAMPAIGN, now)
        reservation = await reserve(1, now=now)
        if not reservation.granted.permits:
            return None, waits
        (permit,) = reservation.granted.permits
        answer = judge(permit, permit.phone)
        if isinstance(answer, Admitted):
            return permit, None
        write = turned_away(permit, answer, judge)
        await reserve.queues.write([write])
        waits = write.not_before_at if isinstance(write, Release) else None
    raise AssertionError("it goes round and round")


async def told_apart(queues: Queues, contact: Contact, now: float) -> None:
    """Call a contact until it is done, and hold every step against the oracle."""
    await queues.offer([contact])
    reserve, law = Caller(queues), screening()
    oracles = {
        phone: Oracle(
            phone, contact.phone_terms[phone].hours if phone in contact.phone_terms else (), int(now) // 60 * 60
        )
        for phone in contact.phones
    }
    made = dict.fromkeys(contact.phones, 0)
    turn, started = 0, now
    # Within the days that the oracle knows.
    while now < started + 2 * 86_400:
        order = [contact.phones[(turn + n) % len(contact.phones)] for n in range(len(contact.phones))]
        left = [phone for phone in order if not spent(contact, phone, made[phone])]
        permit, waits = await ask(reserve, law, now)
        open_now = [phone for phone in left if oracles[phone].may_ring(now)]
        if not open_now:
            assert permit is None
            openings = [at for phone in left if (at := oracles[phone].first(now)) is not None]
            if not openings:
                # Rules that contradict each other are looked at again after a while.
                return
            assert waits == min(openings)
            now = waits
            continue
        assert permit is not None
        assert permit.phone == open_now[0]
        made[permit.phone] += 1
        attempt = Attempt(
            call=permit.call,
            campaign=WINTER,
            contact=permit.contact,
            phone=permit.phone,
            attempt_number=permit.attempt_number,
            outcome=Outcome.BUSY,
            reason="SIP 486",
            started_at=now,
            ended_at=now + 20.0,
        )
        again_at = retry_at(CAMPAIGN, attempt, permit)
        if again_at is None:
            everything = all(spent(contact, phone, made[phone]) for phone in contact.phones)
            assert everything or sum(made.values()) == CAMPAIGN.max_attempts
            return
        await queues.write([Finish(attempt=attempt, fencing_token=permit.fencing_token, retry_at=again_at)])
        turn, now = contact.phones.index(permit.phone) + 1, again_at


def spent(contact: Contact, phone: Phone, made: int) -> bool:
    terms = contact.phone_terms.get(phone)
    return terms is not None and terms.max_attempts is not None and made >= terms.max_attempts


@settings(max_examples=25, deadline=None)
@given(contact=contacts(), now=moments)
def test_the_number_that_is_called_may_ring_and_else_the_first_moment_is_known(contact: Contact, now: float) -> None:
    async def run() -> None:
        await told_apart(await MemoryWorld().node("n1"), contact, now)

    asyncio.run(run())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contact=contacts(), now=moments)
def test_the_same_on_a_real_server(contact: Contact, now: float) -> None:
    async def run() -> None:
        world = RedisWorld(connect(SERVER[0].url), SERVER[0].url)
        try:
            await world.client.flushall()
            node = await world.node("n1", opened=False)
            await node.rebuild(Pages())
            await told_apart(node, contact, now)
        finally:
            await world.close()
            await world.client.aclose()

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(own=hours(), now=moments, phone=st.sampled_from(NUMBERS))
def test_own_hours_only_take_from_what_the_law_leaves_open(own: tuple[str, ...], now: float, phone: Phone) -> None:
    law = Screening(shipped_book(), lambda: Registries([], {}))
    with_hours = law.explain(Called(phone=phone), DEBT, now, {}, own)
    without = law.explain(Called(phone=phone), DEBT, now, {})
    if with_hours.permit:
        assert without.permit
    elif without.permit:
        assert with_hours.reason == "phone_hours"
        assert with_hours.retry_at is None or with_hours.retry_at > now
    else:
        assert with_hours.reason == without.reason
        if with_hours.retry_at is not None and without.retry_at is not None:
            assert with_hours.retry_at >= without.retry_at


DEBT = replace(CAMPAIGN, purpose="debt")
