"""Trying a campaign's filter out before it is set: how many contacts it lets through."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.requests import Ports, known_campaign
from dialer.core.contact_filter import MAX_LENGTH, parse_filter


class FilterInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is tried out."""

    filter: Annotated[str, Meta(max_length=MAX_LENGTH, description="Null: the campaign's own")] | None = None
    list: Annotated[str, Meta(max_length=128, description="Only those whose data came last with it")] | None = None


class FilterOut(Struct, kw_only=True):
    """What it makes of the contacts that still wait to be called."""

    filter: str
    contacts: int
    passing: int
    left_out: int
    #: Fields that it asks for: how many of the contacts do not have them. All of them may mean that a name is wrong.
    without: dict[str, int]
    #: Contacts that the filter in force has left out, as far as the gate has come to them.
    aside: int


@post(
    "/campaigns/{campaign:str}/filter-check",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    description=(
        "Count whom a filter would let through, without changing anything: all contacts of the campaign that are "
        "neither finished nor removed are looked at, which takes seconds for a million. To set it, PATCH the "
        "campaign's `filter`: it holds from the next dial on, for contacts that wait already too."
    ),
)
async def check_filter(campaign: FromPath[str], data: JSONBody[FilterInput], ports: Ports) -> FilterOut:
    """Try a filter out."""
    stored = await known_campaign(ports, campaign)
    if ports.filter_trials is None:
        raise ApiError(503, "this node has no record of contacts")
    text = (stored.campaign.filter if data.filter is None else data.filter).strip()
    found = await ports.filter_trials.count(stored.campaign.id, parse_filter(text) if text else None, data.list)
    return FilterOut(
        filter=text,
        contacts=found.contacts,
        passing=found.passing,
        left_out=found.contacts - found.passing,
        without=dict(found.without),
        aside=await ports.filter_trials.aside(stored.campaign.id),
    )


routes = Router("/", route_handlers=[check_filter], tags=["campaigns"])
