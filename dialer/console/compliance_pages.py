"""Compliance: abandonment with the calls behind each figure, do-not-call lists, the law in force, consent, evidence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from msgspec import ValidationError, convert
from msgspec.structs import astuple

from dialer.api.audit import AUDITED
from dialer.api.compliance_routes import (
    EvidenceInput,
    LostRow,
    consent_of,
    counted_page,
    exported,
    port,
    rules_of,
    verified,
)
from dialer.api.errors import ApiError
from dialer.api.law_routes import registries_of
from dialer.api.ports import ApiPorts
from dialer.api.purge_ports import DoNotCallEntry
from dialer.api.purge_routes import DoNotCallInput, entry_message, number_of
from dialer.api.requests import NodeSettings, Phones, cursor_pair, cursor_to, known_campaign
from dialer.campaigns import refused
from dialer.compliance.machine_error import AnswerCounts, Counted
from dialer.console.answers import (
    FORM,
    MAX_FIELD,
    Manager,
    PageRequest,
    Site,
    Staff,
    campaign_names,
    every_campaign,
    page,
)
from dialer.console.problems import told
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.core.campaign import AbandonmentWindow, Campaign
from dialer.core.ids import CampaignId, Phone, valid_name
from dialer.errors import InputError
from dialer.intake.downloads import csv_lines
from dialer.projections.legal_windows import begin_of, legal_windows
from dialer.settings import Settings

_ON_A_PAGE: Final = 100
_IN_A_PIECE: Final = 1_000
#: Campaigns, each with all of its windows.
_CAMPAIGNS_ON_A_PAGE: Final = 100
#: Where entries of this page say that they come from.
_SOURCE: Final = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    """A campaign in one of its legal windows."""

    campaign: Campaign
    window: AbandonmentWindow
    since: float
    #: As the pacer counts.
    live_answers: int
    abandoned: int
    #: As the record has it; None: nothing of that time is on record.
    record: AnswerCounts | None

    @property
    def ratio(self) -> float | None:
        """Abandoned calls per live answer."""
        return self.abandoned / self.live_answers if self.live_answers else None

    @property
    def of_record(self) -> dict[Counted, int]:
        """What the record has of each figure, as far as it was read."""
        return {} if self.record is None else {each: int(getattr(self.record, each)) for each in Counted}

    @property
    def within(self) -> bool:
        """Whether the limit is kept."""
        return self.abandoned <= self.campaign.max_abandonment * self.live_answers


# ---- abandonment


@get("/compliance")
async def abandonment(
    console: Site, staff: Staff, settings: NodeSettings, of: FromQuery[str] = "", after: FromQuery[str] = ""
) -> Response[str]:
    """Campaigns in each of their legal windows: all of them or those with `of` in their name, a page behind `after`."""
    ports, now = console.ports, console.ports.clock.now()
    wanted = of.strip()[:MAX_FIELD]
    campaigns, more = await _campaigns(ports, wanted, CampaignId(after) if valid_name(after) else None)
    rows = await _windows(ports, campaigns, settings, now)
    overrides = await port(ports).overrides()
    return page(
        console,
        "compliance",
        staff.texts,
        visit=staff,
        tab="abandonment",
        rows=rows,
        wanted=wanted,
        after=after,
        more=urlencode({"of": wanted, "after": more} if wanted else {"after": more}) if more else "",
        overrides=overrides,
        registries=registries_of(ports, now),
    )


@get("/compliance/abandonment/{campaign:str}/{window:str}")
async def counted_calls(
    console: Site,
    staff: Staff,
    settings: NodeSettings,
    campaign: FromPath[str],
    window: FromPath[str],
    figure: FromQuery[str] = Counted.ABANDONED.value,
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """The calls behind a figure of abandonment."""
    ports = console.ports
    row, which = await _figure(ports, settings, campaign, window, figure)
    items, following = await counted_page(ports, row.campaign.id, which, row.since, None, cursor, _ON_A_PAGE)
    return page(
        console,
        "compliance_calls",
        staff.texts,
        visit=staff,
        tab="abandonment",
        row=row,
        figure=which.value,
        figures=[each.value for each in Counted],
        items=items,
        following=following,
    )


@get("/compliance/abandonment/{campaign:str}/{window:str}/calls.csv", opt={AUDITED: True})
async def counted_calls_csv(
    console: Site,
    staff: Staff,
    settings: NodeSettings,
    campaign: FromPath[str],
    window: FromPath[str],
    figure: FromQuery[str] = Counted.ABANDONED.value,
) -> Stream:
    """The same as CSV, all of them, cell by cell harmless in a spreadsheet."""
    row, which = await _figure(console.ports, settings, campaign, window, figure)
    name = f"{which.value}-{row.campaign.id}-{row.window.value}.csv"
    return Stream(
        _lines(console.ports, row, which),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


async def _figure(
    ports: ApiPorts, settings: Settings, campaign: str, window: str, figure: str
) -> tuple[WindowRow, Counted]:
    known = (await known_campaign(ports, campaign)).campaign
    if window not in set(known.abandonment_windows):
        raise ApiError(
            404, f"campaign {campaign!r} is held to no window {window[:20]!r}", code="no_window", campaign=campaign
        )
    if figure not in set(Counted):
        raise ApiError(404, f"there is no figure {figure[:20]!r}", code="no_figure", figure=figure[:20])
    [row] = [one for one in await _windows(ports, [known], settings, ports.clock.now()) if one.window == window]
    return row, Counted(figure)


async def _lines(ports: ApiPorts, row: WindowRow, figure: Counted) -> AsyncIterator[bytes]:
    # The mark in front lets Excel read UTF-8.
    yield b"\xef\xbb\xbf" + csv_lines([LostRow.__struct_fields__]).encode()
    until, cursor = ports.clock.now(), None
    while True:
        items, cursor = await counted_page(ports, row.campaign.id, figure, row.since, until, cursor, _IN_A_PIECE)
        yield csv_lines([["" if cell is None else str(cell) for cell in astuple(one)] for one in items]).encode()
        if cursor is None:
            return


async def _campaigns(ports: ApiPorts, wanted: str, after: CampaignId | None) -> tuple[list[Campaign], str]:
    """A page of campaigns by id, and behind which there are more; empty: there are none."""
    found: list[Campaign] = []
    part = wanted.casefold()
    async for stored in every_campaign(ports, after):
        if part in stored.campaign.id.casefold() or part in stored.campaign.name.casefold():
            if len(found) == _CAMPAIGNS_ON_A_PAGE:
                return found, found[-1].id
            found.append(stored.campaign)
    return found, ""


async def _windows(ports: ApiPorts, campaigns: list[Campaign], settings: Settings, now: float) -> list[WindowRow]:
    zone = ZoneInfo(settings.pacing.timezone)
    tracker = ports.control.live().abandonment
    counts: dict[float, Any] = {}
    rows = []
    for campaign in campaigns:
        held = legal_windows(tracker, campaign, now, zone)
        for kind, window in zip(campaign.abandonment_windows, held, strict=True):
            since = begin_of(kind, now, zone)
            # What is older than the window of all the others is not read again for a page.
            if kind is not AbandonmentWindow.CAMPAIGN and since not in counts:
                counts[since] = await ports.attempts.answer_counts(since, now)
            rows.append(
                WindowRow(
                    campaign=campaign,
                    window=kind,
                    since=since,
                    live_answers=sum(one.answers for one in window.held),
                    abandoned=sum(one.abandoned for one in window.held),
                    record=counts[since].get(campaign.id) if since in counts else None,
                )
            )
    return rows


# ---- do-not-call


@get("/compliance/dnc")
async def do_not_call(
    console: Site, staff: Staff, of: FromQuery[str] = "", cursor: FromQuery[str | None] = None
) -> Response[str]:
    """The entries of one list, or of all, numbers masked."""
    return await _lists(console, staff, scope=of.strip()[:MAX_FIELD], cursor=cursor)


@post("/compliance/dnc/search", opt=FORM, status_code=200)
async def search(request: PageRequest, console: Site, staff: Staff, phones: Phones) -> Response[str]:
    """In which lists a number stands. A form, so that no number stands in an address."""
    form = await _form(request, staff)
    try:
        phone = number_of(form["phone"], "phone", phones)
    except InputError as error:
        return await _lists(console, staff, problem=told(staff.texts, error), typed=form, status=422)
    return await _lists(console, staff, typed=form, searched=phone)


@post("/compliance/dnc", opt=FORM, status_code=200)
async def change_list(request: PageRequest, console: Site, manager: Manager, phones: Phones) -> Response[str]:
    """Put a number on a list, or take it off, with who wants it and why."""
    form = await _form(request, manager)
    texts = manager.texts
    if not form["reason"] or not form["by"]:
        return await _lists(console, manager, problem=texts("compliance.reason_missing"), typed=form, status=422)
    try:
        given = {name: form[name] for name in ("phone", "op", "scope", "reason", "by")} | {"source": _SOURCE}
        if form["until"]:
            given["expires"] = f"{form['until']}T00:00:00Z"
        message = entry_message(_read(given, DoNotCallInput), "entry", phones, manager.who)
    except InputError as error:
        return await _lists(console, manager, problem=told(texts, error), typed=form, status=422)
    await console.ports.purges.do_not_call([message])
    done = texts(f"compliance.done_{form['op']}")
    listed = str(message["phone"])
    return await _lists(console, manager, done=done, searched=None if listed.endswith("*") else Phone(listed))


async def _lists(
    console: Console,
    visit: Visit,
    *,
    scope: str = "",
    cursor: str | None = None,
    problem: str = "",
    done: str = "",
    typed: dict[str, str] | None = None,
    searched: Phone | None = None,
    status: int = 200,
) -> Response[str]:
    ports = console.ports
    found: list[DoNotCallEntry] = []
    following: str | None = None
    if searched is None and not problem:
        found = list(await ports.purges.entries(scope or None, cursor_pair(cursor), _ON_A_PAGE + 1))
        if len(found) > _ON_A_PAGE:
            found = found[:_ON_A_PAGE]
            following = cursor_to(found[-1].scope, found[-1].phone)
    return page(
        console,
        "compliance_dnc",
        visit.texts,
        status=status,
        visit=visit,
        tab="dnc",
        entries=found,
        following=following,
        scope=scope,
        problem=problem,
        done=done,
        typed={"phone": "", "scope": "*", "reason": "", "by": visit.key.user, "until": ""} | (typed or {}),
        searched=searched,
        listed=() if searched is None else await ports.purges.listed(searched),
        campaigns=await campaign_names(console),
    )


# ---- the law in force


@get("/compliance/rules")
async def rules(console: Site, staff: Staff, name: FromQuery[str] = "") -> Response[str]:
    """Jurisdictions on file, and the rules of one of them."""
    ports = console.ports
    return page(
        console,
        "compliance_rules",
        staff.texts,
        visit=staff,
        tab="rules",
        jurisdictions=port(ports).jurisdictions(ports.clock.now()),
        chosen=name,
        rules=rules_of(ports, name) if name else [],
    )


# ---- consent and evidence


@get("/compliance/evidence")
async def evidence(console: Site, manager: Manager) -> Response[str]:
    """Forms for a consent, for records of evidence, and for verifying their chain."""
    return await _evidence(console, manager)


@post("/compliance/consent", opt=FORM, status_code=200)
async def consent(request: PageRequest, console: Site, manager: Manager) -> Response[str]:
    """What is on record of a contact's consent."""
    form = await _form(request, manager)
    try:
        found = await consent_of(console.ports, form["campaign"], form["contact"])
    except (ApiError, InputError) as error:
        return await _refused(console, manager, form, error)
    return await _evidence(console, manager, typed=form, consent=found)


