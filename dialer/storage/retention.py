"""What tells of a person goes from attempts, recordings and evidence when the law no longer wants it kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, tuple_, update

from dialer.compliance.evidence import Evidence, EvidenceKind
from dialer.compliance.retention import Keep
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceStore
from dialer.storage.tables import attempts, calls_elsewhere, evidence, recordings

_PAGE: Final = 1_000

#: How long a call to a number of a campaign is kept; None: for good.
KeepOf = Callable[[str, str | None], Keep | None]


@dataclass(frozen=True, slots=True)
class Expired:
    """What went: rows by table, and by the rule that no longer wants them."""

    rows: Mapping[str, int]
    rules: Mapping[str, int]


class RetentionRun:
    """One look through the record; can be broken off and repeated at any time.

    Args:
        database: the record.
        keep_of: by number and campaign.
        shortest_s: nothing younger than this is looked at.
        now: unix seconds.
    """

    def __init__(self, database: Database, keep_of: KeepOf, shortest_s: float, now: float) -> None:
        self._database = database
        self._keep_of = keep_of
        self._before = now - shortest_s
        self._now = now
        self._rows: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()

    async def apply(self) -> Expired:
        """Take out whom no rule wants kept, and put on record how many that were.

        Raises:
            StorageError: the database refused or is out of reach; what has gone is gone, repeat for the rest.
        """
        try:
            await self._attempts()
            await self._calls_elsewhere()
            await self._evidence()
        finally:
            if self._rows:
                await self._put_on_record()
        return Expired(dict(self._rows), dict(self._rules))

    def _over(self, phone: str, campaign: str | None, at: float) -> bool:
        keep = self._keep_of(phone, campaign)
        if keep is None or at + keep.seconds > self._now:
            return False
        self._rules[keep.rule] += 1
        return True

    async def _attempts(self) -> None:
        mine = attempts.c
        statement = select(mine.call, mine.phone, mine.campaign, mine.ended_at).where(mine.phone != "")
        async for page in self._pages(statement, mine.ended_at, mine.call):
            calls = [row.call for row in page if self._over(row.phone, row.campaign, row.ended_at)]
            if calls:
                async with self._database.write() as connection:
                    gone = await connection.execute(
                        update(attempts).where(mine.call.in_(calls)).values(phone="", contact="")
                    )
                    spoken = await connection.execute(
                        update(recordings)
                        .where(recordings.c.call.in_(calls), recordings.c.contact != "")
                        .values(contact="", retain_until=self._now)
                    )
                self._rows["attempts"] += gone.rowcount
                self._rows["recordings"] += spoken.rowcount

    async def _calls_elsewhere(self) -> None:
        mine = calls_elsewhere.c
        statement = select(mine.id, mine.phone, mine.campaign, mine.ended_at)
        async for page in self._pages(statement, mine.ended_at, mine.id):
            ids = [row.id for row in page if self._over(row.phone, row.campaign, row.ended_at)]
            if ids:
                async with self._database.write() as connection:
                    gone = await connection.execute(calls_elsewhere.delete().where(mine.id.in_(ids)))
                self._rows["calls_elsewhere"] += gone.rowcount

    async def _evidence(self) -> None:
        mine = evidence.c
        statement = select(mine.number, mine.phone, mine.campaign, mine.at).where(mine.phone.is_not(None))
        async for page in self._pages(statement, mine.at, mine.number):
            numbers = [row.number for row in page if self._over(row.phone, row.campaign, row.at)]
            if numbers:
                self._rows["evidence"] += await EvidenceStore(self._database).expire(numbers)

    async def _pages(self, statement: Any, at: Any, key: Any) -> Any:
        """Rows that are old enough to be looked at, by moment and key."""
        ordered = statement.where(at <= self._before).order_by(at, key).limit(_PAGE)
        after: tuple[Any, Any] | None = None
        while True:
            query = ordered if after is None else ordered.where(tuple_(at, key) > after)
            async with self._database.read() as connection:
                page: Sequence[Any] = (await connection.execute(query)).all()
            if page:
                yield page
            if len(page) < _PAGE:
                return
            # The moment stands last in each of the statements, the key first.
            after = (page[-1][-1], page[-1][0])

    async def _put_on_record(self) -> None:
        rows = {name: count for name, count in sorted(self._rows.items()) if count}
        facts = {"rows": rows, "rules": dict(sorted(self._rules.items())), "who": "retention"}
        note = Evidence(
            kind=EvidenceKind.ERASURE, reference=f"retention@{self._now!r}", at=self._now, facts=facts, personal={}
        )
        await EvidenceStore(self._database).append([note])
