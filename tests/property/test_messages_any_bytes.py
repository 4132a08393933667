"""Whatever a CRM writes on a stream: it is read into valid values, or refused in words; nothing else is raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core.ids import CampaignId, valid_contact_id, valid_name, valid_phone
from dialer.crm.contract import EXAMPLES
from dialer.errors import InputError
from dialer.intake.messages import (
    Callback,
    ContactBatch,
    Disposition,
    Rejected,
    read_callback,
    read_contact,
    read_contacts,
    read_disposition,
)
from dialer.intake.phones import PhoneReader
from dialer.intake.record import Refusal
from dialer.intake.segments import Segment, read_segment
from dialer.queues.removals import DoNotCall, Removal, parse_do_not_call, parse_removal

PHONES = PhoneReader("ES")
READERS: dict[str, Callable[[bytes], object]] = {
    "contacts": lambda data: read_contacts(data, PHONES),
    "callbacks": lambda data: read_callback(data, PHONES),
    "dispositions": lambda data: read_disposition(data, PHONES),
    "segments": read_segment,
    "removals": parse_removal,
    "dnc": parse_do_not_call,
}
#: What JSON can say and few expect: halves of characters, numbers beyond all types, controls, strange moments.
ODD = st.sampled_from(
    [
        *('"\\ud800"', '"\\udc00x"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\u202e+34600111222"', '""', '"*"'),
        *('"account:"', '"account:\\ud800"'),
        *("1e999", "-1e999", "NaN", "Infinity", "9" * 400, "-0", "0.1", "1e15", "true", "null", "{}", "[]", "[[]]"),
        *('"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2030-02-30T00:00:00Z"', '"+" ', "[" * 3_000),
    ]
)
VALUES = st.one_of(ODD, st.text(max_size=20).map(json.dumps), st.integers().map(str), st.binary(max_size=8))


def written(value: Any, change: Callable[[], bytes | None]) -> bytes:
    """JSON of a value, some of whose parts are something else."""
    if (other := change()) is not None:
        return other
    if isinstance(value, dict):
        return b"{" + b",".join(json.dumps(k).encode() + b":" + written(v, change) for k, v in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(written(item, change) for item in value) + b"]"
    return json.dumps(value).encode()


@st.composite
def messages(draw: st.DrawFn, stream: str) -> bytes:
    """A message as the contract has it, of which up to three parts are anything; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    at = draw(st.sets(st.integers(0, 40), max_size=3))
    n = -1

    def change() -> bytes | None:
        nonlocal n
        n += 1
        if n not in at:
            return None
        value = draw(VALUES)
        return value if isinstance(value, bytes) else value.encode()

    return written(EXAMPLES[stream], change)


@pytest.mark.parametrize("stream", READERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_message_is_read_or_refused_in_words(stream: str, data: st.DataObject) -> None:
    message = data.draw(messages(stream))
    try:
        found = READERS[stream](message)
    except InputError as error:
        if not str(error):
            raise
        return
    match found:
        case Rejected():
            assert found.problem
        case ContactBatch():
            assert valid_name(found.campaign)
            assert all(no.problem for no in found.rejected)
            for yes in found.accepted:
                assert valid_contact_id(yes.contact.id)
                assert yes.contact.phones
                assert all(valid_phone(phone) for phone in yes.contact.phones)
        case Callback():
            assert valid_phone(found.phone)
            assert valid_name(found.campaign)
        case Disposition():
            assert found.code
            assert valid_name(found.call)
        case Segment():
            assert valid_name(found.campaign)
            for contact in found.contacts:
                read = read_contact(contact, CampaignId("w"), PHONES)
                assert not isinstance(read, Refusal) or read.problem
        case Removal():
            assert found.contact is not None or found.phone is not None
        case DoNotCall():
            assert found.phone.startswith("+")
        case _:
            raise AssertionError(f"read as {found!r}")
    # Whatever was taken can be kept: as UTF-8, in SQL and Redis.
    repr(found).encode()
    for value in vars_of(found):
        value.encode()


def vars_of(found: object) -> list[str]:
    """The texts of a value with slots, as they are."""
    names = getattr(type(found), "__slots__", ())
    return [value for name in names if isinstance(value := getattr(found, name), str)]


@pytest.mark.parametrize("parse", [parse_removal, parse_do_not_call])
def test_half_a_character_is_none(parse: Callable[[bytes], object]) -> None:
    for text in ("\\ud800", "\\uDBFF\\ud800", "\\udc00"):
        message = f'{{"op": "add", "campaign": "*", "contact": "{text}", "phone": "+34600111222", "reason": "{text}"}}'
        with pytest.raises(InputError, match="not a JSON object"):
            parse(message.encode())
    whole = b'{"op": "add", "campaign": "*", "phone": "+34600111222", "reason": "\\ud83d\\ude00 \\\\ud800"}'
    assert getattr(parse(whole), "reason", "") == "\U0001f600 \\ud800"
