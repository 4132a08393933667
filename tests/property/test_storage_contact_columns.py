"""The rows that a list takes to SQL side by side are those that its contacts make one by one."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.contact import Contact
from dialer.core.contact_phone import PhoneTerms
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.storage.contact_rows import ContactColumns, columns_of, row_of

ANY_TEXT = st.text(st.characters(), max_size=10)  # NUL and surrogates included
DATA = st.dictionaries(ANY_TEXT, ANY_TEXT | st.integers() | st.none(), max_size=2)
MOMENTS = st.none() | st.floats(0, 4e9)
CONTACTS = st.builds(
    Contact,
    campaign=st.just(CampaignId("winter")),
    id=ANY_TEXT.map(ContactId),
    phones=st.lists((st.just("+34600111222") | ANY_TEXT).map(Phone), min_size=1, max_size=3).map(tuple),
    name=ANY_TEXT,
    priority=st.integers(-1_000, 1_000),
    timezone=st.none() | ANY_TEXT.filter(str.isprintable),
    not_before_at=MOMENTS,
    expires_at=MOMENTS,
    consent=DATA,
    fields=DATA,
    phone_terms=st.just({}) | st.just({Phone("+34600111222"): PhoneTerms(max_attempts=1, hours=("09:00-10:00",))}),
)
PLAIN = st.builds(
    Contact,
    campaign=st.just(CampaignId("winter")),
    id=st.integers().map(lambda n: ContactId(f"crm-{n}")),
    phones=st.integers(10**8, 10**9).map(lambda n: (Phone(f"+34{n}"),)),
)


@given(st.lists(CONTACTS, max_size=8) | st.lists(PLAIN, max_size=8))
def test_columns_make_the_rows_of_their_contacts(contacts: list[Contact]) -> None:
    columns = columns_of(contacts)
    rows = [row_of(contact, 5.0, "list-1") for contact in contacts]
    assert list(columns.rows("winter", 5.0, "list-1")) == rows
    # Also on the other side of the pipe.
    there = msgspec.msgpack.decode(msgspec.msgpack.encode(columns), type=ContactColumns)
    assert list(there.rows("winter", 5.0, "list-1")) == rows
