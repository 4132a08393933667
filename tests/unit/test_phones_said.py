"""What a CRM or a list says of single numbers: taken where it is right, and told of each number where it is not."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.compliance.own_hours import own_week, read_own_hours
from dialer.compliance.windows import DAYS
from dialer.core.contact import Contact
from dialer.core.contact_phone import PhoneTerms, PhoneType
from dialer.core.ids import CampaignId, Phone
from dialer.crm.mapping import MappingFile, compile_mapping
from dialer.crm.reading import PulledCall, read_row
from dialer.errors import InputError
from dialer.intake.messages import read_contact
from dialer.intake.phones import PhoneReader
from dialer.intake.reading import ReadBatch, ReadOrder, read_here
from dialer.intake.record import Refusal
from dialer.intake.rows import ListReader, RejectedRow, Row
from dialer.queues.wire import unpack

PHONES = PhoneReader("ES")
WINTER = CampaignId("winter")
MOBILE, OFFICE = Phone("+34600111222"), Phone("+34910000017")


def pushed(*phones: Any) -> tuple[Contact, tuple[Refusal, ...]] | Refusal:
    return read_contact(json.dumps({"id": "crm-17", "phones": phones}).encode(), WINTER, PHONES)


def listed(*lines: str) -> list[Row]:
    return list(ListReader(BytesIO("\n".join(lines).encode()), WINTER, PHONES))


def test_a_number_may_be_an_object_among_texts_and_orders_come_first() -> None:
    office = {
        "number": "910 000 017",
        "type": "Work",
        "order": 2,
        "hours": ["mon-fri 9:00-14:00", "sat 10:00-12:00"],
        "max_attempts": 3,
        "note": "of the CRM's own",
    }
    read = pushed("600111222", office, {"number": "+34600111223", "order": 1}, {"number": "600 111 224"})
    assert isinstance(read, tuple)
    contact, refused = read
    assert contact.phones == ("+34600111223", OFFICE, MOBILE, "+34600111224")
    hours = ("mon-fri 09:00-14:00", "sat 10:00-12:00")
    assert contact.phone_terms == {OFFICE: PhoneTerms(type=PhoneType.WORK, hours=hours, max_attempts=3)}
    assert refused == ()


@pytest.mark.parametrize(
    ("said", "reason", "problem"),
    [
        ({"type": "fax"}, "invalid_phone", "type 'fax' is none of mobile, home, work, other"),
        ({"order": 0}, "invalid_phone", "order 0 is not within 1 and 100"),
        ({"max_attempts": 101}, "invalid_phone", "max_attempts 101 is not within 1 and 100"),
        ({"max_attempts": -1}, "invalid_phone", "max_attempts -1"),
        ({"hours": []}, "invalid_hours", "hours is empty"),
        ({"hours": ["09:00"]}, "invalid_hours", "'09:00' is no window"),
        ({"hours": ["mo-fr 09:00-17:00"]}, "invalid_hours", "names no day"),
        ({"hours": ["fri-mon 09:00-17:00"]}, "invalid_hours", "names no day"),
        ({"hours": ["22:00-06:00"]}, "invalid_hours", "goes over midnight"),
        ({"hours": ["09:00-09:00"]}, "invalid_hours", "is empty"),
        ({"hours": ["24:00-25:00"]}, "invalid_hours", "no clock shows"),
        ({"hours": ["mon 09:00-12:00", "mon-fri 11:00-13:00"]}, "invalid_hours", "overlap"),
        ({"hours": ["09:00-17:00"] * 22}, "invalid_hours", "22 windows; at most 21"),
        ({"hours": ["x" * 100_000]}, "invalid_hours", "is no window"),
        ({"hours": ["\u0660\u0669:00-17:00"]}, "invalid_hours", "is no window"),
        ({"number": "12"}, "phone_not_a_number", "too few digits"),
    ],
)
def test_a_number_of_which_something_wrong_is_said_is_left_out(said: dict[str, Any], reason: str, problem: str) -> None:
    wrong = {"number": OFFICE, **said}
    read = pushed(MOBILE, wrong)
    assert isinstance(read, tuple)
    assert read[0].phones == (MOBILE,)
    assert read[0].phone_terms == {}
    [refusal] = read[1]
    assert refusal.reason == reason
    assert refusal.problem.startswith("phone 2 ")
    assert problem in refusal.problem
    assert len(refusal.problem) < 300
    alone = pushed(wrong)
    assert isinstance(alone, Refusal)
    assert (alone.reason, alone.id) == (reason, "crm-17")


@pytest.mark.parametrize("phone", [5, None, [], {}, {"number": 5}, {"number": MOBILE, "hours": "mon"}, {"order": 1}])
def test_what_has_another_form_is_no_contact(phone: Any) -> None:
    read = pushed(MOBILE, phone)
    assert isinstance(read, Refusal)
    assert read.reason == "wrong_type"


def test_of_a_number_that_comes_twice_the_first_counts() -> None:
    read = pushed({"number": MOBILE, "type": "home"}, {"number": "600111222", "type": "work"})
    assert isinstance(read, tuple)
    assert read[0].phones == (MOBILE,)
    assert read[0].phone_terms == {MOBILE: PhoneTerms(type=PhoneType.HOME)}


def test_columns_say_more_of_the_numbers_of_others() -> None:
    [contact] = listed(
        "id,phone1,Phone 1 Type,phone1_hours,móvil,móvil orden,móvil_max_intentos,phone9_type",
        'crm-17,910000017,Oficina,"lun-vie 9:00-14:00; sáb 10:00-12:00",600111222,1,2,kept',
    )
    assert isinstance(contact, Contact)
    assert contact.phones == (MOBILE, OFFICE)
    assert contact.phone_terms == {
        OFFICE: PhoneTerms(type=PhoneType.WORK, hours=("mon-fri 09:00-14:00", "sat 10:00-12:00")),
        MOBILE: PhoneTerms(max_attempts=2),
    }
    assert contact.fields == {"phone9_type": "kept"}


def test_rows_tell_which_number_is_wrong_and_why() -> None:
    rows = listed(
        "id,phone1,phone1_type,phone2,phone2_order,phone2_hours",
        "a,600111222,fax,910000017,,",
        "b,600111223,,910000018,first,",
        "c,600111224,,910000019,,mon",
        "d,,fax,910000020,,",
        "e,600111226,fax,,,",
        "f,600111227,,910000021,99999999999999999999,",
    )
    told = [
        (row.row, row.reason, row.partial, row.message.partition(":")[0])
        for row in rows
        if isinstance(row, RejectedRow)
    ]
    assert told == [
        (2, "invalid_phone", True, "phone 1 type 'fax' is none of mobile, home, work, other"),
        (3, "invalid_phone", True, "phone 2 order 'first' is no whole number"),
        (4, "invalid_hours", True, "phone 2 hours"),
        (6, "invalid_phone", False, "phone 1 type 'fax' is none of mobile, home, work, other"),
        (7, "invalid_phone", True, "phone 2 order '99999999999999999999' is no whole number"),
    ]
    assert [row.phones for row in rows if isinstance(row, Contact)] == [
        ("+34910000017",),
        ("+34600111223",),
        ("+34600111224",),
        ("+34910000020",),
        ("+34600111227",),
    ]


def test_a_row_goes_to_the_record_and_to_the_hopper_with_all_that_was_said_and_its_list(tmp_path: Path) -> None:
    path, out = tmp_path / "may.csv", BytesIO()
    path.write_text(
        "id,phone,phone_hours,mobile\na,910000017,mon 09:00-10:00,600111222\nb,,,600111223\n", encoding="utf-8"
    )
    read_here(ReadOrder(path=str(path), campaign=WINTER, region="ES", list_id="may"), out)
    batch = msgspec.msgpack.decode(out.getvalue()[4:][: int.from_bytes(out.getvalue()[:4])], type=ReadBatch)
    [first, second] = [contact for offer in batch.offers for contact in unpack(offer)]
    assert first.phone_terms == {OFFICE: PhoneTerms(hours=("mon 09:00-10:00",))}
    assert (first.list, second.list, second.phone_terms) == ("may", "may", {})
    rows = list(batch.contacts.rows(WINTER, 1.0, "may"))
    assert [row[-1] for row in rows] == [f'{{"{OFFICE}":{{"hours":["mon 09:00-10:00"]}}}}', None]


def test_two_columns_cannot_say_the_same_of_a_number() -> None:
    with pytest.raises(
        InputError, match="two columns can be the hours of 'phone1': 'phone1_hours' and 'phone 1 horario'"
    ):
        listed("phone1,phone1_hours,phone 1 horario", "600111222,,")


def mapped(row: dict[str, Any]) -> PulledCall | tuple[Any, str]:
    phones = "[mobile, {number: office, type: 'work', hours: hours, max_attempts: tries}]"
    pending = {"path": "/calls", "rows": "@"}
    file = {"title": "ours", "pending": pending, "contact": {"record": "id", "phones": phones}}
    return read_row(compile_mapping(msgspec.convert(file, MappingFile)), row)


def test_a_mapping_can_make_objects_of_columns() -> None:
    call = mapped(
        {"id": 1, "mobile": MOBILE, "office": OFFICE, "hours": "mon 09:00-10:00;tue 09:00-10:00", "tries": "2.0"}
    )
    assert isinstance(call, PulledCall)
    read = read_contact(call.contact, WINTER, PHONES)
    assert isinstance(read, tuple)
    terms = PhoneTerms(type=PhoneType.WORK, hours=("mon-tue 09:00-10:00",), max_attempts=2)
    assert (read[0].phones, read[0].phone_terms) == ((MOBILE, OFFICE), {OFFICE: terms})
    without = mapped({"id": 1, "mobile": MOBILE})
    assert isinstance(without, PulledCall)
    assert json.loads(without.contact)["phones"] == [MOBILE]


@pytest.mark.parametrize("tries", [True, "many", 1.5, [1], {}])
def test_a_row_with_attempts_that_are_none_is_named(tries: Any) -> None:
    assert mapped({"id": 1, "mobile": MOBILE, "office": OFFICE, "tries": tries}) == (
        "1",
        f"contact.phones.max_attempts must be a whole number, and is {str(tries)!r}",
    )


@given(
    st.dictionaries(st.sampled_from(DAYS), st.sampled_from(("00:00-24:00", "09:00-14:00", "23:59-24:00")), min_size=1)
)
def test_hours_are_kept_as_they_can_be_read_again(windows: dict[str, str]) -> None:
    kept = read_own_hours([f"{day} {window}" for day, window in windows.items()])
    assert read_own_hours(kept) == kept
    week = own_week(kept)
    assert {DAYS[n]: str(day[0]) for n, day in enumerate(week) if day} == windows


def test_hours_that_cannot_be_read_are_never_open() -> None:
    assert own_week(("of another version",)) == ((),) * 7
