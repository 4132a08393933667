"""Who did what: the audit log with its filters, and as a file for a spreadsheet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.params import FromQuery
from litestar.response import Stream

from dialer.api.audit import AUDITED
from dialer.api.audit_ports import AuditTrail
from dialer.api.errors import ApiError
from dialer.api.rows import rfc3339
from dialer.console.answers import MAX_FIELD, Manager, Site, page
from dialer.console.site import Console
from dialer.core.audit_note import AuditQuery, AuditRow
from dialer.intake.downloads import csv_lines

_ON_A_PAGE: Final = 100
_AT_ONCE: Final = 1_000
#: A spreadsheet takes no more rows than a million.
_MOST_ROWS: Final = 1_000_000
_DAY_S: Final = 86_400.0
_PAST_ALL: Final = 2**63
_HEADER: Final = ("number", "at", "who", "role", "address", "action", "object", "outcome", "details")


@get("/system/audit")
async def audit_page(
    console: Site,
    manager: Manager,
    who: FromQuery[str] = "",
    action: FromQuery[str] = "",
    object: FromQuery[str] = "",
    outcome: FromQuery[str] = "",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    before: FromQuery[int | None] = None,
) -> Response[str]:
    """Deeds, the latest first."""
    if before is not None and not 0 < before < _PAST_ALL:
        raise ApiError(422, "before: is no number of the log")
    typed = _typed(who, action, object, outcome, since, until)
    found = await _trail(console).page(_query(typed), before, _ON_A_PAGE + 1)
    shown = found[:_ON_A_PAGE]
    given = {name: text for name, text in typed.items() if text}
    await console.holders.look(name for row in shown for name in (row.note.who, row.note.object) if name)
    return page(
        console,
        "audit",
        manager.texts,
        visit=manager,
        rows=shown,
        typed=typed,
        query=urlencode(given),
        older=urlencode(given | {"before": shown[-1].number}) if len(found) > _ON_A_PAGE else "",
    )


@get("/system/audit.csv", opt={AUDITED: True})
async def audit_csv(
    console: Site,
    manager: Manager,
    who: FromQuery[str] = "",
    action: FromQuery[str] = "",
    object: FromQuery[str] = "",
    outcome: FromQuery[str] = "",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
) -> Stream:
    """The same as CSV, cell by cell harmless in a spreadsheet."""
    query = _query(_typed(who, action, object, outcome, since, until))
    return Stream(
        _lines(_trail(console), query),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="audit.csv"'},
    )


async def _lines(trail: AuditTrail, query: AuditQuery) -> AsyncIterator[bytes]:
    # The mark in front lets Excel read UTF-8.
    yield b"\xef\xbb\xbf" + csv_lines([_HEADER]).encode()
    before, count = None, 0
    while count < _MOST_ROWS:
        rows = await trail.page(query, before, _AT_ONCE)
        if not rows:
            return
        yield csv_lines([_cells(row) for row in rows]).encode()
        before, count = rows[-1].number, count + len(rows)


def _cells(row: AuditRow) -> tuple[str, ...]:
    note = row.note
    details = msgspec.json.encode(note.details).decode() if note.details else ""
    return (
        *(str(row.number), rfc3339(note.at), note.who, note.role, note.address),
        *(note.action, note.object, note.outcome, details),
    )


def _typed(who: str, action: str, object: str, outcome: str, since: str, until: str) -> dict[str, str]:
    given = {"who": who, "action": action, "object": object, "outcome": outcome, "since": since, "until": until}
    return {name: text.strip()[:MAX_FIELD] for name, text in given.items()}


def _query(typed: dict[str, str]) -> AuditQuery:
    return AuditQuery(
        who=typed["who"] or None,
        action=typed["action"] or None,
        object=typed["object"] or None,
        outcome=typed["outcome"] or None,
        since=_day(typed["since"], "since"),
        until=_day(typed["until"], "until", _DAY_S),
    )


def _day(text: str, field: str, later_s: float = 0.0) -> float | None:
    """The beginning of a day (UTC), or so much later; None for an empty field."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() + later_s
    except ValueError as error:
        raise ApiError(422, f"{field}: write a day as 2026-11-30") from error


def _trail(console: Console) -> AuditTrail:
    if console.ports.audit is None:
        raise ApiError(404, "this node keeps no audit log")
    return console.ports.audit


HANDLERS: Final = (audit_page, audit_csv)
