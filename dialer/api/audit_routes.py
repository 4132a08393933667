"""The audit log: who did what, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Router, get
from litestar.params import QueryParameter
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.errors import KEYED, ApiError, documented
from dialer.api.requests import Cursor, Limit, Ports, cursor_name, cursor_to, moment
from dialer.api.rows import rfc3339
from dialer.core.audit_note import AuditQuery
from dialer.errors import InputError

_Text = Annotated[str | None, QueryParameter(max_length=300)]
_Moment = Annotated[str | None, QueryParameter(max_length=64, description="RFC 3339, with its zone")]


class DeedOut(Struct, kw_only=True):
    """One deed, or what was tried."""

    #: Counts up; the log's order.
    number: int
    at: str
    #: `user:NAME`, `key:ID`, `cli:ACCOUNT`; empty: nobody whom we know.
    who: str
    role: str
    address: str
    #: Such as `user.created`, or a method and the path of a route.
    action: str
    object: str
    #: `ok`, or why not.
    outcome: str
    #: `count` where the same was done so often within a second.
    details: dict[str, Any]


class DeedsPage(Struct, kw_only=True):
    """Deeds, the latest first."""

    items: list[DeedOut]
    next_cursor: str | None


@get("/audit", guards=[requires()], responses=documented(*KEYED, 404, 422, 503))
async def audit_log(
    ports: Ports,
    who: _Text = None,
    action: Annotated[str | None, QueryParameter(max_length=300, description="The beginning of the action")] = None,
    object: _Text = None,
    outcome: _Text = None,
    since: _Moment = None,
    until: _Moment = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> DeedsPage:
    """Who did what in `since <= at < until`: every write, every sign-in, every refusal. It cannot be changed."""
    if ports.audit is None:
        raise ApiError(404, "this node keeps no audit log")
    query = AuditQuery(
        who=who,
        action=action,
        object=object,
        outcome=outcome,
        since=moment(since, "since"),
        until=moment(until, "until"),
    )
    found = await ports.audit.page(query, _number(cursor), limit + 1)
    items = [
        DeedOut(
            number=row.number,
            at=rfc3339(row.note.at),
            who=row.note.who,
            role=row.note.role,
            address=row.note.address,
            action=row.note.action,
            object=row.note.object,
            outcome=row.note.outcome,
            details=dict(row.note.details),
        )
        for row in found[:limit]
    ]
    return DeedsPage(items=items, next_cursor=cursor_to(str(items[-1].number)) if len(found) > limit else None)


def _number(cursor: str | None) -> int | None:
    text = cursor_name(cursor)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise InputError("cursor: is not one that an answer of this API gave")
    return int(text)


routes = Router("/", route_handlers=[audit_log], tags=["audit"])
