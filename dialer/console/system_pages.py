"""The installation: nodes, Asterisk servers, queues, deliveries that failed, and what `cadencia doctor` finds."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from dialer.api.audit import deed
from dialer.api.delivery_ports import Deliveries, DeliveryKind
from dialer.api.errors import ApiError
from dialer.api.system_ports import Examined, System
from dialer.console.answers import FORM, MAX_FIELD, Manager, PageRequest, Site, Staff, page, to
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.errors import InputError

_ON_A_PAGE: Final = 100
_STATES: Final = {
    DeliveryKind.WEBHOOKS: ("failed", "waiting", "delivered"),
    DeliveryKind.CRM: ("failed", "waiting", "delivered", "skipped", "withdrawn"),
}


@get("/system")
async def system_page(console: Site, staff: Staff) -> Response[str]:
    """Nodes, servers and queues now."""
    return await _system(console, staff)


@get("/system/doctor")
async def doctor(console: Site, manager: Manager) -> Response[str]:
    """The same, and what `cadencia doctor` finds."""
    return await _system(console, manager, list(await _port(console).examine()))


@get("/system/deliveries")
async def deliveries_page(
    console: Site,
    staff: Staff,
    kind: FromQuery[str] = "webhooks",
    status: FromQuery[str] = "failed",
    cursor: FromQuery[str] = "",
) -> Response[str]:
    """What is told to other systems, those that failed first of all."""
    sort = _kind(kind)
    try:
        found, following = await _deliveries(console).page(sort, status, cursor or None, _ON_A_PAGE)
    except InputError as error:
        raise ApiError(422, str(error), code=error.code, **error.arguments) from error
    return page(
        console,
        "deliveries",
        staff.texts,
        visit=staff,
        kind=sort,
        kinds=(DeliveryKind.WEBHOOKS,) if console.ports.tenant else tuple(DeliveryKind),
        state=status,
        states=_STATES[sort],
        found=found,
        following=following,
        crms=await _deliveries(console).crms() if sort is DeliveryKind.CRM else (),
    )


@post("/system/deliveries/{kind:str}", opt=FORM, status_code=303)
async def replay(request: PageRequest, console: Site, manager: Manager, kind: FromPath[str]) -> Response[str]:
    """Tell again what was given up: one by its id, or all of it."""
    form = await request.form()
    await check_csrf(request, manager, form)
    sort, id = _kind(kind), str(form.get("id", ""))[:MAX_FIELD]
    count = await _deliveries(console).replay(sort, [id] if id else None)
    deed(request, "deliveries.replayed", f"kind:{sort}", count=count)
    return to(f"/console/system/deliveries?kind={sort}")


async def _system(console: Console, visit: Visit, findings: list[Examined] | None = None) -> Response[str]:
    system = _port(console)
    return page(
        console,
        "system",
        visit.texts,
        visit=visit,
        nodes=await system.nodes(),
        servers=system.servers(),
        queues=await system.queues(),
        health=await console.ports.health.checks(),
        findings=findings,
    )


def _port(console: Console) -> System:
    if console.ports.system is None:
        raise ApiError(404, "this node does not look at itself")
    return console.ports.system


def _deliveries(console: Console) -> Deliveries:
    if console.ports.deliveries is None:
        raise ApiError(404, "this node tells nothing to other systems")
    return console.ports.deliveries


def _kind(text: str) -> DeliveryKind:
    if text not in set(DeliveryKind):
        raise ApiError(404, f"there are no deliveries of the kind {text[:20]!r}")
    return DeliveryKind(text)


HANDLERS: Final = (system_page, doctor, deliveries_page, replay)
