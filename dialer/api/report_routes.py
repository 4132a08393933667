"""Combined reports: what came of calls, in the CRM's terms and the dialer's, by whatever somebody asks."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final, Literal

from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.errors import KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.report_ports import Reports
from dialer.api.requests import Ports
from dialer.reporting.indicators import INDICATORS
from dialer.reporting.order import RawOrder, parse_order
from dialer.reporting.report import FORMS

_MAX_TEXT: Final = 200
Format = Annotated[Literal["json", "csv", "parquet"], QueryParameter(description="How the rows are written out")]
By = Annotated[
    str,
    QueryParameter(
        max_length=_MAX_TEXT,
        description="campaign, list, agent, day, hour, outcome: one or several, separated by commas; campaign",
    ),
]
Since = Annotated[
    str | None, QueryParameter(max_length=40, description="Moment (RFC 3339 with zone) or day; 7 days before until")
]
Until = Annotated[str | None, QueryParameter(max_length=40, description="Moment or day, not included; now")]
Zone = Annotated[
    str | None, QueryParameter(max_length=64, description="IANA zone of days and hours; that of each campaign")
]


class IndicatorOut(Struct, kw_only=True):
    """The definition of one indicator."""

    name: str
    unit: str
    says: str


class IndicatorsOut(Struct, kw_only=True):
    """All indicators, in the order of the columns."""

    items: list[IndicatorOut]


class ReportOut(Struct, kw_only=True):
    """A report: one row for each combination of what it is by, with sums, and with indicators made of them."""

    since: str
    until: str
    by: list[str]
    #: Null: days and hours are those of each campaign's zone.
    timezone: str | None
    made_at: str
    cost_currency: str
    #: Money is text, exactly; null: undefined, or unknown for rows like these.
    rows: list[dict[str, Any]]
    total: dict[str, Any]


@get(
    "/reports/combined",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 422, 503)
    | {200: ResponseSpec(ReportOut, description="The report; as CSV or Parquet its rows", generate_examples=False)},
    description=(
        "Calls that ended in a period, by campaign, list, agent, day, hour and outcome: sums, indicators "
        "(`GET /reports/indicators` defines them), sales and amounts of the latest disposition of each call, the time "
        "of agents, and costs by the settings. `campaign`, `list`, `agent` and `outcome` can be given several times."
    ),
)
async def combined_report(
    ports: Ports,
    by: By = "",
    since: Since = None,
    until: Until = None,
    timezone: Zone = None,
    campaign: FromQuery[list[str] | None] = None,
    list_id: Annotated[list[str] | None, QueryParameter(name="list", description="Ids of lists")] = None,
    agent: FromQuery[list[str] | None] = None,
    outcome: FromQuery[list[str] | None] = None,
    format: Format = "json",
) -> Response[Any]:
    """A combined report."""
    made = _reports(ports)
    raw = RawOrder(
        by=by,
        since=since,
        until=until,
        timezone=timezone,
        campaigns=campaign or (),
        lists=list_id or (),
        agents=agent or (),
        outcomes=outcome or (),
    )
    report = await made.make(parse_order(raw, ports.clock.now(), made.default_zone))
    if format == "json":
        return Response(await asyncio.to_thread(report.as_json), media_type="application/json")
    media_type, write = FORMS[format]
    name = re.sub(r"[^a-z,]", "", by).replace(",", "-") or "campaign"
    # In a thread: twenty thousand rows take a moment, and calls wait for nobody.
    return Response(
        await asyncio.to_thread(write, report),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="report-{name}.{format}"'},
    )


@get("/reports/indicators", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED))
async def list_indicators() -> IndicatorsOut:
    """What each indicator of a report means."""
    return IndicatorsOut(
        items=[IndicatorOut(name=each.name, unit=each.unit.value, says=each.says) for each in INDICATORS]
    )


def _reports(ports: ApiPorts) -> Reports:
    if ports.reports is None:
        raise ApiError(503, "this node keeps no record that reports could be made of")
    return ports.reports


routes = Router("/", route_handlers=[combined_report, list_indicators], tags=["reports"])
