"""A campaign's lists: upload with progress, what was rejected and why, one contact by hand, calling a list again."""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from msgspec import Struct

from dialer.api.bodies import ACCEPTS, CSV, STREAMED
from dialer.api.errors import ApiError
from dialer.api.intake_ports import ContactVerdict, ListImport
from dialer.api.list_routes import known_list, look_again, rejected_file, take_upload
from dialer.api.list_settings_routes import ListInput, change_terms
from dialer.api.recycle_routes import call_again
from dialer.api.requests import NodeSettings, cursor_from, cursor_to, known_campaign
from dialer.campaigns import refused
from dialer.console.answers import FORM, Manager, PageRequest, Site, Staff, page, to
from dialer.console.places import MANAGERS
from dialer.console.problems import told
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.core.ids import valid_name
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration
from dialer.errors import InputError

MOST_LISTS: Final = 50
#: A list is looked through after its import; for so long a page waits for that to begin.
_CHECK_BEGINS_S: Final = 30.0
#: Outcomes after which somebody may be called once more.
AGAIN: Final = tuple(outcome.value for outcome in Outcome if outcome is not Outcome.CONNECTED)
_ENDED: Final = frozenset({"done", "failed"})
#: Fields of the form for one contact; what is empty is absent.
_CONTACT_FIELDS: Final = ("id", "phones", "name", "priority", "timezone", "fields")


class Uploaded(Struct):
    """Where the list is that was uploaded."""

    location: str


# ---- the lists of a campaign


@get("/campaigns/{campaign:str}/lists")
async def lists(console: Site, staff: Staff, campaign: FromPath[str], before: FromQuery[str] = "") -> Response[str]:
    """A campaign's lists, the newest first."""
    return await _lists(console, staff, campaign, before)


async def _lists(
    console: Console,
    visit: Visit,
    campaign: str,
    before: str = "",
    *,
    status: int = 200,
    typed: dict[str, str] | None = None,
    verdict: ContactVerdict | None = None,
    problem: str = "",
) -> Response[str]:
    stored = await known_campaign(console.ports, campaign)
    id = stored.campaign.id
    try:
        cursor = cursor_from(before or None)
    except InputError as error:
        raise ApiError(404, str(error)) from error
    found = await console.ports.intake.list_imports(id, cursor, MOST_LISTS + 1)
    rows = found[:MOST_LISTS]
    called = {one.list: one for one in await console.ports.recycling.penetration(id, None)}
    return page(
        console,
        "lists",
        visit.texts,
        status=status,
        visit=visit,
        campaign=id,
        rows=rows,
        more=cursor_to(rows[-1].started_at, rows[-1].id) if len(found) > MOST_LISTS else "",
        called=called,
        maker=visit.key.role in MANAGERS,
        typed=typed or {},
        verdict=verdict,
        problem=problem,
    )


@post(
    "/campaigns/{campaign:str}/lists/upload",
    opt={ACCEPTS: (CSV,), STREAMED: True},
    request_max_body_size=None,
    status_code=202,
)
async def upload(
    request: PageRequest,
    console: Site,
    manager: Manager,
    settings: NodeSettings,
    campaign: FromPath[str],
    name: FromQuery[str] = "",
    duplicates: FromQuery[Literal["report", "refuse"]] = "report",
) -> Uploaded:
    """Take a file as the browser sends it, and begin to import it."""
    await check_csrf(request, manager)
    row = await take_upload(request, console.ports, settings, campaign, name[:200], duplicates)
    return Uploaded(location=f"/console/lists/{row.id}")


@post("/campaigns/{campaign:str}/contacts", opt=FORM, status_code=200)
async def add_contact(request: PageRequest, console: Site, manager: Manager, campaign: FromPath[str]) -> Response[str]:
    """Take one contact, by hand; it may be called a moment later."""
    sent = await request.form()
    await check_csrf(request, manager, sent)
    typed = {name: str(sent.get(name, "")) for name in _CONTACT_FIELDS}
    stored = await known_campaign(console.ports, campaign)
    try:
        row = msgspec.json.encode(_contact(typed))
    except InputError as error:
        problem = manager.texts(error.word)
        return await _lists(console, manager, campaign, status=422, typed=typed, problem=problem)
    (verdict,) = await console.ports.intake.offer(stored.campaign.id, [row])
    kept = {} if verdict.accepted else typed
    return await _lists(
        console, manager, campaign, status=200 if verdict.accepted else 422, typed=kept, verdict=verdict
    )


def _terms(typed: dict[str, str]) -> ListInput:
    """What was typed, as the API takes it.

    Raises:
        InputError: it is none.
    """
    try:
        return msgspec.convert({"filter": typed["filter"], "priority": int(typed["priority"] or "0")}, ListInput)
    except msgspec.ValidationError as error:
        raise refused(error) from error
    except ValueError as error:
        raise InputError("priority: is no whole number", code="not_whole") from error


