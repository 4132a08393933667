"""Lists: upload of a CSV file of any size, progress of its import, its rejected rows, and what is odd in the others."""

from __future__ import annotations

import asyncio
import errno
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from litestar import Request, Router, get, post
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from dialer.api.auth import requires
from dialer.api.bodies import ACCEPTS, CSV, STREAMED, chunks
from dialer.api.described import body_of
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.intake_ports import ContactWarning, ListImport, RejectedRow
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import Cursor, KeyedRequest, Limit, NodeSettings, Ports, cursor_from, cursor_to, known_campaign
from dialer.api.rows import ListOut, ListReportOut, ListsPage, list_out, list_report_out
from dialer.core.contact_filter import MAX_LENGTH, parse_filter
from dialer.core.ids import valid_name
from dialer.core.list_terms import MAX_PRIORITY, NO_TERMS, ListTerms
from dialer.errors import DialerError
from dialer.intake.downloads import csv_lines
from dialer.settings import Settings

_WRITE_AT_ONCE: Final = 1024 * 1024
_ROWS_AT_ONCE: Final = 500
ListName = Annotated[str, QueryParameter(max_length=200, description="What people call the list; default: its id")]

Duplicates = Annotated[
    Literal["report", "refuse"],
    QueryParameter(description="What becomes of a row whose numbers other contacts of the campaign all have"),
]
OwnFilter = Annotated[
    str,
    QueryParameter(name="filter", max_length=MAX_LENGTH, description="Which of its contacts are called; empty: all"),
]
OwnPriority = Annotated[
    int,
    QueryParameter(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="Is added to the priority of each of its contacts"),
]


class _BrokenOff(DialerError):
    """Whoever sent an upload went away in the middle of it."""

    def __init__(self, size: int) -> None:
        super().__init__(f"broke off after {size:,} bytes")
        self.size = size


async def _store(source: AsyncIterator[bytes], path: Path) -> int:
    """Write an upload to `path`, a megabyte at a time, in threads; nothing is left where it fails."""
    size = 0
    held = bytearray()
    try:
        with await asyncio.to_thread(path.open, "xb") as file:
            async for chunk in source:
                held += chunk
                size += len(chunk)
                if len(held) >= _WRITE_AT_ONCE:
                    await asyncio.to_thread(file.write, bytes(held))
                    held.clear()
            await asyncio.to_thread(file.write, bytes(held))
            await asyncio.to_thread(file.flush)
    except BaseException as error:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ApiError(
                507, "the disk for uploads is full; free space and send the list again", code="disk_full"
            ) from error
        if isinstance(error, OSError):
            raise ApiError(503, f"the upload cannot be written: {error.strerror}") from error
        if isinstance(error, HTTPException):
            raise _BrokenOff(size) from error
        raise
    return size


@post(
    "/campaigns/{campaign:str}/lists",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY, 404, 507),
    status_code=202,
    opt={ACCEPTS: (CSV,), STREAMED: True},
    request_max_body_size=None,
    operation_class=body_of({CSV: str}),
    description=(
        "Upload a list as `text/csv`: `curl --data-binary @list.csv -H 'Content-Type: text/csv' …`. The import goes "
        "on in the background; its first contacts are called before it ends. Rejected rows can be downloaded with "
        "the reason."
    ),
)
async def upload_list(
    campaign: FromPath[str],
    request: KeyedRequest,
    ports: Ports,
    settings: NodeSettings,
    name: ListName = "",
    duplicates: Duplicates = "report",
    contact_filter: OwnFilter = "",
    priority: OwnPriority = 0,
) -> ListOut:
    """Upload a list."""
    terms = ListTerms(filter=contact_filter.strip(), priority=priority)
    if terms.filter:
        parse_filter(terms.filter)
    return list_out(await take_upload(request, ports, settings, campaign, name, duplicates, terms))


async def take_upload(
    request: Request[Any, Any, Any],
    ports: ApiPorts,
    settings: Settings,
    campaign: str,
    name: str,
    duplicates: str,
    terms: ListTerms = NO_TERMS,
) -> ListImport:
    """Write the body of a request to a file as it comes, and begin to import it when all of it is there.

    An upload that breaks off is not imported at all: it stands among the lists as failed, and says so.

    Raises:
        ApiError: 404, 413, 422, 503, 507.
    """
    stored = await known_campaign(ports, campaign)
    if not all(character.isprintable() for character in name):
        raise ApiError(422, "name: must be printable text", code="not_printable")
    path = ports.intake.upload_folder() / f"{secrets.token_hex(16)}.csv"
    try:
        size = await _store(chunks(request, settings.api.max_body_bytes), path)
    except _BrokenOff as error:
        await ports.intake.note_broken_upload(stored.campaign.id, name, error.size)
        raise ApiError(
            400, f"the upload {error}; nothing of it is loaded: send it again", code="upload_broken"
        ) from error
    if not size:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise ApiError(422, "the file is empty; a header line and at least one row are needed", code="file_empty")
    try:
        refuse = duplicates == "refuse"
        return await ports.intake.start_list(stored.campaign.id, path, name, refuse_duplicates=refuse, terms=terms)
    except BaseException:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise


