"""Do-not-call entries: numbers that nobody may dial, or one campaign, or about one account, for a time or for good."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, and_, case, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.ids import Phone
from dialer.queues.removals import forms_listed
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import upsert
from dialer.storage.tables import do_not_call
from dialer.storage.tenants import of_tenant

#: In the place of a campaign: all of them.
EVERYWHERE: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotCall:
    """One number in one scope, or all that begin alike, and whether it is on the list."""

    #: A campaign, "*", or "account:" and the name of an account.
    scope: str
    #: E.164, or the beginning of numbers and a *.
    phone: str
    at: float
    #: False: taken off the list by a later message.
    active: bool = True
    reason: str = ""
    #: Where it came from: stream, api, cli, key (of a phone), agent, or what the CRM says.
    source: str = ""
    #: By whose word: an agent, the id of an API key, a name.
    who: str = ""
    #: Unix seconds from which on it no longer holds; None: for good.
    expires_at: float | None = None
    #: Place in the stream it came by; empty: that of `at`. The later place counts, in whichever order they come.
    position: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Some entries of one scope, in short."""

    scope: str
    #: Numbers that are listed for good, joined by commas, in no order.
    numbers: str
    #: Numbers that are listed for a time, and beginnings of numbers, with their expiry.
    others: tuple[tuple[str, float | None], ...]
    count: int
    #: The last number or beginning among them.
    last: str


def position_of(entry: str) -> str:
    """The id of a stream entry (milliseconds, dash, number) in a form that sorts as text.

    Raises:
        ValueError: not such an id.
    """
    milliseconds, _, number = entry.partition("-")
    return f"{int(milliseconds):020d}-{int(number or 0):020d}"


class DoNotCallList:
    """All do-not-call entries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, batch: Sequence[DoNotCall]) -> None:
        """Add, change or take off entries; for each scope and number the one with the latest position counts."""
        if batch:
            async with self._database.write() as connection:
                await record(self._database, connection, batch)

    async def holding(self, phone: Phone, now: float) -> list[DoNotCall]:
        """The entries, of any scope, that forbid `phone` at `now`, be it by one of its beginnings."""
        column = do_not_call.c
        statement = select(do_not_call).where(
            column.phone.in_(forms_listed(phone)),
            column.active,
            or_(column.expires_at.is_(None), column.expires_at > now),
        )
        statement = statement.order_by(column.scope, column.phone)
        async with self._database.read() as connection:
            return [_entry(row) for row in (await connection.execute(statement)).all()]

    async def of(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], DoNotCall]:
        """What is on record of these scopes and numbers, be it on a list or taken off."""
        if not keys:
            return {}
        statement = select(do_not_call).where(tuple_(do_not_call.c.scope, do_not_call.c.phone).in_(list(keys)))
        async with self._database.read() as connection:
            return {(row.scope, row.phone): _entry(row) for row in (await connection.execute(statement)).all()}

    async def page(self, scope: str | None = None, *, cursor: str | None = None, limit: int = 1_000) -> Page[DoNotCall]:
        """Active entries by scope and number, expired ones included.

        Raises:
            InputError: the cursor is none of ours.
        """
        key = None if cursor is None else decode_cursor(cursor, tuple[str, str])
        items = await self.after(key, limit + 1, scope=scope)
        last = items[limit - 1] if len(items) > limit else None
        return Page(items=items[:limit], next=None if last is None else encode_cursor((last.scope, last.phone)))

    async def after(
        self,
        key: tuple[str, str] | None,
        limit: int,
        *,
        scope: str | None = None,
        holding_at: float | None = None,
        tenant: str = "",
    ) -> list[DoNotCall]:
        """Up to `limit` active entries in the order of (scope, phone), behind `key`.

        With `holding_at`, those that have expired by then are left out; with `tenant`, all but its own.
        """
        column = do_not_call.c
        statement = select(do_not_call).where(column.active).order_by(column.scope, column.phone).limit(limit)
        if key is not None:
            statement = statement.where(tuple_(column.scope, column.phone) > key)
        if scope is not None:
            statement = statement.where(column.scope == scope)
        if tenant:
            statement = statement.where(of_tenant(column.scope, tenant))
        if holding_at is not None:
            statement = statement.where(or_(column.expires_at.is_(None), column.expires_at > holding_at))
        async with self._database.read() as connection:
            return [_entry(row) for row in (await connection.execute(statement)).all()]

    async def listed_after(self, key: tuple[str, str] | None, limit: int, *, holding_at: float) -> list[Listed]:
        """As `after`, but what the gate has to know alone, and scope by scope. For millions of them.

        The database joins the numbers: a row for each would take longer than all the rest of a rebuild.
        """
        column = do_not_call.c
        holds = and_(column.active, or_(column.expires_at.is_(None), column.expires_at > holding_at))
        place = tuple_(column.scope, column.phone)
        page = select(column.scope, column.phone, column.expires_at).where(holds)
        page = page if key is None else page.where(place > key)
        one = page.order_by(column.scope, column.phone).limit(limit).subquery().c
        plain = case((and_(one.expires_at.is_(None), one.phone.not_like("%*")), one.phone))
        joined = select(
            one.scope, func.aggregate_strings(plain, ","), func.count(plain), func.count(), func.max(one.phone)
        )
        rest = select(column.scope, column.phone, column.expires_at).where(
            holds, or_(column.expires_at.is_not(None), column.phone.like("%*"))
        )
        rest = rest if key is None else rest.where(place > key)
        others: dict[str, list[tuple[str, float | None]]] = {}
        async with self._database.read() as connection:
            scopes = (await connection.execute(joined.group_by(one.scope).order_by(one.scope))).all()
            if any(plain < count for _, _, plain, count, _ in scopes):
                until = place <= (scopes[-1][0], scopes[-1][-1])
                for scope, phone, expires_at in await connection.execute(rest.where(until)):
                    others.setdefault(scope, []).append((phone, expires_at))
        return [
            Listed(scope=scope, numbers=numbers or "", others=tuple(others.get(scope, ())), count=count, last=last)
            for scope, numbers, _, count, last in scopes
        ]


async def record(database: Database, connection: AsyncConnection, batch: Sequence[DoNotCall]) -> None:
    """`DoNotCallList.put` inside a transaction of the caller."""
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in batch:
        row = {
            "scope": entry.scope,
            "phone": entry.phone,
            "reason": entry.reason,
            "source": entry.source,
            "who": entry.who,
            "expires_at": entry.expires_at,
            "at": entry.at,
            "position": entry.position or position_of(str(int(entry.at * 1_000))),
            "active": entry.active,
        }
        known = latest.get((entry.scope, entry.phone))
        if known is None or row["position"] >= known["position"]:
            latest[entry.scope, entry.phone] = row
    await connection.execute(
        upsert(database.dialect, do_not_call, newer="position"), [latest[key] for key in sorted(latest)]
    )


def _entry(row: Row[Any]) -> DoNotCall:
    return DoNotCall(
        scope=row.scope,
        phone=row.phone,
        at=row.at,
        active=row.active,
        reason=row.reason,
        source=row.source,
        who=row.who,
        expires_at=row.expires_at,
        position=row.position,
    )
