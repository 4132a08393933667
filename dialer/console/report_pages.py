"""Combined reports in the console: what is asked stands in the address, so that a report can be kept and sent."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from dialer.api.errors import ApiError
from dialer.api.report_ports import Reports
from dialer.console.answers import Site, Staff, campaign_names, page
from dialer.console.problems import told
from dialer.console.report_view import GROUPS, is_number, report_view
from dialer.console.site import Console
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from dialer.reporting.order import Dimension, RawOrder, parse_order, zone_named
from dialer.reporting.report import FORMS, Report

_MAX_TEXT: Final = 200
Asked = Annotated[str, QueryParameter(max_length=_MAX_TEXT)]


@get("/reports")
async def report_page(
    console: Site,
    staff: Staff,
    by: FromQuery[list[str] | None] = None,
    since: Asked = "",
    until: Asked = "",
    timezone: Asked = "",
    campaign: Asked = "",
    list_id: Annotated[str, QueryParameter(name="list", max_length=_MAX_TEXT)] = "",
    agent: Asked = "",
    outcome: Asked = "",
    show: Asked = "overview",
    plot: Asked = "",
) -> Response[str]:
    """The form, and under it what came of calls."""
    raw = _raw(by, since, until, timezone, campaign, list_id, agent, outcome)
    problem, view, period = "", None, ""
    try:
        report = await _make(console, raw)
        view = await asyncio.to_thread(report_view, report, show, plot, staff.texts)
        period = _period(report, console.ports.reports)
    except InputError as error:
        problem = told(staff.texts, error)
    asked = {
        "since": since, "until": until, "timezone": timezone, "campaign": campaign, "list": list_id, "agent": agent,
        "outcome": outcome,
    }  # fmt: skip
    chosen = [name.strip() for name in (raw.by or "campaign").split(",") if name.strip()]
    query = urlencode([("by", name) for name in chosen] + [(name, value) for name, value in asked.items() if value])
    return page(
        console,
        "report",
        staff.texts,
        status=200 if not problem else 422,
        visit=staff,
        view=view,
        period=period,
        problem=problem,
        asked=asked,
        chosen=chosen,
        shown_group=show if show in GROUPS else "overview",
        groups=list(GROUPS),
        dimensions=[each.value for each in Dimension],
        outcomes=[each.value for each in Outcome],
        campaigns=await campaign_names(console),
        query=query,
        is_number=is_number,
    )


@get("/reports/files/{form:str}")
async def report_file(
    console: Site,
    staff: Staff,
    form: FromPath[str],
    by: FromQuery[list[str] | None] = None,
    since: Asked = "",
    until: Asked = "",
    timezone: Asked = "",
    campaign: Asked = "",
    list_id: Annotated[str, QueryParameter(name="list", max_length=_MAX_TEXT)] = "",
    agent: Asked = "",
    outcome: Asked = "",
) -> Response[bytes]:
    """The same with every row and column, as a file."""
    if form not in FORMS:
        raise ApiError(404, f"a report is a file of the form {' or '.join(FORMS)}")
    report = await _make(console, _raw(by, since, until, timezone, campaign, list_id, agent, outcome))
    media_type, write = FORMS[form]
    name = "-".join(each.value for each in report.order.by)
    return Response(
        await asyncio.to_thread(write, report),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="report-{name}.{form}"'},
    )


async def _make(console: Console, raw: RawOrder) -> Report:
    made: Reports | None = console.ports.reports
    if made is None:
        raise ApiError(503, "this node keeps no record that reports could be made of")
    return await made.make(parse_order(raw, console.ports.clock.now(), made.default_zone))


def _period(report: Report, made: Reports | None) -> str:
    """What the report is of, for whoever has it on paper: ``2026-03-01 00:00 – 2026-04-01 00:00 (Europe/Madrid)``."""
    order = report.order
    zone = order.timezone or (made.default_zone if made is not None else "UTC")
    since, until = (datetime.fromtimestamp(at, zone_named(zone)) for at in (order.since, order.until))
    return f"{since:%Y-%m-%d %H:%M} – {until:%Y-%m-%d %H:%M} ({zone})"


def _raw(
    by: list[str] | None, since: str, until: str, timezone: str, campaign: str, list_id: str, agent: str, outcome: str
) -> RawOrder:
    """A field that was left empty asks for nothing."""

    def few(text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]

    return RawOrder(
        by=",".join(by or ()),
        since=since.strip() or None,
        until=until.strip() or None,
        timezone=timezone.strip() or None,
        campaigns=few(campaign),
        lists=few(list_id),
        agents=few(agent),
        outcomes=few(outcome),
    )


HANDLERS: Final = (report_page, report_file)
