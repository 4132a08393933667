"""Campaigns: create, list, get, change, and the orders start, pause, drain and stop."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar import Router, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.campaign_ports import BrokenRule, RuleOverride, StoredCampaign
from dialer.api.crm_rows import hold_to_mappings
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import Cursor, KeyedRequest, Limit, Ports, cursor_name, cursor_to, known_campaign, submit
from dialer.api.rows import CampaignOut, CampaignsPage, campaign_out
from dialer.campaigns import CampaignInput, CampaignSettings, campaign_of, change_campaign, dump_campaign
from dialer.core.campaign import ORDERS, Campaign, CampaignState
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import CampaignId
from dialer.errors import InputError
from dialer.projections.live_rows import CallerIdRow


class OverrideInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule that a named person sets aside for this campaign; it is recorded, for good."""

    rule: Annotated[str, Meta(min_length=1, max_length=128, description="Its id or version, as the refusal has it")]
    by: Annotated[str, Meta(min_length=2, max_length=200, description="Who answers for it: a person's name")]
    why: Annotated[str, Meta(min_length=1, max_length=2_000)]


Overrides = OverrideInput | Annotated[list[OverrideInput], Meta(max_length=50)] | None


class NewCampaign(CampaignInput, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A campaign, and the rules that are set aside for it."""

    override: Overrides = None


class CampaignChange(CampaignSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a campaign, and the rules that are set aside for them."""

    override: Overrides = None


class CampaignChecked(CampaignOut, kw_only=True):
    """A campaign as it was made or changed."""

    #: Rules that it breaks all the same: our own policy, or such as somebody has set aside.
    warnings: list[str]


_READERS = (Role.SUPERVISOR, Role.CRM)
#: A state that changes at the same moment makes a change begin again; more often than this it is no coincidence.
_SAVE_ATTEMPTS = 5


def _out(ports: ApiPorts, stored: StoredCampaign) -> CampaignOut:
    live = ports.control.live()
    id = stored.campaign.id
    state = live.campaign_state(id)
    return campaign_out(stored, None if state is None else state.value, live.campaign(id, ports.clock.now()))


def _checked_out(ports: ApiPorts, stored: StoredCampaign, warnings: list[str]) -> CampaignChecked:
    out = _out(ports, stored)
    return CampaignChecked(
        id=out.id, state=out.state, updated_at=out.updated_at, settings=out.settings, live=out.live, warnings=warnings
    )


def settings_version(campaign: Campaign) -> str:
    """A word for the settings as they are; other settings have another."""
    return hashlib.sha256(msgspec.json.encode(dump_campaign(campaign), order="deterministic")).hexdigest()[:32]


def broken_rules(
    ports: ApiPorts, campaign: Campaign, before: Campaign | None
) -> tuple[Sequence[BrokenRule], frozenset[tuple[str, str]]]:
    """The rules that settings break, and which of them (setting, version) were broken before by the same settings."""
    if ports.campaign_rules is None:
        return (), frozenset()
    now = ports.clock.now()
    broken = ports.campaign_rules.broken(campaign, now)
    if before is None:
        return broken, frozenset()
    settings, were = dump_campaign(campaign), dump_campaign(before)
    return broken, frozenset(
        (b.setting, b.version)
        for b in ports.campaign_rules.broken(before, now)
        if all(settings[name] == were[name] for name in _settings_of(b.setting))
    )


async def _hold_to_rules(
    ports: ApiPorts, key: ApiKey, campaign: Campaign, before: Campaign | None, wanted: Overrides
) -> list[str]:
    """Refuse settings that break a rule of law, unless somebody has set it aside; what is broken all the same.

    A change answers for what it changes: a setting that stays as it was, with its rule broken before, is only told.

    Raises:
        ApiError: 422 with the rules' names; 403 where this key may set no rule aside.
        InputError: an override of a rule that is not broken.
    """
    overrides = [] if wanted is None else wanted if isinstance(wanted, list) else [wanted]
    if overrides and key.role not in {Role.MANAGER, Role.SUPERVISOR}:
        raise ApiError(403, f"a key of role {key.role} may set no rule aside; it takes manager, supervisor")
    if ports.campaign_rules is None:
        if overrides:
            raise InputError(f"override: no rule is broken that could be set aside ({overrides[0].rule!r})")
        return []
    now = ports.clock.now()
    broken, known = broken_rules(ports, campaign, before)
    aside = [(b, next((o for o in overrides if o.rule in {b.rule, b.version}), None)) for b in broken]
    refused = [b for b, override in aside if b.of_law and override is None and (b.setting, b.version) not in known]
    if refused:
        raise ApiError(
            422,
            f"{'; '.join(f'{b.setting}: {b.says}' for b in refused)}. Change it, or have a named person set the rule "
            'aside: "override": {"rule": …, "by": …, "why": …}',
            error="breaks_a_rule",
            details={"rules": [{"rule": b.rule, "version": b.version, "setting": b.setting} for b in refused]},
        )
    names = {name for b in broken for name in (b.rule, b.version)}
    for idle in (override.rule for override in overrides if override.rule not in names):
        raise InputError(f"override: {idle!r} is no rule that these settings break; leave it out")
    for b, override in aside:
        if override is not None:
            by = RuleOverride(by=override.by, why=override.why, key=key.id)
            await ports.campaign_rules.set_aside(campaign.id, b, by, now)
    return [
        f"{b.setting}: {b.says}" + ("" if override is None else f"; set aside by {override.by}")
        for b, override in aside
    ]


def _settings_of(setting: str) -> tuple[str, ...]:
    """What of a campaign decides about a setting that rules know."""
    # Which rules apply is decided by these four for all of them.
    applies = ("purpose", "party", "jurisdictions", "bases")
    if setting == "registries":
        return applies
    return (setting, "caller_ids", *applies) if setting == "caller_id" else (setting, *applies)


@post("/campaigns", guards=[requires(Role.CRM)], responses=documented(*KEYED, *BODY))
async def create_campaign(data: JSONBody[NewCampaign], request: KeyedRequest, ports: Ports) -> CampaignChecked:
    """Create a campaign. It begins as a draft: load contacts, then start it."""
    return await create(ports, request.auth, campaign_of(data), data.override)


async def create(ports: ApiPorts, key: ApiKey, campaign: Campaign, wanted: Overrides) -> CampaignChecked:
    """Create a campaign.

    Raises:
        ApiError: 409 where its id is taken; 422 and 403 as `_hold_to_rules`.
        InputError: an override of a rule that is not broken; rows for its CRM that do not fit the mapping.
    """
    now = ports.clock.now()
    exists = ApiError(
        409,
        f"there is a campaign {campaign.id!r} already; change it with PATCH",
        error="exists",
        code="campaign_exists",
        campaign=campaign.id,
    )
    if await ports.campaigns.get(campaign.id) is not None:
        raise exists
    hold_to_mappings(ports, campaign, None)
    warnings = await _hold_to_rules(ports, key, campaign, None, wanted)
    if not await ports.campaigns.create(campaign, now):
        raise exists
    await submit(ports, CampaignConfigured(at=now, campaign=campaign))
    stored = StoredCampaign(campaign=campaign, state=CampaignState.DRAFT, updated_at=now)
    return _checked_out(ports, stored, warnings)


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
    campaign: FromPath[str], data: JSONBody[CampaignChange], request: KeyedRequest, ports: Ports
) -> CampaignChecked:
    """Change some settings; what is left out stays. Calls under way keep the settings with which they began."""
    # `data` was checked, but cannot say which fields were given and which are defaults.
    given: dict[str, Any] = msgspec.json.decode(await request.body())
    given.pop("override", None)
    return await save_changes(ports, request.auth, campaign, given, data.override)


