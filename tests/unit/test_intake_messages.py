"""Messages of a CRM: what is right becomes typed values, what is wrong a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dialer.intake.messages import (
    MAX_CONTACTS,
    MAX_MESSAGE_BYTES,
    Callback,
    ContactBatch,
    Disposition,
    Rejected,
    read_callback,
    read_contacts,
    read_disposition,
)
from dialer.intake.phones import PhoneReader
from dialer.intake.record import RejectReason

PHONES = PhoneReader("ES")
GOOD: dict[str, Any] = {"id": "crm-17", "phones": ["+34600111222"]}


def batch(**message: Any) -> ContactBatch:
    read = read_contacts(json.dumps(message).encode(), PHONES)
    assert isinstance(read, ContactBatch), read
    return read


def rejection(data: bytes) -> Rejected:
    read = read_contacts(data, PHONES)
    assert isinstance(read, Rejected), read
    return read


def test_a_contact_with_every_key_of_the_contract() -> None:
    read = batch(
        id="m-1",
        campaign="winter",
        contacts=[
            {
                "id": "crm-17",
                "phones": ["+34 600 111 222", "910000017"],
                "name": " Ana\nGarcía ",
                "priority": -5,
                "timezone": "Atlantic/Canary",
                "not_before": "2026-03-01T16:00:00+01:00",
                "expires": "2026-04-01T00:00:00Z",
                "consent": {"purpose": "sales", "at": "2025-12-01"},
                "fields": {"debt": 129.9, "tags": ["a", "b"]},
                "something_of_the_crm": {"left": "alone"},
            }
        ],
    )
    assert (read.campaign, read.ref, read.rejected) == ("winter", "m-1", ())
    contact = read.accepted[0].contact
    assert contact.id == "crm-17"
    assert contact.phones == ("+34600111222", "+34910000017")
    assert contact.name == "Ana García"
    assert contact.priority == -5
    assert contact.timezone == "Atlantic/Canary"
    assert (contact.not_before_at, contact.expires_at) == (1772377200.0, 1775001600.0)
    assert contact.consent == {"purpose": "sales", "at": "2025-12-01"}
    assert contact.fields == {"debt": 129.9, "tags": ["a", "b"]}


def test_a_crm_may_number_its_contacts_and_messages() -> None:
    read = batch(id=5, campaign="w", contacts=[GOOD | {"id": 17}])
    assert (read.ref, read.accepted[0].contact.id) == ("5", "17")


def test_null_means_absent() -> None:
    empty = dict.fromkeys(("name", "priority", "timezone", "not_before", "expires", "consent", "fields"))
    contact = batch(campaign="w", contacts=[GOOD | empty]).accepted[0].contact
    assert (contact.name, contact.priority, contact.fields) == ("", 0, {})


@pytest.mark.parametrize(
    ("wrong", "reason", "says"),
    [
        ({"id": 1.5}, RejectReason.WRONG_TYPE, "Expected `int | str | null`, got `float` - at `$.id`"),
        ({"id": True}, RejectReason.WRONG_TYPE, "`$.id`"),
        ({"id": ""}, RejectReason.MISSING_ID, "id is missing"),
        ({"id": None}, RejectReason.MISSING_ID, "id is missing"),
        ({"id": "a\nb"}, RejectReason.INVALID_ID, "control character"),
        ({"phones": []}, RejectReason.MISSING_PHONE, "no telephone number"),
        ({"phones": "600111222"}, RejectReason.WRONG_TYPE, "phones"),
        ({"phones": [600111222]}, RejectReason.WRONG_TYPE, "phones"),
        ({"phones": ["nobody"]}, RejectReason.PHONE_NOT_A_NUMBER, "phone 1"),
        ({"phones": ["100111222"]}, RejectReason.PHONE_NOT_VALID, "cannot exist"),
        ({"phones": ["803123456"]}, RejectReason.PHONE_PREMIUM, "premium"),
        ({"phones": ["902123456"]}, RejectReason.PHONE_SHARED_COST, "shared-cost"),
        ({"phones": ["+34 902 123 456"]}, RejectReason.PHONE_SHARED_COST, "shared-cost"),
        ({"phones": ["199123456"]}, RejectReason.PHONE_NOT_VALID, "gives out no such numbers"),
        ({"phones": ["60012345"]}, RejectReason.PHONE_NOT_VALID, "number of digits is wrong"),
        ({"phones": ["600111222"] * 11}, RejectReason.TOO_LARGE, "at most 10"),
        ({"priority": 1001}, RejectReason.INVALID_PRIORITY, "1000"),
        ({"priority": 1.5}, RejectReason.WRONG_TYPE, "priority"),
        ({"priority": True}, RejectReason.WRONG_TYPE, "priority"),
        ({"priority": 10**30}, RejectReason.INVALID_PRIORITY, "priority"),
        ({"timezone": "Mars/Olympus"}, RejectReason.INVALID_TIMEZONE, "Europe/Madrid"),
        ({"not_before": "2026-03-01T16:00"}, RejectReason.INVALID_TIME, "with its zone"),
        ({"expires": 1772377200}, RejectReason.WRONG_TYPE, "expires"),
        ({"fields": []}, RejectReason.WRONG_TYPE, "fields"),
        ({"fields": {"x": "y" * 9_000}}, RejectReason.TOO_LARGE, "bytes"),
        ({"fields": {"x": [[[[[[[[1]]]]]]]]}}, RejectReason.TOO_LARGE, "deep"),
        ({"fields": {"x": 2**60}}, RejectReason.TOO_LARGE, "exactly"),
        ({"name": "n" * 300}, RejectReason.TOO_LARGE, "name"),
    ],
)
def test_one_wrong_contact_does_not_spoil_the_others(wrong: dict[str, Any], reason: RejectReason, says: str) -> None:
    read = batch(campaign="winter", contacts=[GOOD, GOOD | {"id": "bad"} | wrong, GOOD | {"id": "last"}])
    assert [(item.index, item.contact.id) for item in read.accepted] == [(0, "crm-17"), (2, "last")]
    (bad,) = read.rejected
    assert (bad.index, bad.reason) == (1, reason)
    assert says in bad.problem
    assert bad.id == (None if "id" in wrong else "bad")


@pytest.mark.parametrize("item", ["null", "17", '"x"', "[]", "[[]]"])
def test_something_else_than_a_contact_is_a_rejected_one(item: str) -> None:
    read = read_contacts(f'{{"campaign": "w", "contacts": [{item}]}}'.encode(), PHONES)
    assert isinstance(read, ContactBatch)
    assert read.rejected[0].reason is RejectReason.WRONG_TYPE


def test_numbers_that_were_left_out_are_told_with_the_contact() -> None:
    item = batch(campaign="w", contacts=[GOOD | {"phones": ["x", "600111222", "803123456"]}]).accepted[0]
    assert item.contact.phones == ("+34600111222",)
    assert [refusal.reason for refusal in item.refused] == [
        RejectReason.PHONE_NOT_A_NUMBER,
        RejectReason.PHONE_PREMIUM,
    ]


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"", RejectReason.NOT_JSON, "not JSON"),
        (b"id=17", RejectReason.NOT_JSON, "not JSON"),
        (b'{"campaign": "winter"', RejectReason.NOT_JSON, "not JSON"),
        (b'{"campaign": "winter", "contacts": [{"id": "1", "phones": ["600111222"]},]}', RejectReason.NOT_JSON, "JSON"),
        (b"\xff\xfe{}", RejectReason.NOT_JSON, "JSON"),
        (b'{"campaign": "w\xf1", "contacts": []}', RejectReason.NOT_JSON, "UTF-8"),
        (b"[" * 200_000, RejectReason.WRONG_TYPE, "object"),
        (b'{"x": ' + b"[" * 200_000, RejectReason.NOT_JSON, ""),
        (b'{"campaign": "w", "contacts": [' + b"[" * 200_000, RejectReason.NOT_JSON, ""),
        (b"[]", RejectReason.WRONG_TYPE, "Expected `object`"),
        (b"null", RejectReason.WRONG_TYPE, "Expected `object`"),
        (b'{"contacts": []}', RejectReason.WRONG_TYPE, "campaign"),
        (b'{"campaign": "winter"}', RejectReason.WRONG_TYPE, "contacts"),
        (b'{"campaign": "winter", "contacts": {}}', RejectReason.WRONG_TYPE, "array"),
        (b'{"campaign": "winter", "contacts": []}', RejectReason.WRONG_VALUE, "empty"),
        (b'{"campaign": "win ter", "contacts": [{}]}', RejectReason.WRONG_VALUE, "letters"),
        (b'{"campaign": "../x", "contacts": [{}]}', RejectReason.WRONG_VALUE, "letters"),
        (b'{"campaign": 17, "contacts": [{}]}', RejectReason.WRONG_TYPE, "campaign"),
        (
            json.dumps({"campaign": "w", "contacts": [GOOD] * (MAX_CONTACTS + 1)}).encode(),
            RejectReason.TOO_LARGE,
            "at most 1000",
        ),
        (b" " * (MAX_MESSAGE_BYTES + 1), RejectReason.TOO_LARGE, "bytes"),
    ],
)
def test_a_message_of_which_nothing_can_be_used(data: bytes, reason: RejectReason, says: str) -> None:
    rejected = rejection(data)
    assert rejected.reason is reason
    assert says in rejected.problem


def test_a_rejection_names_what_it_answers() -> None:
    rejected = rejection(b'{"id": "m-1", "campaign": "winter", "contacts": 17}')
    assert (rejected.ref, rejected.campaign) == ("m-1", "winter")


def test_callbacks() -> None:
    message = {
        "id": "m",
        "campaign": "winter",
        "contact": "crm-17",
        "phone": "+34600111222",
        "at": "2026-03-01T16:00:00+01:00",
        "agent": "agent01",
    }
    callback = read_callback(json.dumps(message).encode(), PHONES)
    assert isinstance(callback, Callback)
    assert (callback.contact, callback.at, callback.agent) == ("crm-17", 1772377200.0, "agent01")
    for wrong in ({"at": "2026-03-01T16:00:00"}, {"at": "tomorrow at four"}, {"agent": "a b"}, {"phone": "803123456"}):
        assert isinstance(read_callback(json.dumps(message | wrong).encode(), PHONES), Rejected), wrong
    assert isinstance(read_callback(b'{"id": "m"}', PHONES), Rejected)


@pytest.mark.parametrize(
    ("amount", "kept"), [("129.90", "129.90"), (129, "129"), (129.5, "129.5"), ("-3", "-3"), (None, None)]
)
def test_dispositions_keep_the_amount_as_it_was_written(amount: object, kept: str | None) -> None:
    message = {"id": "m", "call": "c-1", "code": "SALE", "amount": amount, "notes": "two\nlines"}
    disposition = read_disposition(json.dumps(message).encode(), PHONES)
    assert isinstance(disposition, Disposition)
    assert (disposition.amount, disposition.code, disposition.notes) == (kept, "SALE", "two\nlines")


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": [1]},
        {"callback": {"at": "tomorrow"}},
        {"callback": {"at": "2026-03-01T16:00:00Z", "phone": "no"}},
        {"callback": {"at": "2026-03-01T16:00:00Z", "agent": "a b"}},
        {"code": " "},
        {"code": "x" * 65},
        {"code": "A\nB"},
        {"call": "../../x"},
        {"notes": "x" * 10_001},
        {"agent": ""},
    ],
)
def test_dispositions_that_cannot_be_used(wrong: dict[str, Any]) -> None:
    message = {"id": "m", "call": "c-1", "code": "SALE"} | wrong
    assert isinstance(read_disposition(json.dumps(message).encode(), PHONES), Rejected)
