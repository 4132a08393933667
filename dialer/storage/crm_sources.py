"""How far each CRM has been asked for its pending calls, and what came of each of them.

One worker at a time has a source, by a lease; what a page brought and where the listing goes on is one transaction, so
that a worker that is killed is followed by one that asks for the same page again, and nothing is skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, delete, exists, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.saying import NOTHING, Saying
from dialer.errors import StorageError
from dialer.storage.contacts import ContactState
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once, upsert
from dialer.storage.sayings import from_record, on_record
from dialer.storage.tables import contacts, crm_contacts, crm_sources

#: Below the number of parameters that one statement may have.
_AT_ONCE: Final = 500


class CallState(StrEnum):
    """What became of one pending call."""

    #: About to be taken: told before it can be dialed, so that no result of it is lost.
    NOTED = "noted"
    TAKEN = "taken"
    #: The intake refused it; the reason stands on the stream of results.
    REFUSED = "refused"
    #: Withdrawn by the CRM; a removal has been written.
    WITHDRAWN = "withdrawn"
    #: It left the CRM's list after it had been called to the end here.
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One CRM as it is on record."""

    name: str
    round: int = 0
    #: JSON of the listing under way; empty: none is.
    place: str = ""
    cursor: str = ""
    started_at: float | None = None
    completed_at: float | None = None
    next_at: float = 0.0
    failures: int = 0
    last_error: Saying = NOTHING
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """A pending call as it is on record."""

    contact: str
    version: str | None
    digest: str
    #: The latest listing that had it.
    round: int
    #: Complete listings since that had it not.
    missing: int
    state: CallState


class LeaseLost(StorageError):
    """Another worker has this source now: stop, and write nothing."""


