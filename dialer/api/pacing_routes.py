"""The pacing journal: why calls were started, or not, at a moment of the last days."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from litestar import Router, get
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.errors import KEYED, documented
from dialer.api.key_ports import Role
from dialer.api.requests import Cursor, Limit, Ports, cursor_from, cursor_to, known_campaign, moment
from dialer.api.rows import rfc3339
from dialer.core.pacing_entry import PacingEntry
from dialer.errors import InputError

#: Without `since`: somebody who asks "why is it so slow" means now.
_DEFAULT_S: Final = 3_600.0

Moment = Annotated[str | None, QueryParameter(description="RFC 3339 with zone; default: the last hour")]


class PacingOut(Struct, kw_only=True):
    """What the pacer of one node decided at a moment, with what happened since the row before."""

    at: str
    node: str
    method: str
    #: Calls that were to be started, and calls that were, since the row before.
    dial: int
    started: int
    #: What stopped it from one more call, for machines and in words.
    limit: str
    explanation: str
    expected_abandonment: float
    threshold: float
    budget_left: float | None
    idle: int
    busy: int
    waiting: int
    in_flight: int
    answer_rate: float | None
    mean_talk_s: float | None
    mean_wrapup_s: float | None


class PacingPage(Struct, kw_only=True):
    """Rows, the oldest first."""

    items: list[PacingOut]
    next_cursor: str | None


@get(
    "/campaigns/{campaign:str}/pacing",
    guards=[requires(Role.SUPERVISOR)],
    responses=documented(*KEYED, 404, 422, 503),
)
async def pacing(
    campaign: FromPath[str],
    ports: Ports,
    since: Moment = None,
    until: Moment = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> PacingPage:
    """The pacing journal of a campaign, the oldest row first: at most one row a second, at least one in ten.

    Rows are some seconds old before they are here; `GET /campaigns/{campaign}` has the present decision.
    """
    stored = await known_campaign(ports, campaign)
    end = moment(until, "until")
    begin = moment(since, "since")
    if begin is None:
        begin = (ports.clock.now() if end is None else end) - _DEFAULT_S
    if end is not None and end < begin:
        raise InputError("until: must not be before since")
    after = cursor_from(cursor)
    found = await ports.pacing.between(stored.campaign.id, begin, end, after, limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return PacingPage(
        items=[_out(entry) for entry in found[:limit]],
        next_cursor=None if last is None else cursor_to(last.at, last.node),
    )


def _out(entry: PacingEntry) -> PacingOut:
    values = asdict(entry)
    del values["campaign"]
    return PacingOut(**{**values, "at": rfc3339(entry.at)})


routes = Router("/", route_handlers=[pacing], tags=["campaigns"])
