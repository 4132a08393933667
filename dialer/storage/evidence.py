"""The evidence chain in SQL: appended to, read, verified; never changed, but for personal parts that are erased.

One chain a database. Whoever appends holds the row of its head until the end of the transaction, so numbers have no
gaps and every record names the one before it, however many nodes write.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, and_, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.compliance.evidence import (
    GENESIS,
    SALT_BYTES,
    Evidence,
    EvidenceKind,
    Head,
    Link,
    Verification,
    seal,
    verify,
)
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.core.saying import say
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import evidence, evidence_head

_ONLY: Final = 1
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFilter:
    """Which records; None: whatever. Moments in unix seconds, `until` not included."""

    phone: Phone | None = None
    campaign: CampaignId | None = None
    contact: ContactId | None = None
    kind: EvidenceKind | None = None
    since: float | None = None
    until: float | None = None


class EvidenceStore:
    """The chain of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, batch: Sequence[Evidence]) -> None:
        """Put records at the end of the chain; what is on record already, by kind and reference, is left alone.

        Raises:
            StorageError: the database refused or is out of reach; nothing was written.
        """
        if not batch:
            return
        async with self._database.write() as connection:
            await append(connection, self._database, batch)

    async def head(self) -> Head:
        """Where the chain ends."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(evidence_head))).one_or_none()
        return GENESIS if row is None else Head(number=row.number, hash=row.hash)

    async def has(self, head: Head) -> bool:
        """Whether the chain went through this head."""
        if head == GENESIS:
            return True
        statement = select(evidence.c.hash).where(evidence.c.number == head.number)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).scalar_one_or_none() == head.hash

    async def verify(self, start: Head = GENESIS) -> Verification:
        """Verify the chain from the record after `start` to its end, which must be where the head is."""
        wanted = await self.head()
        result = Verification(intact=0, erased=0, head=start)
        while result.head.number < wanted.number:
            links = await self._links(evidence.c.number > result.head.number, evidence.c.number <= wanted.number)
            if not links:
                break
            step = verify(links, result.head)
            result = Verification(
                intact=result.intact + step.intact,
                erased=result.erased + step.erased,
                head=step.head,
                broken=step.broken,
            )
            if result.broken:
                return result
        if result.head != wanted:
            end, number = result.head.number, wanted.number
            if end == number:
                says = f"record {number} is not the one that the chain ended with"
                broken = say(says, code="evidence_other_end", number=number)
            else:
                says = f"the chain ends after record {end}, and should end with record {number}"
                broken = say(says, code="evidence_cut", end=end, number=number)
            return Verification(intact=result.intact, erased=result.erased, head=result.head, broken=broken)
        return result

    async def find(self, wanted: EvidenceFilter) -> AsyncIterator[Link]:
        """Records in the order of the chain."""
        column = evidence.c
        conditions = [
            here == value
            for here, value in (
                (column.phone, wanted.phone),
                (column.campaign, wanted.campaign),
                (column.contact, wanted.contact),
                (column.kind, None if wanted.kind is None else wanted.kind.value),
            )
            if value is not None
        ]
        if wanted.since is not None:
            conditions.append(column.at >= wanted.since)
        if wanted.until is not None:
            conditions.append(column.at < wanted.until)
        after = 0
        while links := await self._links(column.number > after, *conditions):
            for link in links:
                yield link
            after = links[-1].number

    async def erase_person(
        self,
        phones: Sequence[Phone],
        contacts: Sequence[tuple[str, str]],
        *,
        at: float,
        who: str,
        suppressions: Sequence[str],
        rows: Mapping[str, int],
    ) -> dict[str, int]:
        """Erase the personal part of every record of a person, and put on record that it was done.

        Args:
            phones: theirs.
            contacts: theirs, by campaign and id.
            at: unix seconds.
            who: by whose order.
            suppressions: what is kept of the numbers (`dialer.compliance.evidence.suppression_key`).
            rows: what was erased from other tables.

        Returns:
            How many records had one (`evidence`); where nothing was left to erase anywhere, nothing is put on record.
        """
        mine = evidence.c
        theirs = [mine.phone.in_(phones)]
        if contacts:
            theirs.append(tuple_(mine.campaign, mine.contact).in_(contacts))
        async with self._database.write() as connection:
            head = await _locked_head(connection, self._database)
            erased = await connection.execute(
                update(evidence).where(or_(*theirs)).values(personal=None, salt=None, phone=None, contact=None)
            )
            if not erased.rowcount and not rows:
                return {}
            facts = {"records": erased.rowcount, "who": who, "suppressions": list(suppressions), "rows": dict(rows)}
            note = Evidence(
                kind=EvidenceKind.ERASURE, reference=f"{suppressions[0]}@{at!r}", at=at, facts=facts, personal={}
            )
            await _append(connection, head, [note])
        return {"evidence": erased.rowcount} if erased.rowcount else {}

    async def expire(self, numbers: Sequence[int]) -> int:
        """Erase the personal part of records by their place in the chain; how many still had one.

        Raises:
            StorageError: the database refused or is out of reach; none was erased.
        """
        mine = evidence.c
        gone = {"personal": None, "salt": None, "phone": None, "contact": None}
        async with self._database.write() as connection:
            statement = update(evidence).where(mine.number.in_(numbers), mine.personal.is_not(None)).values(**gone)
            return int((await connection.execute(statement)).rowcount)

    async def _links(self, *conditions: Any) -> list[Link]:
        statement = select(evidence).where(and_(*conditions)).order_by(evidence.c.number).limit(_PAGE)
        async with self._database.read() as connection:
            return [_link(row) for row in (await connection.execute(statement)).all()]


async def append(connection: AsyncConnection, database: Database, batch: Sequence[Evidence]) -> None:
    """As `EvidenceStore.append`, within a transaction of which this must be the last step that waits for a lock."""
    head = await _locked_head(connection, database)
    wanted = {(item.kind.value, item.reference): item for item in batch}
    known = select(evidence.c.kind, evidence.c.reference).where(
        evidence.c.reference.in_({reference for _, reference in wanted})
    )
    for row in await connection.execute(known):
        wanted.pop((row.kind, row.reference), None)
    await _append(connection, head, list(wanted.values()))


async def _locked_head(connection: AsyncConnection, database: Database) -> Head:
    found = (await connection.execute(select(evidence_head).with_for_update())).one_or_none()
    if found is None:
        first = {"id": _ONLY, "number": GENESIS.number, "hash": GENESIS.hash}
        await connection.execute(insert_once(database.dialect, evidence_head), [first])
        found = (await connection.execute(select(evidence_head).with_for_update())).one()
    return Head(number=found.number, hash=found.hash)


async def _append(connection: AsyncConnection, head: Head, batch: Sequence[Evidence]) -> None:
    if not batch:
        return
    rows = []
    for item in batch:
        link = seal(head, item, secrets.token_bytes(SALT_BYTES))
        rows.append(
            {
                "number": link.number,
                "kind": link.kind,
                "reference": link.reference,
                "at": link.at,
                "campaign": _text(item.facts.get("campaign")),
                "contact": _text(item.personal.get("contact")),
                "phone": _text(item.personal.get("phone")),
                "facts": link.facts,
                "personal": link.personal,
                "salt": link.salt,
                "personal_digest": link.personal_digest,
                "hash": link.hash,
            }
        )
        head = link.head
    await connection.execute(evidence.insert(), rows)
    await connection.execute(
        update(evidence_head).where(evidence_head.c.id == _ONLY).values(number=head.number, hash=head.hash)
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _link(row: Row[Any]) -> Link:
    return Link(
        number=row.number,
        kind=row.kind,
        reference=row.reference,
        at=row.at,
        facts=row.facts,
        personal=row.personal,
        salt=row.salt,
        personal_digest=row.personal_digest,
        hash=row.hash,
    )
