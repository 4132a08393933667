"""The look at a TURN server: what it makes of any answer, whole or broken."""

from __future__ import annotations

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.errors import RemoteProtocolError
from dialer.runtime.turn_probe import MOST_BYTES, TurnProbe, TurnVerdict, length_of

COOKIE = bytes.fromhex("2112a442")
ALLOCATE, REFRESH, SUCCESS, ERROR = 0x003, 0x004, 0x100, 0x110
USERNAME, INTEGRITY, ERROR_CODE, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x0014, 0x0015
REALM_AND_NONCE = {REALM: b"turn.example", NONCE: b"n-1"}


def probe(password: str = "sesame") -> TurnProbe:
    numbers = itertools.count(1)
    return TurnProbe("600:web-ana", password, lambda: next(numbers).to_bytes(12, "big"))


def message(kind: int, transaction: bytes, attributes: dict[int, bytes]) -> bytes:
    body = b"".join(
        number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for number, value in attributes.items()
    )
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + COOKIE + transaction + body


def answer(asked: bytes, code: int = 0, attributes: dict[int, bytes] | None = None) -> bytes:
    """What a server says to a request: yes, or a code."""
    kind = int.from_bytes(asked[:2], "big") | (ERROR if code else SUCCESS)
    error = {ERROR_CODE: bytes([0, 0, code // 100, code % 100])} if code else {}
    return message(kind, asked[8:20], {**error, **(attributes or {})})


def attributes_of(data: bytes) -> dict[int, bytes]:
    found, rest = {}, data[20:]
    while rest:
        size = int.from_bytes(rest[2:4], "big")
        found[int.from_bytes(rest[:2], "big")] = rest[4 : 4 + size]
        rest = rest[4 + size + -size % 4 :]
    return found


def test_a_name_and_password_are_proved_to_the_realm_that_the_server_names() -> None:
    looks = probe()
    first = looks.begin()
    assert USERNAME not in attributes_of(first)
    second = looks.receive(answer(first, 401, REALM_AND_NONCE))
    said = attributes_of(second)
    assert (said[USERNAME], said[REALM], said[NONCE]) == (b"600:web-ana", b"turn.example", b"n-1")
    key = hashlib.md5(b"600:web-ana:turn.example:sesame", usedforsecurity=False).digest()
    assert said[INTEGRITY] == hmac.new(key, second[:-24], hashlib.sha1).digest()
    assert looks.again() == second
    assert looks.receive(answer(second)) == b""
    assert looks.verdict is TurnVerdict.SERVES
    goodbye = looks.end()
    assert int.from_bytes(goodbye[:2], "big") == REFRESH
    assert b"sesame" not in first + second + goodbye


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ([401, 401], TurnVerdict.REFUSES_PASSWORD),
        ([401, 438, 0], TurnVerdict.SERVES),
        ([401, 438, 401], TurnVerdict.REFUSES_PASSWORD),
        # it takes all of its nonces for stale
        ([401, 438, 438], TurnVerdict.REFUSES),
        ([486], TurnVerdict.REFUSES),
        ([401, 508], TurnVerdict.REFUSES),
        ([0], TurnVerdict.SERVES),
    ],
)
def test_what_a_server_means(codes: list[int], verdict: TurnVerdict) -> None:
    looks = probe()
    asked = looks.begin()
    for code in codes:
        assert looks.verdict is None
        asked = looks.receive(answer(asked, code, REALM_AND_NONCE if code else {}))
    assert looks.verdict is verdict
    assert looks.code == (codes[-1] if verdict is not TurnVerdict.SERVES else 0)
    assert bool(looks.end()) == (verdict is TurnVerdict.SERVES)


def test_a_challenge_without_realm_is_a_refusal() -> None:
    looks = probe()
    looks.receive(answer(looks.begin(), 401, {NONCE: b"n"}))
    assert (looks.verdict, looks.code) == (TurnVerdict.REFUSES, 401)


def test_what_answers_another_question_is_passed_over() -> None:
    looks = probe()
    asked = looks.begin()
    assert looks.receive(message(ALLOCATE | SUCCESS, b"somebody els", {})) == b""
    assert looks.verdict is None
    looks.receive(answer(asked))
    assert looks.verdict is TurnVerdict.SERVES
    # said twice, as over UDP it may be
    assert looks.receive(answer(asked)) == b""


def test_an_answer_of_another_kind_is_none() -> None:
    looks = probe()
    with pytest.raises(RemoteProtocolError):
        looks.receive(message(REFRESH | SUCCESS, looks.begin()[8:20], {}))


@given(st.binary(max_size=120))
def test_whatever_comes_is_an_answer_or_an_error(data: bytes) -> None:
    looks = probe()
    looks.begin()
    try:
        looks.receive(data)
    except RemoteProtocolError:
        return
    assert looks.verdict is None


@given(st.binary(max_size=60), st.sampled_from([ALLOCATE | SUCCESS, ALLOCATE | ERROR, REFRESH | ERROR]), st.data())
def test_a_broken_body_is_an_error_or_a_verdict(body: bytes, kind: int, data: st.DataObject) -> None:
    looks = probe()
    asked = looks.begin()
    length = data.draw(st.sampled_from([len(body), len(body) + 4, 0]))
    try:
        more = looks.receive(kind.to_bytes(2, "big") + length.to_bytes(2, "big") + COOKIE + asked[8:20] + body)
    except RemoteProtocolError:
        return
    assert (looks.verdict is None) == bool(more)


@given(st.integers(0, 0xFFFF))
def test_no_header_promises_more_than_an_answer_has(length: int) -> None:
    header = (ALLOCATE | SUCCESS).to_bytes(2, "big") + length.to_bytes(2, "big") + COOKIE + bytes(12)
    if length % 4 or length > MOST_BYTES:
        with pytest.raises(RemoteProtocolError):
            length_of(header)
    else:
        assert length_of(header) == length
