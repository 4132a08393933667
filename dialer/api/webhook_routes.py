"""Webhooks that are made while the node runs: by managers, of a tenant for its own results alone.

Each has a secret of its own, which is told once. Webhooks of the settings are not among them.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, documented
from dialer.api.idempotency import TOLD_ONCE
from dialer.api.requests import KeyedRequest, Ports
from dialer.api.rows import rfc3339
from dialer.api.webhook_orders import change_webhook as change
from dialer.api.webhook_orders import create_webhook, delete_webhook, known_webhook, rotate_webhook, webhook_book
from dialer.api.webhook_ports import WebhookEntry

_DAY_S: Final = 86_400.0
_Url = Annotated[str, Meta(min_length=8, max_length=2_000)]
_Types = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=100)]


class WebhookOut(Struct, kw_only=True):
    """What is known of a webhook; not its secret."""

    id: str
    #: Whose results it is told; empty: everybody's.
    tenant: str
    url: str
    #: Result types; empty: all.
    types: list[str]
    created_at: str
    updated_at: str
    #: Until then the secret before signs as well; null: there is none.
    former_until: str | None


class WebhookMade(WebhookOut, kw_only=True):
    """A webhook with a new secret."""

    #: Key of the signature, this once; null in a repeated answer (Idempotency-Key): rotate it then.
    secret: str | None


class WebhooksOut(Struct, kw_only=True):
    """Webhooks, the oldest first."""

    items: list[WebhookOut]


class WebhookInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A webhook that is wanted."""

    #: https:// or http://, without a name and password in it; never an internal address.
    url: _Url
    types: _Types = []
    #: For whoever runs the installation: whose results alone it is told; empty: everybody's.
    tenant: Annotated[str, Meta(max_length=64)] = ""


class WebhookChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; what is left out stays as it is."""

    url: _Url | UnsetType = UNSET
    types: _Types | UnsetType = UNSET


class SecretRotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a secret is replaced."""

    #: The secret before signs as well for so long, while the receiver is being told the new one.
    overlap_s: Annotated[float, Meta(ge=0, le=30 * _DAY_S)] = _DAY_S


def _out(entry: WebhookEntry) -> WebhookOut:
    return WebhookOut(
        id=entry.id,
        tenant=entry.tenant,
        url=entry.url,
        types=list(entry.types),
        created_at=rfc3339(entry.created_at),
        updated_at=rfc3339(entry.updated_at),
        former_until=None if entry.former_until is None else rfc3339(entry.former_until),
    )


def _made(entry: WebhookEntry, secret: str) -> WebhookMade:
    out = _out(entry)
    return WebhookMade(**{name: getattr(out, name) for name in WebhookOut.__struct_fields__}, secret=secret)


@get("/webhooks", guards=[requires()], responses=documented(*KEYED, 404, 503))
async def list_webhooks(ports: Ports) -> WebhooksOut:
    """Every webhook that was made here, the oldest first."""
    return WebhooksOut(items=[_out(entry) for entry in await webhook_book(ports).all()])


@post("/webhooks", guards=[requires()], responses=documented(*KEYED, *BODY, 404), opt={TOLD_ONCE: "secret"})
async def make_webhook(data: JSONBody[WebhookInput], request: KeyedRequest, ports: Ports) -> WebhookMade:
    """Have results posted to an address from now on, signed with a secret that is in the answer, once."""
    return _made(*await create_webhook(request, ports, data.url, data.types, tenant=data.tenant))


@get("/webhooks/{webhook:str}", guards=[requires()], responses=documented(*KEYED, 404, 503))
async def get_webhook(webhook: FromPath[str], ports: Ports) -> WebhookOut:
    """One webhook."""
    return _out(await known_webhook(ports, webhook))


@patch("/webhooks/{webhook:str}", guards=[requires()], responses=documented(*KEYED, *BODY, 404))
async def change_webhook(
    webhook: FromPath[str], data: JSONBody[WebhookChange], request: KeyedRequest, ports: Ports
) -> WebhookOut:
    """Lead it elsewhere, or tell it other types; what waits for it goes to its new address."""
    url = None if data.url is UNSET else data.url
    types = None if data.types is UNSET else data.types
    return _out(await change(request, ports, webhook, url, types))


@post(
    "/webhooks/{webhook:str}/rotate",
    guards=[requires()],
    responses=documented(*KEYED, *BODY, 404),
    opt={TOLD_ONCE: "secret"},
)
async def rotate_secret(
    webhook: FromPath[str], data: JSONBody[SecretRotation], request: KeyedRequest, ports: Ports
) -> WebhookMade:
    """Give it another secret; for a while requests are signed with both."""
    return _made(*await rotate_webhook(request, ports, webhook, data.overlap_s))


@delete("/webhooks/{webhook:str}", guards=[requires()], responses=documented(*KEYED, 404, 503))
async def end_webhook(webhook: FromPath[str], request: KeyedRequest, ports: Ports) -> None:
    """Tell it nothing more; what waits for it is given up."""
    await delete_webhook(request, ports, webhook)


routes = Router(
    "/",
    route_handlers=[list_webhooks, make_webhook, get_webhook, change_webhook, rotate_secret, end_webhook],
    tags=["webhooks"],
)
