"""The evidence chain: what is changed, left out, repeated or exchanged is found; what is erased is not missed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.compliance.evidence import (
    GENESIS,
    SALT_BYTES,
    Evidence,
    EvidenceKind,
    Link,
    seal,
    suppression_key,
    verify,
)

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2)
RECORDS = st.builds(
    Evidence,
    kind=st.sampled_from(EvidenceKind),
    reference=TEXT,
    at=st.floats(0.0, 4e9),
    facts=st.dictionaries(TEXT, VALUES, max_size=3),
    personal=st.dictionaries(TEXT, VALUES, max_size=3),
)
CHAINS = st.lists(RECORDS, min_size=1, max_size=5)


def chain_of(records: list[Evidence]) -> list[Link]:
    links, head = [], GENESIS
    for number, record in enumerate(records):
        links.append(seal(head, record, number.to_bytes(SALT_BYTES)))
        head = links[-1].head
    return links


@given(CHAINS)
def test_a_chain_as_it_was_written_is_intact(records: list[Evidence]) -> None:
    links = chain_of(records)
    found = verify(links)
    assert (found.intact, found.erased, found.head, found.problem) == (len(links), 0, links[-1].head, "")


@given(CHAINS, st.data())
def test_one_can_go_on_from_a_head_that_was_kept(records: list[Evidence], data: st.DataObject) -> None:
    links = chain_of(records)
    at = data.draw(st.integers(1, len(links)))
    assert verify(links[at:], links[at - 1].head).head == links[-1].head
    other = replace(links[at - 1], hash="0" * 64).head
    if at < len(links):
        assert f"record {at + 1}" in verify(links[at:], other).problem


@given(CHAINS, st.data())
def test_any_part_that_was_changed_is_found(records: list[Evidence], data: st.DataObject) -> None:
    links = chain_of(records)
    at = data.draw(st.integers(0, len(links) - 1))
    name = data.draw(
        st.sampled_from(["kind", "reference", "at", "facts", "personal", "salt", "personal_digest", "hash"])
    )
    old: Any = getattr(links[at], name)
    new: Any = old + 1.0 if isinstance(old, float) else ("x" + old if data.draw(st.booleans()) else old + " ")
    links[at] = replace(links[at], **{name: new})
    found = verify(links)
    assert found.problem
    assert found.intact == at


@given(CHAINS, st.data())
def test_records_left_out_repeated_or_exchanged_are_found(records: list[Evidence], data: st.DataObject) -> None:
    links = chain_of(records)
    at = data.draw(st.integers(0, len(links) - 1))
    match data.draw(st.sampled_from(["left out", "repeated", "exchanged"])):
        case "left out" if at < len(links) - 1:
            del links[at]
        case "exchanged" if at < len(links) - 1:
            links[at], links[at + 1] = links[at + 1], links[at]
        case _:
            links.insert(at, links[at])
    found = verify(links)
    assert found.problem
    assert found.intact <= at + 1


@given(CHAINS, st.data())
def test_who_was_erased_is_not_missed(records: list[Evidence], data: st.DataObject) -> None:
    links = chain_of(records)
    gone = data.draw(st.sets(st.integers(0, len(links) - 1)))
    for at in gone:
        links[at] = replace(links[at], personal=None, salt=None)
    found = verify(links)
    assert (found.intact, found.erased, found.problem) == (len(links), len(gone), "")


def test_half_an_erasure_is_found() -> None:
    links = chain_of([Evidence(kind=EvidenceKind.ATTEMPT, reference="c", at=1.0, facts={}, personal={"phone": "+34"})])
    assert "half of its personal part" in verify([replace(links[0], salt=None)]).problem
    assert "half of its personal part" in verify([replace(links[0], personal=None)]).problem


@given(RECORDS, st.binary(max_size=40).filter(lambda salt: len(salt) != SALT_BYTES))
def test_a_salt_of_another_length_is_refused(record: Evidence, salt: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        seal(GENESIS, record, salt)


def test_the_digest_of_a_person_differs_from_record_to_record() -> None:
    record = Evidence(kind=EvidenceKind.ATTEMPT, reference="c", at=1.0, facts={}, personal={"phone": "+34600111222"})
    assert seal(GENESIS, record, b"a" * 16).personal_digest != seal(GENESIS, record, b"b" * 16).personal_digest


def test_the_suppression_key_is_an_hmac() -> None:
    # RFC 4231, test case 2.
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert suppression_key("what do ya want for nothing?", b"Jefe") == wanted
