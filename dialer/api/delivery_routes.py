"""What is told to other systems: webhooks and updates of CRMs that were given up, and how to tell them again."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.delivery_ports import Deliveries, DeliveryKind
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import Cursor, Limit, Ports
from dialer.api.rows import rfc3339

_READERS: Final = (Role.SUPERVISOR, Role.CRM)
Status = Annotated[str, QueryParameter(description="waiting, delivered or failed; of a CRM also skipped, withdrawn")]


class DeliveryOut(Struct, kw_only=True):
    """One result on its way to another system."""

    id: str
    to: str
    type: str
    contact: str
    state: str
    attempts: int
    next_at: str
    last_error: str


class DeliveriesPage(Struct, kw_only=True):
    """Deliveries by their ids."""

    items: list[DeliveryOut]
    next_cursor: str | None


class ReplayInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was given up and is to be told again, from its first try."""

    #: null: everything that was given up.
    ids: Annotated[list[str], Meta(min_length=1, max_length=1_000)] | None = None


class ReplayOut(Struct, kw_only=True):
    """How many deliveries were taken up again."""

    replayed: int


class CrmOut(Struct, kw_only=True):
    """How the exchange with one CRM fares."""

    name: str
    completed: str | None
    next_turn: str
    failures: int
    last_error: str
    updates_waiting: int
    updates_failed: int
    counts: dict[str, int]


class CrmsOut(Struct, kw_only=True):
    """CRMs that are asked for their pending calls."""

    items: list[CrmOut]


def _deliveries(ports: ApiPorts) -> Deliveries:
    if ports.deliveries is None:
        raise ApiError(404, "this node tells nothing to other systems")
    return ports.deliveries


@get("/deliveries/{kind:str}", guards=[requires(*_READERS)], responses=documented(*KEYED, 404, 422, 503))
async def list_deliveries(
    kind: FromPath[DeliveryKind], ports: Ports, status: Status = "failed", cursor: Cursor = None, limit: Limit = 100
) -> DeliveriesPage:
    """Deliveries to webhooks (`webhooks`) or updates of CRMs (`crm`) in one state; those that were given up."""
    found, following = await _deliveries(ports).page(kind, status, cursor, limit)
    items = [
        DeliveryOut(
            id=entry.id,
            to=entry.to,
            type=entry.type,
            contact=entry.contact,
            state=entry.state,
            attempts=entry.attempts,
            next_at=rfc3339(entry.next_at),
            last_error=entry.last_error.says,
        )
        for entry in found
    ]
    return DeliveriesPage(items=items, next_cursor=following)


@post(
    "/deliveries/{kind:str}",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    description="Take up deliveries that were given up, with the same ids: a receiver that had one knows it again.",
)
async def replay_deliveries(kind: FromPath[DeliveryKind], data: JSONBody[ReplayInput], ports: Ports) -> ReplayOut:
    """Tell again what was given up."""
    return ReplayOut(replayed=await _deliveries(ports).replay(kind, data.ids))


@get("/crms", guards=[requires(*_READERS)], responses=documented(*KEYED, 404, 503))
async def list_crms(ports: Ports) -> CrmsOut:
    """How the exchange with CRMs that are asked for their pending calls fares."""
    items = [
        CrmOut(
            name=crm.name,
            completed=None if crm.completed_at is None else rfc3339(crm.completed_at),
            next_turn=rfc3339(crm.next_at),
            failures=crm.failures,
            last_error=crm.last_error.says,
            updates_waiting=crm.waiting,
            updates_failed=crm.failed,
            counts=crm.counts,
        )
        for crm in await _deliveries(ports).crms()
    ]
    return CrmsOut(items=items)


routes = Router("/", route_handlers=[list_deliveries, replay_deliveries, list_crms], tags=["deliveries"])
