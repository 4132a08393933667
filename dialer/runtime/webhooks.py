"""Webhooks that are made while the node runs: what may be one, and the feed, which begins when there is any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import structlog

from dialer.api.webhook_ports import WebhookEntry
from dialer.crm.contract import RESULTS
from dialer.crm.outbound import Destinations
from dialer.crm.webhooks import WebhookFeed
from dialer.errors import InputError, StorageError
from dialer.queues.streams import StreamReader
from dialer.runtime.deliveries import count_webhooks
from dialer.runtime.tasks import Tasks
from dialer.runtime.tenants import check_known
from dialer.settings import Outbound
from dialer.storage.database import Database
from dialer.storage.webhook_book import KeptWebhook, WebhookBook
from dialer.storage.webhooks import Webhooks

if TYPE_CHECKING:
    from dialer.runtime.node import Node

_log = structlog.get_logger(__name__)

#: Each result is looked at for each of them.
_MOST: Final = 20
_MAX_URL: Final = 2_000
_LOOK_EVERY_S: Final = 2.0


class StoredWebhookBook:
    """`dialer.api.webhook_ports.WebhookBook` on SQL.

    Args:
        database: where they are kept.
        outbound: where webhooks may lead.
        now: the clock.
    """

    def __init__(self, database: Database, outbound: Outbound, now: Callable[[], float]) -> None:
        self._database: Final = database
        self._book: Final = WebhookBook(database)
        self._own: Final = Destinations(outbound.internal)
        self._of_tenants: Final = Destinations(outbound.for_tenants)
        self._now: Final = now

    async def all(self, *, tenant: str = "") -> Sequence[WebhookEntry]:
        """See `WebhookBook`."""
        return [_entry(kept, self._now()) for kept in await self._book.all(tenant)]

    async def find(self, id: str) -> WebhookEntry | None:
        """See `WebhookBook`."""
        kept = await self._book.get(id)
        return None if kept is None else _entry(kept, self._now())

    async def create(self, url: str, types: Sequence[str], *, tenant: str = "") -> tuple[WebhookEntry, str]:
        """See `WebhookBook`."""
        await check_known(self._database, tenant)
        checked = self._checked(url, tenant), _known(types)
        made = await self._book.create(tenant, *checked, self._now(), most=_MOST)
        if made is None:
            raise InputError(f"webhook: there are {_MOST} already; delete one", code="webhooks_full", most=_MOST)
        return _entry(made, self._now()), made.secret

    async def change(self, id: str, url: str, types: Sequence[str]) -> WebhookEntry | None:
        """See `WebhookBook`."""
        kept = await self._book.get(id)
        if kept is None or not await self._book.change(id, self._checked(url, kept.tenant), _known(types), self._now()):
            return None
        return await self.find(id)

    async def rotate(self, id: str, overlap_s: float) -> tuple[WebhookEntry, str] | None:
        """See `WebhookBook`."""
        secret = await self._book.rotate(id, self._now(), overlap_s)
        entry = None if secret is None else await self.find(id)
        return None if secret is None or entry is None else (entry, secret)

    async def delete(self, id: str) -> bool:
        """See `WebhookBook`."""
        return await self._book.delete(id)

    def _checked(self, url: str, tenant: str) -> str:
        """A URL that may be called. A name may lead elsewhere tomorrow: each connection is checked again."""
        parts = _parsed(url)
        host = parts.hostname or ""
        destinations = self._of_tenants if tenant else self._own
        if _numeric(host) and not destinations.allowed(host):
            raise InputError("url: leads to an internal address, which is not allowed", code="url_internal")
        return url


async def tell_webhooks(node: Node, tasks: Tasks, deliver: Callable[[], None], wake: Callable[[], None]) -> None:
    """Begin to tell webhooks what happens, as soon as there is one: in the settings, or made since.

    `tasks`: who owns what is begun; `deliver` has what is due delivered; `wake` has the node's own worker start.
    """
    settings, book = node.settings, WebhookBook(node.database)
    while not settings.webhooks:
        try:
            if await book.all():
                break
        except StorageError as error:
            _log.warning("webhooks are not looked for", error=str(error))
        await asyncio.sleep(_LOOK_EVERY_S)
    wake()
    feed = WebhookFeed(settings.webhooks, Webhooks(node.database), deliver, node.clock.now, book)
    reader = StreamReader(
        node.redis,
        node.keys,
        stream="results",
        group="webhooks",
        consumer=settings.node,
        now=node.clock.now,
        trim=False,
    )
    tasks.start("webhook results", reader.run(feed.handle_results))
    tasks.start("webhook retries", feed.wake_regularly())
    tasks.start("webhook figures", count_webhooks(node.database, node.metrics, node.clock.now))


def _parsed(url: str) -> SplitResult:
    bad = InputError(
        "url: must be an address such as https://crm.example/hook, without a name and password in it", code="not_a_url"
    )
    if len(url) > _MAX_URL or not url.isprintable() or not url.isascii() or " " in url:
        raise bad
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError as error:
        raise bad from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise bad
    return parts


def _numeric(host: str) -> bool:
    """Whether it is an address rather than a name; forms that only some resolvers know are names."""
    return ":" in host or host.replace(".", "").isdigit()


def _known(types: Sequence[str]) -> tuple[str, ...]:
    for name in types:
        if name not in RESULTS:
            raise InputError(
                f"types: there are no results of the type {name[:40]!r}",
                allowed=tuple(sorted(RESULTS)),
                code="no_result_type",
                name=name[:40],
            )
    return tuple(dict.fromkeys(types))


def _entry(kept: KeptWebhook, now: float) -> WebhookEntry:
    former = kept.former_until is not None and now < kept.former_until
    return WebhookEntry(
        id=kept.id,
        tenant=kept.tenant,
        url=kept.url,
        types=kept.types,
        created_at=kept.created_at,
        updated_at=kept.updated_at,
        former_until=kept.former_until if former else None,
    )