class CrmSources:
    """All sources of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self, name: str, owner: str, now: float, lease_s: float) -> Source | None:
        """Take a source for `lease_s`, or keep it; None while somebody else has it."""
        fresh = {
            "name": name,
            "round": 0,
            "place": "",
            "cursor": "",
            "next_at": 0.0,
            "failures": 0,
            "last_error": "",
            "lease_owner": "",
            "lease_until": 0.0,
            "counts": {},
            "updated_at": now,
        }
        column = crm_sources.c
        free = or_(column.lease_until <= now, column.lease_owner == owner)
        take = update(crm_sources).where(column.name == name, free).values(lease_owner=owner, lease_until=now + lease_s)
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, crm_sources), [fresh])
            if (await connection.execute(take)).rowcount != 1:
                return None
            row = (await connection.execute(select(crm_sources).where(column.name == name))).one()
        return _source(row)

    async def release(self, name: str, owner: str) -> None:
        """Let others have it."""
        column = crm_sources.c
        statement = update(crm_sources).where(column.name == name, column.lease_owner == owner)
        async with self._database.write() as connection:
            await connection.execute(statement.values(lease_owner="", lease_until=0.0))

    async def all(self) -> list[Source]:
        """Every source that was ever asked, by name."""
        async with self._database.read() as connection:
            return [_source(row) for row in await connection.execute(select(crm_sources).order_by(crm_sources.c.name))]

    async def begin(self, name: str, owner: str, place: str, now: float) -> int:
        """A new listing; its number.

        Raises:
            LeaseLost: another worker has the source.
        """
        async with self._database.write() as connection:
            await self._change(
                connection, name, owner, round=crm_sources.c.round + 1, place=place, started_at=now, updated_at=now
            )
            statement = select(crm_sources.c.round).where(crm_sources.c.name == name)
            return int((await connection.execute(statement)).scalar_one())

    async def known(self, name: str, ids: Iterable[str]) -> dict[str, KnownCall]:
        """Those of these contacts that came from this source, by id."""
        wanted = sorted(set(ids))
        found: dict[str, KnownCall] = {}
        async with self._database.read() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                some = crm_contacts.c.contact.in_(wanted[start : start + _AT_ONCE])
                rows = await connection.execute(select(crm_contacts).where(crm_contacts.c.source == name, some))
                found.update((row.contact, _known(row)) for row in rows)
        return found

    async def note(self, name: str, ids: Sequence[str], now: float) -> None:
        """Put contacts on record that are about to be taken; those that are known stay as they are."""
        rows = [
            {
                "source": name,
                "contact": contact,
                "digest": "",
                "round": 0,
                "missing": 0,
                "state": CallState.NOTED.value,
                "updated_at": now,
            }
            for contact in sorted(set(ids))
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(insert_once(self._database.dialect, crm_contacts), rows)

    async def page_done(
        self, name: str, owner: str, calls: Sequence[KnownCall], *, place: str, counts: Mapping[str, int], now: float
    ) -> None:
        """What a page brought, and where the listing goes on: both or none.

        Raises:
            LeaseLost: another worker has the source.
        """
        async with self._database.write() as connection:
            await self._save(connection, name, calls, now)
            await self._change(
                connection, name, owner, place=place, failures=0, **_error(NOTHING), updated_at=now, counts=counts
            )

    async def round_done(
        self,
        name: str,
        owner: str,
        calls: Sequence[KnownCall],
        *,
        round: int,
        whole: bool,
        cursor: str,
        next_at: float,
        counts: Mapping[str, int],
        now: float,
    ) -> None:
        """What the last page of a listing brought; `whole`: what the listing did not have is missing.

        Raises:
            LeaseLost: another worker has the source.
        """
        column = crm_contacts.c
        there = column.state.in_([CallState.NOTED.value, CallState.TAKEN.value, CallState.REFUSED.value])
        missing = update(crm_contacts).where(column.source == name, column.round < round, there)
        async with self._database.write() as connection:
            await self._save(connection, name, calls, now)
            if whole:
                await connection.execute(missing.values(missing=column.missing + 1, updated_at=now))
            await self._change(
                connection,
                name,
                owner,
                place="",
                cursor=cursor,
                completed_at=now,
                next_at=next_at,
                failures=0,
                **_error(NOTHING),
                updated_at=now,
                counts=counts,
            )

    async def failed(
        self, name: str, owner: str, error: Saying, *, next_at: float, now: float, restart: bool, forget_cursor: bool
    ) -> None:
        """It could not be asked, or answered what it should not; `restart`: the next listing begins at its start.

        Raises:
            LeaseLost: another worker has the source.
        """
        changes: dict[str, Any] = {"place": ""} if restart else {}
        changes |= {"cursor": ""} if forget_cursor else {}
        async with self._database.write() as connection:
            await self._change(
                connection,
                name,
                owner,
                failures=crm_sources.c.failures + 1,
                **_error(error),
                next_at=next_at,
                updated_at=now,
                **changes,
            )

    async def counted(self, name: str, owner: str, counts: Mapping[str, int], now: float) -> None:
        """Note counts alone.

        Raises:
            LeaseLost: another worker has the source.
        """
        async with self._database.write() as connection:
            await self._change(connection, name, owner, counts=counts, updated_at=now)

    async def missing(self, name: str, campaign: str, at_least: int) -> list[tuple[str, bool]]:
        """Contacts that so many complete listings in a row had not, and whether each is still to be called here."""
        column = crm_contacts.c
        states = [CallState.NOTED.value, CallState.TAKEN.value, CallState.REFUSED.value]
        both = crm_contacts.outerjoin(contacts, and_(contacts.c.campaign == campaign, contacts.c.id == column.contact))
        statement = (
            select(column.contact, contacts.c.state)
            .select_from(both)
            .where(column.source == name, column.missing >= at_least, column.state.in_(states))
            .order_by(column.contact)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [(row.contact, row.state == ContactState.WAITING.value) for row in rows]

    async def still_waiting(self, campaign: str, ids: Sequence[str]) -> set[str]:
        """Those of these contacts that are to be called, now or later."""
        column = contacts.c
        some = and_(column.campaign == campaign, column.id.in_(ids), column.state == ContactState.WAITING.value)
        async with self._database.read() as connection:
            return set((await connection.execute(select(column.id).where(some))).scalars())

    async def taken(self, name: str) -> int:
        """How many of its contacts are in the dialer's hands."""
        column = crm_contacts.c
        statement = (
            select(func.count())
            .select_from(crm_contacts)
            .where(column.source == name, column.state.in_([CallState.NOTED.value, CallState.TAKEN.value]))
        )
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def move(self, name: str, ids: Sequence[str], state: CallState, now: float) -> None:
        """Note what became of contacts."""
        column = crm_contacts.c
        async with self._database.write() as connection:
            for start in range(0, len(ids), _AT_ONCE):
                some = column.contact.in_(ids[start : start + _AT_ONCE])
                statement = update(crm_contacts).where(column.source == name, some)
                await connection.execute(statement.values(state=state.value, updated_at=now))

    async def forget(self, name: str, campaign: str, before: float) -> int:
        """Forget calls of which nothing was heard since `before` and that are not to be made here; how many.

        One that comes again is taken for a new one; whether it is called, the gate and the record of contacts know.
        """
        column = crm_contacts.c
        waits = exists().where(
            contacts.c.campaign == campaign,
            contacts.c.id == column.contact,
            contacts.c.state == ContactState.WAITING.value,
        )
        old = delete(crm_contacts).where(column.source == name, column.updated_at < before, not_(waits))
        async with self._database.write() as connection:
            return (await connection.execute(old)).rowcount

    async def version(self, name: str, contact: str, version: str | None, now: float) -> None:
        """Note the version of a record, as an answer gave it; None: it is not known any more."""
        column = crm_contacts.c
        statement = update(crm_contacts).where(and_(column.source == name, column.contact == contact))
        async with self._database.write() as connection:
            await connection.execute(statement.values(version=version, updated_at=now))

    async def _save(self, connection: AsyncConnection, name: str, calls: Sequence[KnownCall], now: float) -> None:
        rows = [
            {
                "source": name,
                "contact": call.contact,
                "version": call.version,
                "digest": call.digest,
                "round": call.round,
                "missing": call.missing,
                "state": call.state.value,
                "updated_at": now,
            }
            for call in sorted({call.contact: call for call in calls}.values(), key=lambda call: call.contact)
        ]
        if rows:
            await connection.execute(upsert(self._database.dialect, crm_contacts), rows)

    async def _change(self, connection: AsyncConnection, name: str, owner: str, **values: Any) -> None:
        """Change a source, whose counts are added to those that it has."""
        column = crm_sources.c
        if "counts" in values:
            held = (await connection.execute(select(column.counts).where(column.name == name))).scalar_one_or_none()
            values["counts"] = dict(Counter(held or {}) + Counter(values["counts"]))
        statement = update(crm_sources).where(column.name == name, column.lease_owner == owner).values(**values)
        if (await connection.execute(statement)).rowcount != 1:
            raise LeaseLost(f"another worker has the CRM {name!r} now")


def _error(error: Saying) -> dict[str, str]:
    says, told = on_record(error)
    return {"last_error": says, "error_told": told}


def _source(row: Row[Any]) -> Source:
    return Source(
        name=row.name,
        round=row.round,
        place=row.place,
        cursor=row.cursor,
        started_at=row.started_at,
        completed_at=row.completed_at,
        next_at=row.next_at,
        failures=row.failures,
        last_error=from_record(row.last_error, row.error_told),
        counts=dict(row.counts),
    )


def _known(row: Row[Any]) -> KnownCall:
    return KnownCall(
        contact=row.contact,
        version=row.version,
        digest=row.digest,
        round=row.round,
        missing=row.missing,
        state=CallState(row.state),
    )
