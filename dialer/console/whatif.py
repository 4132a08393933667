"""What would be if a campaign had other agents or another limit: asked for here, simulated elsewhere, drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from dialer.api.campaign_ports import StoredCampaign
from dialer.api.errors import ApiError
from dialer.api.requests import known_campaign
from dialer.api.what_if_ports import WhatIf, WhatIfFound, WhatIfPoint
from dialer.campaigns import change_campaign
from dialer.console import campaign_forms as forms
from dialer.console.answers import FORM, PageRequest, Site, Staff, page, to, view_of
from dialer.console.site import Console
from dialer.console.texts import Texts
from dialer.console.visit import Visit, check_csrf
from dialer.errors import InputError

MOST_AGENTS: Final = 1_000
#: Agents that the form proposes where none is there, and how many more it asks about.
_SOME: Final = 10
_MORE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What stands in the form."""

    agents: str
    other_agents: str
    other_limit: str


def _port(console: Console) -> WhatIf:
    if console.ports.what_if is None:
        raise ApiError(404, "campaigns are not simulated here")
    return console.ports.what_if


@get("/campaigns/{campaign:str}/what-if")
async def what_if(
    console: Site,
    staff: Staff,
    campaign: FromPath[str],
    agents: FromQuery[str] = "",
    other_agents: FromQuery[str] = "",
    other_limit: FromQuery[str] = "",
    answer: FromQuery[str] = "",
) -> Response[str]:
    """The question, and with `answer` how far it is answered."""
    port = _port(console)
    stored = await known_campaign(console.ports, campaign)
    live = next((row for row in view_of(console).campaigns if row.id == stored.campaign.id), None)
    there = (sum(live.agents.values()) if live else 0) or _SOME
    asked = Asked(
        agents=agents[:20] or str(there),
        other_agents=other_agents[:20] or str(there + _MORE),
        other_limit=other_limit[:20] or forms.shown_percent(stored.campaign.max_abandonment),
    )
    found = await port.answer(stored.campaign, answer) if answer else None
    gone = bool(answer) and found is None
    return page(
        console,
        "whatif",
        staff.texts,
        visit=staff,
        campaign=stored.campaign,
        asked=asked,
        problems={},
        told=staff.texts("whatif.gone") if gone else "",
        answer=answer,
        found=found,
        words=said,
    )


@post("/campaigns/{campaign:str}/what-if", opt=FORM, status_code=303)
async def ask(request: PageRequest, console: Site, staff: Staff, campaign: FromPath[str]) -> Response[str]:
    """Have it simulated."""
    port = _port(console)
    sent = await request.form()
    await check_csrf(request, staff, sent)
    stored = await known_campaign(console.ports, campaign)
    asked = Asked(**{name: str(sent.get(name, ""))[:20] for name in ("agents", "other_agents", "other_limit")})
    problems: dict[str, str] = {}
    counts = {}
    for name in ("agents", "other_agents"):
        text = getattr(asked, name).strip()
        if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_AGENTS:
            counts[name] = int(text)
        else:
            problems[name] = staff.texts("whatif.agents_wrong", most=MOST_AGENTS)
    limit = 0.0
    try:
        limit = _limit(stored, asked.other_limit)
    except InputError as error:
        problems["other_limit"] = (
            staff.texts(error.word) if isinstance(error, forms.Unreadable) else str(error).partition(": ")[2]
        )
    if problems:
        return _again(console, staff, stored, asked, problems)
    try:
        id = await port.ask(stored.campaign, counts["agents"], counts["other_agents"], limit)
    except InputError:
        return _again(console, staff, stored, asked, {}, staff.texts("whatif.busy"))
    query = urlencode(
        {"agents": asked.agents, "other_agents": asked.other_agents, "other_limit": asked.other_limit, "answer": id}
    )
    return to(f"/console/campaigns/{stored.campaign.id}/what-if?{query}")


def _limit(stored: StoredCampaign, text: str) -> float:
    """A limit that the campaign might have, by the rules of all campaigns.

    Raises:
        InputError: it might not.
    """
    value = forms.read_percent(text)
    return change_campaign(stored.campaign, {"max_abandonment": value}).max_abandonment


def _again(
    console: Console, visit: Visit, stored: StoredCampaign, asked: Asked, problems: Mapping[str, str], told: str = ""
) -> Response[str]:
    return page(
        console,
        "whatif",
        visit.texts,
        status=422,
        visit=visit,
        campaign=stored.campaign,
        asked=asked,
        problems=problems,
        told=told,
        answer="",
        found=None,
        words=said,
    )


@get("/campaigns/{campaign:str}/what-if/{answer:str}")
async def progress(
    console: Site,
    staff: Staff,
    campaign: FromPath[str],
    answer: FromPath[str],
    agents: FromQuery[int],
    other_agents: FromQuery[int],
    other_limit: FromQuery[str],
) -> Response[str]:
    """The part of the page that waits for the simulation."""
    stored = await known_campaign(console.ports, campaign)
    found = await _port(console).answer(stored.campaign, answer)
    return page(
        console,
        "part_whatif",
        staff.texts,
        visit=staff,
        campaign=stored.campaign,
        asked=Asked(agents=str(agents), other_agents=str(other_agents), other_limit=other_limit[:20]),
        answer=answer,
        found=found,
        words=said,
    )


def said(t: Texts, found: WhatIfFound, limit: float, asked: Asked) -> list[str]:
    """The answer in sentences."""
    try:
        now = _point(found, int(asked.agents), limit)
        then = _point(found, int(asked.other_agents), forms.read_percent(asked.other_limit))
    except (InputError, ValueError):
        return []
    if now is None or then is None:
        return []
    talks = then.talks_an_hour - now.talks_an_hour
    words = [
        t(
            "whatif.compared",
            agents=then.agents,
            limit=t.percent(then.limit),
            was_agents=now.agents,
            was_limit=t.percent(now.limit),
            talks=("+" if talks >= 0 else "−") + t.number(abs(talks), 1),
            of=t.number(now.talks_an_hour, 1),
        ),
        t(
            "whatif.occupancy",
            was=t.percent(now.occupancy),
            then=t.percent(then.occupancy),
            lost_was=t.percent(now.abandonment, 2),
            lost=t.percent(then.abandonment, 2),
            wait_was=t.number(now.wait_s),
            wait=t.number(then.wait_s),
        ),
    ]
    doubt = max(now.occupancy_half_width or 0.0, then.occupancy_half_width or 0.0)
    if doubt:
        words.append(t("whatif.doubt", points=t.number(100 * doubt, 1)))
    return words


def _point(found: WhatIfFound, agents: int, limit: float) -> WhatIfPoint | None:
    return next((p for p in found.points if p.agents == agents and abs(p.limit - limit) < 1e-9), None)


HANDLERS: Final = (what_if, ask, progress)