async def save_changes(
    ports: ApiPorts,
    key: ApiKey,
    campaign: str,
    changes: Mapping[str, object],
    wanted: Overrides,
    *,
    version: str | None = None,
) -> CampaignChecked:
    """Change some settings of a campaign, whoever else changes others at the same moment.

    Args:
        ports: of the API.
        key: whose change it is.
        campaign: its id.
        changes: the settings that become others.
        wanted: rules that are set aside.
        version: change nothing unless the settings are still those of this `settings_version`.

    Raises:
        ApiError: 404, there is none; 409, they are other ones by now; 422 and 403 as `_hold_to_rules`.
        InputError: a setting cannot be used, or an override is of a rule that is not broken.
    """
    for _ in range(_SAVE_ATTEMPTS):
        stored = await known_campaign(ports, campaign)
        if version is not None and version != settings_version(stored.campaign):
            break
        changed = change_campaign(stored.campaign, changes)
        hold_to_mappings(ports, changed, stored.campaign)
        warnings = await _hold_to_rules(ports, key, changed, stored.campaign, wanted)
        now = ports.clock.now()
        if await ports.campaigns.replace(stored, changed, now):
            await submit(ports, CampaignConfigured(at=now, campaign=changed))
            return _checked_out(ports, StoredCampaign(campaign=changed, state=stored.state, updated_at=now), warnings)
    raise ApiError(
        409,
        f"somebody else has changed campaign {campaign!r} meanwhile; look at it again",
        error="changed",
        code="campaign_changed",
        campaign=campaign,
    )


