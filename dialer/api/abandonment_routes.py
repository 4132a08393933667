"""Abandonment in the regulator's terms, of each campaign and of all: what was counted, and what detection hid."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.errors import KEYED, documented
from dialer.api.key_ports import Role
from dialer.api.requests import Ports, known_campaign, moment
from dialer.api.rows import rfc3339
from dialer.compliance.machine_error import AnswerCounts, Estimate
from dialer.errors import InputError

_WINDOW_S: Final = 30 * 86_400.0


class EstimateOut(Struct, kw_only=True):
    """A number that is estimated: it lies between low and high (95 %); value is null where there is no evidence."""

    value: float | None
    low: float
    high: float


class AbandonmentOut(Struct, kw_only=True):
    """What became of the people who answered."""

    live_answers: int
    abandoned: int
    #: abandoned / live_answers; null where nobody has answered.
    abandonment: float | None
    hung_up_as_machine: int
    #: Calls taken for machines which an agent heard and judged, and how many of them were people.
    judged: int
    judged_people: int
    #: People who were hung up on as machines.
    false_machines: EstimateOut
    #: (abandoned + false_machines) / (live_answers + false_machines).
    corrected_abandonment: EstimateOut


class CampaignAbandonmentOut(AbandonmentOut, kw_only=True):
    """The same of one campaign."""

    campaign: str


class AbandonmentReport(Struct, kw_only=True):
    """Abandonment of all campaigns together and of each."""

    since: str
    until: str
    centre: AbandonmentOut
    campaigns: list[CampaignAbandonmentOut]


@get(
    "/reports/abandonment",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 422, 503),
)
async def report_abandonment(
    ports: Ports,
    campaign: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(description="RFC 3339 with zone; 30 days before until")] = None,
    until: Annotated[str | None, QueryParameter(description="RFC 3339 with zone; now")] = None,
) -> AbandonmentReport:
    """Abandoned calls per live answer, with the people counted in whom detection took for machines.

    The centre is all campaigns, or the one that is asked for.
    """
    only = None if campaign is None else (await known_campaign(ports, campaign)).campaign.id
    end = moment(until, "until")
    end = ports.clock.now() if end is None else end
    begin = moment(since, "since")
    begin = end - _WINDOW_S if begin is None else begin
    if begin >= end:
        raise InputError("since: must be before until")
    found = await ports.attempts.answer_counts(begin, end)
    counts = {name: found[name] for name in sorted(found) if only is None or name == only}
    return AbandonmentReport(
        since=rfc3339(begin),
        until=rfc3339(end),
        centre=AbandonmentOut(**_row(sum(counts.values(), AnswerCounts()))),
        campaigns=[CampaignAbandonmentOut(campaign=name, **_row(row)) for name, row in counts.items()],
    )


def _row(counts: AnswerCounts) -> dict[str, Any]:
    return {
        "live_answers": counts.live_answers,
        "abandoned": counts.abandoned,
        "abandonment": counts.ratio,
        "hung_up_as_machine": counts.hung_up_as_machine,
        "judged": counts.judged,
        "judged_people": counts.judged_people,
        "false_machines": _estimate(counts.false_machines),
        "corrected_abandonment": _estimate(counts.corrected),
    }


def _estimate(estimate: Estimate) -> EstimateOut:
    return EstimateOut(value=estimate.value, low=estimate.low, high=estimate.high)


routes = Router("/", route_handlers=[report_abandonment], tags=["reports"])
