"""What the gate hands over unread is what it would be read at once."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.contact_phone import ContactNumber
from dialer.core.ids import Phone
from dialer.queues.lazy_fields import LazyFields, LazyNumbers

NUMBERS = st.lists(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True).map(Phone), min_size=1, max_size=5, unique=True)
FIELDS = st.dictionaries(st.text(max_size=8), st.none() | st.text(max_size=8) | st.integers(-(2**53), 2**53))


@given(fields=FIELDS)
def test_fields_are_those_of_the_json(fields: dict[str, object]) -> None:
    lazy = LazyFields(msgspec.Raw(msgspec.json.encode(fields)))
    assert (dict(lazy), len(lazy), repr(lazy)) == (fields, len(fields), repr(fields))
    assert all(lazy[key] == value for key, value in fields.items())


@given(numbers=NUMBERS, not_before=st.sampled_from(["", "\t1900000000.000000"]))
def test_numbers_are_those_of_the_record_with_nothing_said_of_them(numbers: list[Phone], not_before: str) -> None:
    head = f"{numbers[0][1:]}\t2\t!~\t0\t17\t{','.join(phone[1:] for phone in numbers)}{not_before}"
    lazy, plain = LazyNumbers(head.encode()), tuple(map(ContactNumber, numbers))
    assert (tuple(lazy), len(lazy), repr(lazy)) == (plain, len(plain), repr(plain))
    assert (lazy[0], lazy[-1], lazy[:2], plain[-1] in lazy) == (plain[0], plain[-1], plain[:2], True)
    assert [one.spent() for one in lazy] == [False] * len(plain)