async def order(ports: ApiPorts, campaign: str, wanted: CampaignState) -> CampaignOut:
    """Order a campaign into a state.

    Raises:
        ApiError: 404 where there is none, 409 where it cannot get there from where it is.
    """
    stored = await known_campaign(ports, campaign)
    state = ports.control.live().campaign_state(stored.campaign.id) or stored.state
    if wanted is not state and wanted not in ORDERS[state]:
        possible = ", ".join(sorted(ORDERS[state]))
        raise ApiError(
            409,
            f"campaign {campaign!r} is {state}; from there it can become {possible}",
            error="wrong_state",
            details={"state": state.value, "possible": sorted(ORDERS[state])},
            code="campaign_state",
            campaign=campaign,
            state=state.value,
            possible=sorted(ORDERS[state]),
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
    """Start to dial. Refused where the law demands do-not-call registries that are not there or too old."""
    return await begin(ports, campaign)


async def begin(ports: ApiPorts, campaign: str) -> CampaignOut:
    """Start a campaign.

    Raises:
        ApiError: as `order`; 409 also where registries lack that the law demands.
    """
    if ports.campaign_rules is not None:
        stored = await known_campaign(ports, campaign)
        lacking = ports.campaign_rules.missing(stored.campaign, ports.clock.now())
        if lacking:
            raise ApiError(
                409,
                f"campaign {campaign!r} cannot be started: {'; '.join(map(str, lacking))}. Or have a named person set "
                'the rule aside: PATCH it with "override": {"rule": …, "by": …, "why": …}',
                error="registry_missing",
                code="registry_missing",
                campaign=campaign,
                lacking=lacking,
            )
    return await order(ports, campaign, CampaignState.RUNNING)


@post("/campaigns/{campaign:str}/pause", **_ORDER)
async def pause(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Start no more calls; those under way end by themselves."""
    return await order(ports, campaign, CampaignState.PAUSED)


@post("/campaigns/{campaign:str}/drain", **_ORDER)
async def drain(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Start no more calls, and stop when the last has ended."""
    return await order(ports, campaign, CampaignState.DRAINING)


@post("/campaigns/{campaign:str}/stop", **_ORDER)
async def stop(campaign: FromPath[str], ports: Ports) -> CampaignOut:
    """Stop at once: what rings is hung up, talks go on."""
    return await order(ports, campaign, CampaignState.STOPPED)


routes = Router(
    "/",
    route_handlers=[create_campaign, list_campaigns, get_campaign, get_caller_ids, change, start, pause, drain, stop],
    tags=["campaigns"],
)
