"""Lists called once more: finished contacts are opened again; and how far each list has been called."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import Cursor, Ports, cursor_name, cursor_to, known_campaign
from dialer.core.ids import CampaignId, ContactId, valid_name
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration
from dialer.errors import InputError

_READERS: Final = (Role.SUPERVISOR, Role.CRM)


class ResetInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which finished contacts are called again."""

    outcomes: Annotated[frozenset[Outcome], Meta(min_length=1, description="Of their last call; not connected")]


class ResetOut(Struct, kw_only=True):
    """What one step did. With a `next_cursor` there is more: send the same again with it as `cursor`."""

    reopened: int
    #: Contacts that stay finished, by reason.
    refused: dict[str, int]
    next_cursor: str | None


class PenetrationRow(Struct, kw_only=True):
    """How far one list has been called; null: contacts that were pushed one by one."""

    list: str | None
    contacts: int
    called: int
    finished: int
    removed: int
    attempts: int
    share_called: float
    share_finished: float


def _row(found: Penetration) -> PenetrationRow:
    return PenetrationRow(
        list=found.list,
        contacts=found.contacts,
        called=found.called,
        finished=found.finished,
        removed=found.removed,
        attempts=found.attempts,
        share_called=found.share_called,
        share_finished=found.share_finished,
    )


async def _reset(
    ports: ApiPorts, campaign: CampaignId, list_id: str | None, outcomes: Collection[Outcome], cursor: str | None
) -> ResetOut:
    if Outcome.CONNECTED in outcomes:
        raise InputError("outcomes: who was connected has been reached; call them again with a callback")
    after = cursor_name(cursor)
    done = await ports.recycling.reset(campaign, list_id, outcomes, None if after is None else ContactId(after))
    return ResetOut(
        reopened=done.reopened,
        refused=dict(done.refused),
        next_cursor=None if done.next is None else cursor_to(done.next),
    )


async def _campaign_of(ports: ApiPorts, id: str) -> CampaignId:
    row = await ports.intake.list_import(id) if valid_name(id) else None
    if row is None:
        raise ApiError(404, f"there is no list {id[:80]!r}", code="no_list", list=id[:80])
    return row.campaign


@post(
    "/lists/{id:str}/reset",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    description=(
        "Call contacts of a list again that are finished and whose last call had one of the outcomes: they wait as if "
        "they had never been called, and their attempts are counted anew. Removals, do-not-call entries and legal caps "
        "hold as ever. Up to 1,000 contacts a request; go on with `next_cursor` until there is none."
    ),
)
async def reset_list(id: FromPath[str], data: JSONBody[ResetInput], ports: Ports, cursor: Cursor = None) -> ResetOut:
    """Call a list once more."""
    return await call_again(ports, id, data.outcomes, cursor)


async def call_again(ports: ApiPorts, id: str, outcomes: Collection[Outcome], cursor: str | None) -> ResetOut:
    """One step of calling a list once more.

    Raises:
        ApiError: 404.
        InputError: one of the outcomes means that somebody was reached.
    """
    return await _reset(ports, await _campaign_of(ports, id), id, outcomes, cursor)


@post(
    "/campaigns/{campaign:str}/reset",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    description="As `/lists/{id}/reset`, for all contacts of a campaign.",
)
async def reset_campaign(
    campaign: FromPath[str], data: JSONBody[ResetInput], ports: Ports, cursor: Cursor = None
) -> ResetOut:
    """Call a campaign's finished contacts once more."""
    stored = await known_campaign(ports, campaign)
    return await _reset(ports, stored.campaign.id, None, data.outcomes, cursor)


@get("/lists/{id:str}/penetration", guards=[requires(*_READERS)], responses=documented(*KEYED, 404, 503))
async def list_penetration(id: FromPath[str], ports: Ports) -> PenetrationRow:
    """How far a list has been called."""
    found = await ports.recycling.penetration(await _campaign_of(ports, id), id)
    nobody = Penetration(list=id, contacts=0, called=0, finished=0, removed=0, attempts=0)
    return _row(found[0] if found else nobody)


@get("/campaigns/{campaign:str}/penetration", guards=[requires(*_READERS)], responses=documented(*KEYED, 404, 503))
async def campaign_penetration(campaign: FromPath[str], ports: Ports) -> list[PenetrationRow]:
    """How far each list of a campaign has been called."""
    stored = await known_campaign(ports, campaign)
    return [_row(found) for found in await ports.recycling.penetration(stored.campaign.id, None)]


routes = Router(
    "/", route_handlers=[reset_list, reset_campaign, list_penetration, campaign_penetration], tags=["lists"]
)
