"""The evidence: a record for each attempt and each refusal, chained by hashes so that none can be changed or left out.

A record has two parts. Its `facts` (verdict, rule versions, moments, outcome) are kept as long as the law wants; its
`personal` part (number, contact) can be erased. The chain covers the facts and a salted digest of the personal part, so
it can still be verified when somebody has been erased, and the digest alone tells nothing of them: the salt goes with
the part it belongs to.

    hash(n) = SHA-256(form, n, kind, reference, moment, facts, digest of the personal part, hash(n - 1))

A chain shows any change to what it holds, and any gap. That its end was cut off it cannot show: whoever must be sure
keeps its head (`Head`), somewhere else, from time to time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from dialer.core.saying import NOTHING, Saying, say

_FORM: Final = "cadencia-evidence-1"
SALT_BYTES: Final = 16
_encoder: Final = msgspec.json.Encoder(order="deterministic")


class EvidenceKind(StrEnum):
    """What a record is about."""

    ATTEMPT = "attempt"
    #: A call that was not made.
    REFUSAL = "refusal"
    #: A rule that a named person set aside.
    OVERRIDE = "override"
    #: Personal parts that were erased.
    ERASURE = "erasure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends: the number of its last record (0: none) and its hash, in hexadecimal digits."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


#: Before the first record.
GENESIS: Final = Head(number=0, hash=hashlib.sha256(_FORM.encode()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something to be put on record; values are what JSON has."""

    kind: EvidenceKind
    #: With the kind, its identity: the call of an attempt, for instance.
    reference: str
    #: Unix seconds.
    at: float
    facts: Mapping[str, object]
    personal: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One record in its chain. `facts` and `personal` are JSON; digests are hexadecimal digits."""

    number: int
    kind: str
    reference: str
    at: float
    facts: str
    #: None with `salt`: erased.
    personal: str | None
    salt: str | None
    personal_digest: str
    hash: str

    @property
    def head(self) -> Head:
        """The chain's end, while this is its last record."""
        return Head(number=self.number, hash=self.hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying a chain came to."""

    #: Records that are as they were written, one after another from the first.
    intact: int
    #: Of these, how many have had their personal part erased.
    erased: int
    #: Where the intact part ends.
    head: Head
    #: What is wrong with the record after that; nothing: all is well.
    broken: Saying = NOTHING

    @property
    def problem(self) -> str:
        """The same in English."""
        return self.broken.says


def seal(head: Head, evidence: Evidence, salt: bytes) -> Link:
    """The next record of the chain that ends at `head`.

    Args:
        head: end of the chain.
        evidence: what to put on record.
        salt: `SALT_BYTES` random bytes, of this record alone.

    Raises:
        ValueError: the salt is of another length.
        TypeError: a value is nothing that JSON has.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    facts = _encoder.encode(evidence.facts).decode()
    personal = _encoder.encode(evidence.personal).decode()
    digest = _digest_of(personal, salt.hex())
    number = head.number + 1
    return Link(
        number=number,
        kind=evidence.kind.value,
        reference=evidence.reference,
        at=evidence.at,
        facts=facts,
        personal=personal,
        salt=salt.hex(),
        personal_digest=digest,
        hash=_hash_of(number, evidence.kind.value, evidence.reference, evidence.at, facts, digest, head.hash),
    )


def verify(links: Iterable[Link], start: Head = GENESIS) -> Verification:
    """Go through a chain from the record after `start`, up to its end or to the first record that is not as it was.

    Args:
        links: in the order of their numbers.
        start: where to begin; a head that was verified earlier, or the beginning.
    """
    head, intact, erased = start, 0, 0
    for link in links:
        broken = _broken(link, head)
        if broken:
            return Verification(intact=intact, erased=erased, head=head, broken=broken)
        head = link.head
        intact += 1
        erased += link.personal is None
    return Verification(intact=intact, erased=erased, head=head)


def suppression_key(phone: str, key: bytes) -> str:
    """What is kept of an erased number, to tell that it was this one: its HMAC-SHA-256, in hexadecimal digits.

    There are few enough phone numbers to try them all, so a plain hash would hide nothing: the key must be secret.
    """
    return hmac.new(key, phone.encode(), hashlib.sha256).hexdigest()


def _broken(link: Link, head: Head) -> Saying:
    number = link.number
    if number != head.number + 1:
        if number <= head.number:
            says = f"record {number} comes again after record {head.number}"
            return say(says, code="evidence_again", number=number, after=head.number)
        first, last = head.number + 1, number - 1
        return say(f"records {first} to {last} are missing", code="evidence_missing", first=first, last=last)
    if (link.personal is None) != (link.salt is None):
        says = f"record {number}: half of its personal part is missing"
        return say(says, code="evidence_half", number=number)
    kept = link.personal is not None and link.salt is not None
    if kept and _digest_of(link.personal or "", link.salt or "") != link.personal_digest:
        return say(f"record {number}: its personal part was changed", code="evidence_person_changed", number=number)
    if _hash_of(number, link.kind, link.reference, link.at, link.facts, link.personal_digest, head.hash) == link.hash:
        return NOTHING
    return say(f"record {number}: it, or the one before it, was changed", code="evidence_changed", number=number)


def _digest_of(personal: str, salt: str) -> str:
    return hashlib.sha256(salt.encode() + b":" + personal.encode()).hexdigest()


def _hash_of(number: int, kind: str, reference: str, at: float, facts: str, digest: str, previous: str) -> str:
    # JSON says where each part ends: no part can run over into the next.
    return hashlib.sha256(_encoder.encode([_FORM, number, kind, reference, at, facts, digest, previous])).hexdigest()
