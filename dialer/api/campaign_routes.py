"""Campaigns: create, list, get, change, and the orders start, pause, drain and stop."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Router, get, patch, post
from litestar.params import FromPath, JSONBody

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.ports import ApiPorts, Role, StoredCampaign
from dialer.api.requests import Cursor, KeyedRequest, Limit, Ports, cursor_name, cursor_to, known_campaign, submit
from dialer.api.rows import CampaignOut, CampaignsPage, campaign_out
from dialer.campaigns import CampaignInput, CampaignSettings, campaign_of, change_campaign
from dialer.core.campaign import ORDERS, CampaignState
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import CampaignId
from dialer.projections.live_rows import CallerIdRow

_READERS = (Role.SUPERVISOR, Role.CRM)


def _out(ports: ApiPorts, stored: StoredCampaign) -> CampaignOut:
    live = ports.control.live()
    id = stored.campaign.id
    state = live.campaign_state(id)
    return campaign_out(stored, None if state is None else state.value, live.campaign(id, ports.clock.now()))


@post("/campaigns", guards=[requires(Role.CRM)], responses=documented(*KEYED, *BODY))
async def create_campaign(data: JSONBody[CampaignInput], ports: Ports) -> CampaignOut:
    """Create a campaign. It begins as a draft: load contacts, then start it."""
    campaign = campaign_of(data)
    now = ports.clock.now()
    if not await ports.campaigns.create(campaign, now):
        raise ApiError(409, f"there is a campaign {campaign.id!r} already; change it with PATCH", error="exists")
    await submit(ports, CampaignConfigured(at=now, campaign=campaign))
    return _out(ports, StoredCampaign(campaign=campaign, state=CampaignState.DRAFT, updated_at=now))


@get("/campaigns", guards=[requires(*_READERS)], responses=documented(*KEYED, 422, 503))
async def list_campaigns(ports: Ports, cursor: Cursor = None, limit: Limit = 100) -> CampaignsPage:
    """Campaigns by id."""
    after = cursor_name(cursor)
    found = await ports.campaigns.page(None if after is None else CampaignId(after), limit + 1)
    more = len(found) > limit
    live = {row.id: row for row in ports.control.live().snapshot(ports.clock.now()).campaigns}
    items = []
    for stored in found[:limit]:
        row = live.get(stored.campaign.id)
        items.append(campaign_out(stored, None if row is None else row.state, row))
    return CampaignsPage(items=items, next_cursor=cursor_to(items[-1].id) if more else None)


@get("/campaigns/{campaign:str}", guards=[requires(*_READERS)], responses=documented(*KEYED, 404, 503))
async def get_campaign(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """One campaign."""
    return _out(ports, await known_campaign(ports, campaign))


@get("/campaigns/{campaign:str}/caller-ids", guards=[requires(*_READERS)], responses=documented(*KEYED, 404, 503))
async def get_caller_ids(campaign: FromPath[str], ports: Ports) -> list[CallerIdRow]:
    """The numbers that its calls show: use today, answer rate, rest. Moments are unix seconds here."""
    stored = await known_campaign(ports, campaign)
    return list(ports.control.live().caller_ids_of(stored.campaign.id))


@patch("/campaigns/{campaign:str}", guards=[requires(Role.SUPERVISOR)], responses=documented(*KEYED, *BODY, 404))
async def change(
    campaign: FromPath[str], data: JSONBody[CampaignSettings], request: KeyedRequest, ports: Ports
) -> CampaignOut:
    """Change some settings; what is left out stays. Calls under way keep the settings with which they began."""
    stored = await known_campaign(ports, campaign)
    # `data` was checked, but cannot say which fields were given and which are defaults.
    given: dict[str, Any] = msgspec.json.decode(await request.body())
    changed = change_campaign(stored.campaign, given)
    now = ports.clock.now()
    await ports.campaigns.save(changed, now)
    await submit(ports, CampaignConfigured(at=now, campaign=changed))
    return _out(ports, StoredCampaign(campaign=changed, state=stored.state, updated_at=now))


async def _order(ports: ApiPorts, campaign: str, wanted: CampaignState) -> CampaignOut:
    stored = await known_campaign(ports, campaign)
    state = ports.control.live().campaign_state(stored.campaign.id) or stored.state
    if wanted is not state and wanted not in ORDERS[state]:
        possible = ", ".join(sorted(ORDERS[state]))
        raise ApiError(
            409,
            f"campaign {campaign!r} is {state}; from there it can become {possible}",
            error="wrong_state",
            details={"state": state.value, "possible": sorted(ORDERS[state])},
        )
    await submit(ports, CampaignOrdered(at=ports.clock.now(), campaign=stored.campaign.id, state=wanted))
    return _out(ports, stored)


_ORDER: dict[str, Any] = {
    "guards": [requires(Role.SUPERVISOR, Role.CRM)],
    "responses": documented(*KEYED, 404, 409, 503),
    "status_code": 202,
    "opt": {"no_body": True},
}


@post("/campaigns/{campaign:str}/start", **_ORDER)
async def start(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Start to dial."""
    return await _order(ports, campaign, CampaignState.RUNNING)


@post("/campaigns/{campaign:str}/pause", **_ORDER)
async def pause(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Start no more calls; those under way end by themselves."""
    return await _order(ports, campaign, CampaignState.PAUSED)


@post("/campaigns/{campaign:str}/drain", **_ORDER)
async def drain(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Start no more calls, and stop when the last has ended."""
    return await _order(ports, campaign, CampaignState.DRAINING)


@post("/campaigns/{campaign:str}/stop", **_ORDER)
async def stop(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Stop at once: what rings is hung up, talks go on."""
    return await _order(ports, campaign, CampaignState.STOPPED)


routes = Router(
    "/",
    route_handlers=[create_campaign, list_campaigns, get_campaign, get_caller_ids, change, start, pause, drain, stop],
    tags=["campaigns"],
)