@post("/compliance/evidence/export", opt=FORM, status_code=200)
async def export(request: PageRequest, console: Site, manager: Manager, phones: Phones) -> Response[str] | Stream:
    """Records of evidence as a file."""
    form = await _form(request, manager)
    given = {name: form[name] for name in ("phone", "contact", "campaign") if form[name]}
    given |= {name: f"{form[name]}T00:00:00Z" for name in ("since", "until") if form[name]}
    try:
        return exported(console.ports, _read(given | {"format": form["format"]}, EvidenceInput), phones)
    except InputError as error:
        return await _refused(console, manager, form, error)


@post("/compliance/evidence/verify", opt=FORM, status_code=200)
async def verify(request: PageRequest, console: Site, manager: Manager) -> Response[str]:
    """Verify the chain of evidence."""
    form = await _form(request, manager)
    try:
        found = await verified(console.ports, form["head"])
    except (ApiError, InputError) as error:
        return await _refused(console, manager, form, error)
    return await _evidence(console, manager, typed=form, verification=found)


async def _refused(console: Console, visit: Visit, form: dict[str, str], error: ApiError | InputError) -> Response[str]:
    status = error.status if isinstance(error, ApiError) else 422
    return await _evidence(console, visit, typed=form, problem=told(visit.texts, error), status=status)