@get("/lists", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 404, 422, 503))
async def list_lists(
    ports: Ports, campaign: FromQuery[str | None] = None, cursor: Cursor = None, limit: Limit = 100
) -> ListsPage:
    """Lists, newest first, of one campaign or of all."""
    of = None if campaign is None else (await known_campaign(ports, campaign)).campaign.id
    found = await ports.intake.list_imports(of, cursor_from(cursor), limit + 1)
    items = [list_out(row) for row in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return ListsPage(items=items, next_cursor=None if last is None else cursor_to(last.started_at, last.id))


async def known_list(ports: ApiPorts, id: str) -> ListImport:
    """The list of that id.

    Raises:
        ApiError: 404.
    """
    row = await ports.intake.list_import(id) if valid_name(id) else None
    if row is None:
        raise ApiError(404, f"there is no list {id[:80]!r}", code="no_list", list=id[:80])
    return row


@get("/lists/{id:str}", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 404, 503))
async def get_list(id: FromPath[str], ports: Ports) -> ListOut:
    """How far the import of a list has come."""
    return list_out(await known_list(ports, id))


@get(
    "/lists/{id:str}/rejected",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, 404, 503)
    | {
        200: ResponseSpec(
            str, media_type=CSV, description="row, reason, problem and the raw row", generate_examples=False
        )
    },
    media_type=CSV,
)
async def download_rejected(id: FromPath[str], ports: Ports) -> Stream:
    """The rejected rows of a list as CSV: row number, reason, what to correct, and the row as it stood in the file."""
    return await rejected_file(ports, id)


async def rejected_file(ports: ApiPorts, id: str) -> Stream:
    """The rejected rows of a list, no cell of which a spreadsheet takes for a formula.

    Raises:
        ApiError: 404.
    """
    row = await known_list(ports, id)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", row.id)
    return Stream(
        _as_csv(ports.intake.rejected(row.id)),
        media_type=CSV,
        headers={"content-disposition": f'attachment; filename="rejected-{name}.csv"'},
    )


@get(
    "/lists/{id:str}/report",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
    description=(
        "What became of each row in numbers: rejected ones by reason; of contacts that were taken, their numbers by "
        "sort of line, time zones and jurisdictions, and warnings by kind. The contacts are looked through after the "
        "import, in the background; `POST` does it again."
    ),
)
async def get_list_report(id: FromPath[str], ports: Ports) -> ListReportOut:
    """The quality of a list."""
    row = await known_list(ports, id)
    return list_report_out(row, await ports.intake.list_check(row.id))


@post(
    "/lists/{id:str}/report",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 409, 503),
    status_code=202,
    opt={"no_body": True},
)
async def make_list_report(id: FromPath[str], ports: Ports) -> ListReportOut:
    """Look through the contacts of a list anew, in the background: calls and other lists may have changed much."""
    return await look_again(ports, id)


async def look_again(ports: ApiPorts, id: str) -> ListReportOut:
    """Have a list looked through anew.

    Raises:
        ApiError: 404; 409, it is being imported.
    """
    row = await known_list(ports, id)
    if row.state in {"waiting", "running"}:
        raise ApiError(
            409,
            f"list {row.id!r} is being imported; it is looked through when that has ended",
            code="list_busy",
            list=row.id,
        )
    await ports.intake.check_list(row.id)
    return list_report_out(row, await ports.intake.list_check(row.id))


@get(
    "/lists/{id:str}/report.csv",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, 404, 503)
    | {
        200: ResponseSpec(
            str,
            media_type=CSV,
            description="verdict, row, contact, phone, reason, problem and the raw row",
            generate_examples=False,
        )
    },
    media_type=CSV,
)
async def download_list_report(id: FromPath[str], ports: Ports) -> Stream:
    """Every rejected row of a list, then every warning about a contact that was taken, as CSV."""
    row = await known_list(ports, id)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", row.id)
    return Stream(
        _report_csv(ports.intake.rejected(row.id), ports.intake.warnings(row.id)),
        media_type=CSV,
        headers={"content-disposition": f'attachment; filename="report-{name}.csv"'},
    )


async def _report_csv(
    rejected: AsyncIterator[RejectedRow], warnings: AsyncIterator[ContactWarning]
) -> AsyncIterator[bytes]:
    async def rows() -> AsyncIterator[Sequence[str]]:
        yield ("verdict", "row", "contact", "phone", "reason", "problem", "raw")
        async for row in rejected:
            yield ("rejected", str(row.row), "", "", row.code, row.message, row.raw)
        async for found in warnings:
            yield ("warning", "", found.contact, found.phone, found.kind, found.message, "")

    async for part in _in_parts(rows()):
        yield part


async def _as_csv(rejected: AsyncIterator[RejectedRow]) -> AsyncIterator[bytes]:
    async def rows() -> AsyncIterator[Sequence[str]]:
        yield ("row", "reason", "problem", "raw")
        async for row in rejected:
            yield (str(row.row), row.code, row.message, row.raw)

    async for part in _in_parts(rows()):
        yield part


async def _in_parts(rows: AsyncIterator[Sequence[str]]) -> AsyncIterator[bytes]:
    waiting: list[Sequence[str]] = []
    async for row in rows:
        waiting.append(row)
        if len(waiting) >= _ROWS_AT_ONCE:
            yield csv_lines(waiting).encode("utf-8", "replace")
            waiting.clear()
    yield csv_lines(waiting).encode("utf-8", "replace")


routes = Router(
    "/",
    route_handlers=[
        upload_list,
        list_lists,
        get_list,
        download_rejected,
        get_list_report,
        make_list_report,
        download_list_report,
    ],
    tags=["lists"],
)