def _contact(typed: dict[str, str]) -> dict[str, object]:
    """The JSON of a contact as a CRM would write it; what is wrong with it is for the intake to say.

    Raises:
        InputError: it cannot be written as one; `word` is the key of the text that says why.
    """
    text = {name: value.strip() for name, value in typed.items()}
    contact: dict[str, object] = {name: text[name] for name in ("id", "name", "timezone") if text[name]}
    contact["phones"] = [phone.strip() for phone in text["phones"].replace(";", ",").split(",") if phone.strip()]
    if text["priority"]:
        try:
            contact["priority"] = int(text["priority"])
        except ValueError as error:
            raise InputError("priority: is no number", word="form.not_a_number") from error
    fields: dict[str, str] = {}
    for line in text["fields"].splitlines():
        key, separator, value = line.partition(":")
        if line.strip() and not (separator and key.strip()):
            raise InputError("fields: one a line", word="list.fields_wrong")
        if key.strip():
            fields[key.strip()] = value.strip()
    return contact | ({"fields": fields} if fields else {})


# ---- one list


async def _list(console: Console, id: str) -> dict[str, Any]:
    row = await known_list(console.ports, id)
    check = await console.ports.intake.list_check(row.id)
    since = console.ports.clock.now() - (row.finished_at or 0.0)
    return {
        "row": row,
        "check": check,
        "awaited": check is None and row.state == "done" and since < _CHECK_BEGINS_S,
        "called": await _penetration(console, row),
    }


async def _penetration(console: Console, row: ListImport) -> Penetration | None:
    found = await console.ports.recycling.penetration(row.campaign, row.id) if row.state in _ENDED else ()
    return found[0] if found else None


@get("/lists/{id:str}")
async def one_list(console: Site, staff: Staff, id: FromPath[str], saved: FromQuery[bool] = False) -> Response[str]:
    """How far the import of a list is, what it rejected, and what is odd in the others."""
    return await _one(console, staff, id, saved=saved)


async def _one(
    console: Console,
    visit: Visit,
    id: str,
    *,
    status: int = 200,
    saved: bool = False,
    typed: dict[str, str] | None = None,
    problem: str = "",
) -> Response[str]:
    shown = await _list(console, id)
    terms = shown["row"].terms
    return page(
        console,
        "list",
        visit.texts,
        status=status,
        visit=visit,
        maker=visit.key.role in MANAGERS,
        again=AGAIN,
        step=None,
        own_terms=console.ports.list_settings is not None,
        saved=saved,
        typed=typed or {"filter": terms.filter, "priority": str(terms.priority)},
        problem=problem,
        **shown,
    )


@post("/lists/{id:str}/terms", opt=FORM, status_code=303)
async def change_own_terms(request: PageRequest, console: Site, manager: Manager, id: FromPath[str]) -> Response[str]:
    """Give a list a filter and a priority of its own; they hold from the next dial on."""
    sent = await request.form()
    await check_csrf(request, manager, sent)
    typed = {name: str(sent.get(name, "")).strip() for name in ("filter", "priority")}
    try:
        await change_terms(console.ports, id, _terms(typed))
    except InputError as error:
        return await _one(console, manager, id, status=422, typed=typed, problem=told(manager.texts, error))
    return to(f"/console/lists/{quote(id, safe='')}?saved=true")


@get("/lists/{id:str}/part")
async def list_part(console: Site, staff: Staff, id: FromPath[str]) -> Response[str]:
    """The part of a list's page that moves while it is imported."""
    shown = await _list(console, id)
    return page(console, "part_list", staff.texts, visit=staff, maker=staff.key.role in MANAGERS, **shown)


@get("/lists/{id:str}/rejected.csv", media_type=CSV)
async def rejected(console: Site, manager: Manager, id: FromPath[str]) -> Stream:
    """The rejected rows, to be corrected and sent again."""
    return await rejected_file(console.ports, id)


@post("/lists/{id:str}/report", opt=FORM, status_code=303)
async def report(request: PageRequest, console: Site, staff: Staff, id: FromPath[str]) -> Response[str]:
    """Look through the list anew."""
    await check_csrf(request, staff, await request.form())
    await look_again(console.ports, id)
    return to(f"/console/lists/{id}")


@post("/lists/{id:str}/reset", opt=FORM, status_code=200)
async def reset(request: PageRequest, console: Site, manager: Manager, id: FromPath[str]) -> Response[str]:
    """One step of calling the finished contacts of a list once more; the answer asks for the next by itself."""
    sent = await request.form()
    await check_csrf(request, manager, sent)
    row = await known_list(console.ports, id)
    outcomes = [outcome for outcome in AGAIN if f"outcome.{outcome}" in sent]
    problem = ""
    done = {"reopened": _count(sent.get("reopened")), "refused": _count(sent.get("refused"))}
    cursor = None
    if not outcomes:
        problem = manager.texts("list.reset_nothing")
    else:
        try:
            step = await call_again(console.ports, row.id, [Outcome(one) for one in outcomes], sent.get("cursor"))
        except InputError as error:
            problem = told(manager.texts, error)
        else:
            cursor = step.next_cursor
            done["reopened"] += step.reopened
            done["refused"] += sum(step.refused.values())
    return page(
        console,
        "part_list_reset",
        manager.texts,
        status=422 if problem else 200,
        visit=manager,
        row=row,
        again=AGAIN,
        step={"outcomes": outcomes, "cursor": cursor, "told": problem, **done},
    )


def _count(text: object) -> int:
    """What earlier steps came to, as the form of the next carries it."""
    return int(str(text)) if text is not None and valid_name(str(text)) and str(text).isdecimal() else 0


HANDLERS: Final = (change_own_terms, lists, upload, add_contact, one_list, list_part, rejected, report, reset)