async def _evidence(
    console: Console,
    visit: Visit,
    *,
    typed: dict[str, str] | None = None,
    problem: str = "",
    status: int = 200,
    **found: Any,
) -> Response[str]:
    ports = console.ports
    today = datetime.fromtimestamp(ports.clock.now(), UTC).date().isoformat()
    return page(
        console,
        "compliance_evidence",
        visit.texts,
        status=status,
        visit=visit,
        tab="evidence",
        head=await port(ports).head(),
        campaigns=await campaign_names(console),
        today=today,
        problem=problem,
        typed=dict.fromkeys(_FIELDS, "") | (typed or {}),
        **({"consent": None, "verification": None} | found),
    )


_FIELDS: Final = (
    *("phone", "op", "scope", "reason", "by", "until"),
    *("campaign", "contact", "since", "format", "head"),
)


async def _form(request: PageRequest, visit: Visit) -> dict[str, str]:
    given = await request.form()
    await check_csrf(request, visit, given)
    return {name: str(given.get(name, "")).strip()[:MAX_FIELD] for name in _FIELDS}


def _read(given: dict[str, str], kind: Any) -> Any:
    try:
        return convert(given, kind)
    except ValidationError as error:
        raise refused(error) from error


HANDLERS: Final = (
    abandonment,
    counted_calls,
    counted_calls_csv,
    do_not_call,
    search,
    change_list,
    rules,
    evidence,
    consent,
    export,
    verify,
)
