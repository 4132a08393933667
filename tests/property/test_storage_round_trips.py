"""Whatever a contact or an attempt may hold comes back from SQL as it went in, or with U+FFFD where it cannot."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.outcome import Outcome
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.text import storable

# One database for all examples: they differ in their ids, and what an earlier one left is part of the test.
SHARED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

TEXT = st.text(st.characters(), max_size=60)
CLEAN = TEXT.map(storable)
MOMENT = st.floats(min_value=0, max_value=4e9, allow_nan=False) | st.floats(allow_nan=False, allow_infinity=False)
PHONE = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
JSON = st.dictionaries(
    CLEAN,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CLEAN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CLEAN, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
SMALL = st.integers(min_value=-(2**31), max_value=2**31 - 1)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
CONTACT_IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=128)

CONTACTS = st.builds(
    Contact,
    campaign=NAMES,
    id=CONTACT_IDS,
    phones=st.lists(PHONE, min_size=1, max_size=4).map(tuple),
    name=CLEAN,
    priority=st.integers(-1_000, 1_000),
    timezone=st.none() | st.just("Europe/Madrid"),
    not_before_at=st.none() | MOMENT,
    expires_at=st.none() | MOMENT,
    consent=JSON,
    fields=JSON,
)
ATTEMPTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "campaign": NAMES,
        "contact": CONTACT_IDS,
        "phone": PHONE,
        "attempt_number": st.integers(1, 1_000),
        "outcome": st.sampled_from(Outcome),
        "reason": TEXT,
        "started_at": MOMENT,
        "ended_at": MOMENT,
        "server": st.none() | NAMES,
        "trunk": st.none() | NAMES,
        "ringing_at": st.none() | MOMENT,
        "answered_at": st.none() | MOMENT,
        "waiting_at": st.none() | MOMENT,
        "connected_at": st.none() | MOMENT,
        "agent": st.none() | NAMES,
        "cause": SMALL,
        "sip_code": st.none() | SMALL,
        "hung_up_by": TEXT,
        "machine_verdict": st.none() | TEXT,
        "machine_verdict_s": st.none() | MOMENT,
        "caller_id": st.none() | PHONE,
        "message_played": st.booleans(),
        "method": TEXT,
        "opted_out": st.booleans(),
        "machine_sampled": st.booleans(),
    }
)


@SHARED
@given(batch=st.lists(CONTACTS, min_size=1, max_size=6))
async def test_contacts_come_back(database: Database, batch: list[Contact]) -> None:
    contacts = Contacts(database)
    expected = {(each.campaign, each.id): each for each in batch}
    assert await contacts.upsert(batch, at=1.0) == len(expected)
    assert await contacts.upsert(list(expected.values())[::-1], at=1.0) == len(expected)
    for key, each in expected.items():
        stored = await contacts.get(*key)
        assert stored is not None
        assert stored.contact == each


@SHARED
@given(values=ATTEMPTS, retry_at=st.none() | MOMENT)
async def test_attempts_come_back(database: Database, values: dict[str, Any], retry_at: float | None) -> None:
    # A fresh one each time, also where an example is run again: the first record of a call stays.
    values = {**values, "call": uuid.uuid4().hex}
    attempt = Attempt(**values)
    await Attempts(database).record([(attempt, retry_at)])
    clean: dict[str, Any] = {name: storable(value) if type(value) is str else value for name, value in values.items()}
    assert await Attempts(database).get(attempt.call) == Attempt(**clean)


async def test_huge_fields_come_back(database: Database) -> None:
    huge = Contact(
        campaign="winter",  # type: ignore[arg-type]
        id="huge",  # type: ignore[arg-type]
        phones=("+34600111222",),  # type: ignore[arg-type]
        fields={"text": "é📞" * 500_000, "list": list(range(100_000))},
    )
    await Contacts(database).upsert([huge], at=1.0)
    stored = await Contacts(database).get(huge.campaign, huge.id)
    assert stored is not None
    assert stored.contact == huge
