"""What managers order of webhooks, by the API and by the console alike, and what is recorded of it.

All of them raise `InputError` where what is given cannot be used, and `ApiError` 404 for what does not exist or is
somebody else's. An address may hold a key, so the audit log has the id alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request

from dialer.api.audit import deed
from dialer.api.errors import ApiError
from dialer.api.ports import ApiPorts
from dialer.api.webhook_ports import WebhookBook, WebhookEntry

Asked = Request[Any, Any, Any]


async def create_webhook(
    request: Asked, ports: ApiPorts, url: str, types: Sequence[str], *, tenant: str = ""
) -> tuple[WebhookEntry, str]:
    """Add a webhook; the second part is its secret."""
    deed(request, "webhook.created")
    made, secret = await webhook_book(ports).create(url, types, tenant=tenant)
    deed(request, "webhook.created", f"webhook:{made.id}")
    return made, secret


async def change_webhook(
    request: Asked, ports: ApiPorts, id: str, url: str | None, types: Sequence[str] | None
) -> WebhookEntry:
    """Give it another address or other types; None: as they are."""
    deed(request, "webhook.changed", f"webhook:{id[:64]}")
    before = await known_webhook(ports, id)
    changed = await webhook_book(ports).change(
        id, before.url if url is None else url, before.types if types is None else types
    )
    if changed is None:
        raise _unknown(id)
    return changed


async def rotate_webhook(request: Asked, ports: ApiPorts, id: str, overlap_s: float) -> tuple[WebhookEntry, str]:
    """Give it another secret."""
    deed(request, "webhook.rotated", f"webhook:{id[:64]}")
    made = await webhook_book(ports).rotate(id, overlap_s)
    if made is None:
        raise _unknown(id)
    return made


async def delete_webhook(request: Asked, ports: ApiPorts, id: str) -> None:
    """Tell it nothing more."""
    deed(request, "webhook.deleted", f"webhook:{id[:64]}")
    if not await webhook_book(ports).delete(id):
        raise _unknown(id)


async def known_webhook(ports: ApiPorts, id: str) -> WebhookEntry:
    """A webhook.

    Raises:
        ApiError: 404.
    """
    found = await webhook_book(ports).find(id)
    if found is None:
        raise _unknown(id)
    return found


def webhook_book(ports: ApiPorts) -> WebhookBook:
    """The webhooks that can be reached.

    Raises:
        ApiError: 404, none can be made at this node.
    """
    if ports.webhook_book is None:
        raise ApiError(404, "no webhooks are made at this node; the settings have them")
    return ports.webhook_book


def _unknown(id: str) -> ApiError:
    return ApiError(404, f"there is no webhook {id[:64]!r}", code="no_webhook", webhook=id[:64])
