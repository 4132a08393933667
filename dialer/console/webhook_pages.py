"""Webhooks that are made while the node runs: where results are posted to, for managers; of a tenant its own alone."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from dialer.api.errors import ApiError
from dialer.api.webhook_orders import change_webhook, create_webhook, delete_webhook, rotate_webhook, webhook_book
from dialer.console.answers import FORM, MAX_FIELD, Manager, PageRequest, Site, page, to
from dialer.console.problems import told
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.errors import InputError

_WEBHOOKS: Final = "/console/system/webhooks"
_MAX_URL: Final = 2_001
#: The time of the secret before, once there is another.
_OVERLAP_S: Final = 86_400.0


@get("/system/webhooks")
async def webhooks_page(console: Site, manager: Manager) -> Response[str]:
    """Every webhook that was made here."""
    return await _webhooks(console, manager)


@post("/system/webhooks", opt=FORM, status_code=200)
async def make_webhook(request: PageRequest, console: Site, manager: Manager) -> Response[str]:
    """Make a webhook, and show its secret: it cannot be shown again."""
    form = await request.form()
    await check_csrf(request, manager, form)
    url, types, tenant = _text(form, "url", _MAX_URL), _text(form, "types", 4_000), _text(form, "tenant")
    try:
        made, secret = await create_webhook(request, console.ports, url, _listed(types), tenant=tenant)
    except InputError as error:
        problem = told(manager.texts, error)
        return await _webhooks(console, manager, problem=problem, url=url, types=types, tenant=tenant)
    return await _webhooks(console, manager, made=made.id, secret=secret)


@post("/system/webhooks/{webhook:str}/{verb:str}", opt=FORM, status_code=303)
async def order_webhook(
    request: PageRequest, console: Site, manager: Manager, webhook: FromPath[str], verb: FromPath[str]
) -> Response[str]:
    """Change a webhook, give it another secret, or delete it."""
    form = await request.form()
    await check_csrf(request, manager, form)
    ports = console.ports
    match verb:
        case "change":
            try:
                types = _listed(_text(form, "types", 4_000))
                await change_webhook(request, ports, webhook, _text(form, "url", _MAX_URL), types)
            except InputError as error:
                return await _webhooks(console, manager, problem=told(manager.texts, error))
        case "rotate":
            made, secret = await rotate_webhook(request, ports, webhook, _OVERLAP_S)
            return await _webhooks(console, manager, made=made.id, secret=secret)
        case "delete":
            await delete_webhook(request, ports, webhook)
        case _:
            raise ApiError(404, f"there is no order {verb[:20]!r}")
    return to(_WEBHOOKS)


async def _webhooks(
    console: Console, manager: Visit, problem: str = "", made: str = "", secret: str = "", **typed: str
) -> Response[str]:
    ports = console.ports
    return page(
        console,
        "webhooks",
        manager.texts,
        status=422 if problem else 200,
        visit=manager,
        webhooks=await webhook_book(ports).all(),
        tenants=await ports.user_book.tenants() if ports.user_book is not None else (),
        problem=problem,
        made=made,
        secret=secret,
        typed={"url": "", "types": "", "tenant": ""} | typed,
    )


def _text(form: Any, field: str, most: int = MAX_FIELD) -> str:
    return str(form.get(field, ""))[:most].strip()


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").split()


HANDLERS: Final = (webhooks_page, make_webhook, order_webhook)
