"""What nodes tell each other: only who has the key is believed, each ticket once, and for one request alone."""

from __future__ import annotations

import base64
import hashlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialer.runtime.node_seals import GOOD_FOR_S, Seal, Ticket, Tickets

KEY, OTHER = bytes(32), bytes([1] * 32)
NOW = 1_800_000_000.0
TEXTS = st.text(max_size=40)


def ticket(**changed: object) -> Ticket:
    made = Ticket(
        node="n2",
        boot="b1",
        method="POST",
        target="/api/v1/agents/ann/pause?x=1",
        body=hashlib.sha256(b"{}").hexdigest(),
        address="10.0.0.7",
        at=NOW,
        nonce="n",
    )
    return msgspec.structs.replace(made, **changed)


def take(tickets: Tickets, text: str, **changed: object) -> str | None:
    asked: dict[str, object] = {
        "node": "n2",
        "boot": "b1",
        "method": "POST",
        "target": "/api/v1/agents/ann/pause?x=1",
        "body": b"{}",
        "now": NOW,
    }
    return tickets.take(text, **(asked | changed))  # type: ignore[arg-type]  # each test says what it changes


@given(
    content=st.binary(max_size=200),
    purpose=TEXTS,
    other=TEXTS,
    place=st.integers(min_value=0),
    flip=st.integers(1, 255),
)
def test_a_seal_opens_for_its_key_and_purpose_alone(
    content: bytes, purpose: str, other: str, place: int, flip: int
) -> None:
    sealed = Seal(KEY, purpose).close(content)
    assert Seal(KEY, purpose).open(sealed) == content
    assert Seal(OTHER, purpose).open(sealed) is None
    if other != purpose:
        assert Seal(KEY, other).open(sealed) is None
    touched = bytearray(sealed)
    touched[place % len(sealed)] ^= flip
    assert Seal(KEY, purpose).open(bytes(touched)) is None


@given(
    text=st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda b: base64.urlsafe_b64encode(b).decode()))
)
def test_whatever_is_no_ticket_is_refused_and_nothing_else_happens(text: str) -> None:
    assert take(Tickets(KEY), text) is None


@given(
    content=st.one_of(st.binary(max_size=100), st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode))
)
def test_what_a_node_of_another_version_seals_is_no_ticket(content: bytes) -> None:
    sealed = base64.urlsafe_b64encode(Seal(KEY, "cadencia-forwarded").close(content)).decode()
    assert take(Tickets(KEY), sealed) is None


def test_a_ticket_is_taken_once() -> None:
    tickets = Tickets(KEY)
    text = tickets.write(ticket())
    assert take(tickets, text) == "10.0.0.7"
    assert take(tickets, text) is None
    assert take(Tickets(OTHER), text) is None
    assert take(tickets, tickets.write(ticket(nonce="another"))) == "10.0.0.7"


@given(
    changed=st.sampled_from(
        [
            {"node": "n1"},
            {"boot": "b2"},
            {"method": "GET"},
            {"target": "/api/v1/agents/bob/pause?x=1"},
            {"target": "/api/v1/agents/ann/pause"},
            {"body": b""},
        ]
    )
)
def test_it_is_good_for_nothing_else(changed: dict[str, object]) -> None:
    tickets = Tickets(KEY)
    text = tickets.write(ticket())
    assert take(tickets, text, **changed) is None
    assert take(tickets, text) == "10.0.0.7", "what was refused has not used it up"


@given(ahead_s=st.floats(-3_600.0, 3_600.0))
def test_it_is_good_for_some_seconds_by_the_shared_clock(ahead_s: float) -> None:
    taken = take(Tickets(KEY), Tickets(KEY).write(ticket(at=NOW + ahead_s)))
    assert (taken is not None) == (abs(NOW + ahead_s - NOW) <= GOOD_FOR_S)


@given(later=st.lists(st.floats(0.0, 2 * GOOD_FOR_S), max_size=30))
def test_no_ticket_is_taken_twice_however_many_come_between(later: list[float]) -> None:
    tickets = Tickets(KEY)
    text = tickets.write(ticket())
    assert take(tickets, text) is not None
    for number, after_s in enumerate(sorted(later)):
        now = NOW + after_s
        take(tickets, tickets.write(ticket(at=now, nonce=f"k{number}")), now=now)
        assert take(tickets, text, now=now) is None
