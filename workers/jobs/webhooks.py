"""Deliveries of results to webhooks, from the record of deliveries (see `dialer.crm.webhooks`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from rq import get_current_job

from dialer.core.saying import NOTHING, Saying, say
from dialer.crm.client import retry_after, words_of
from dialer.crm.outbound import Destinations
from dialer.crm.webhooks import headers_of, retry_at
from dialer.intake.jobs import wake_at
from dialer.runtime.clock import Clock
from dialer.settings import Settings, Webhook
from dialer.storage.database import Database
from dialer.storage.opening import open_database
from dialer.storage.webhook_book import WebhookBook
from dialer.storage.webhooks import Delivery, Webhooks
from dialer.tracing.deliveries import DeliveryTraces
from dialer.tracing.places import TRACEPARENT
from workers.settings import load_settings
from workers.tracing import tracing

#: Requests under way at once, for each webhook: one that is slow takes nothing from the others.
_AT_ONCE: Final = 8
#: A claimed batch is over within so many seconds, whoever answers.
_BATCH_S: Final = 40.0
#: Seconds after which no further deliveries are taken, so that the job ends well within its time.
_BUDGET_S: Final = 60.0
#: Longer than a claimed batch can take, or two workers would deliver the same.
_LEASE_MARGIN_S: Final = 30.0
#: While others are still at it, who has nothing due looks again so soon.
_LOOK_AGAIN_S: Final = 0.25
#: By the receiver that deliveries name: the URL, or the id of one that was made while the node runs.
_Receivers = dict[str, Webhook]
#: What was delivered is kept for so long.
_KEPT_S: Final = 30 * 86_400.0


def deliver_due() -> dict[str, int]:
    """Deliver what is due, until nothing is; how many were delivered, put off and given up.

    What was put off brings this job back through RQ's scheduler when the first of it is due.

    Raises:
        StorageError: the database is out of reach; what was claimed is due again when its lease has run out.
    """
    told, again_at = asyncio.run(_deliver(load_settings()))
    job = get_current_job()
    if again_at is not None and job is not None and job.connection is not None:
        wake_at(job.connection, again_at)
    return told


async def _deliver(settings: Settings) -> tuple[dict[str, int], float | None]:
    clock = Clock()
    database = open_database(settings)
    record = Webhooks(database)
    told: Counter[str] = Counter()
    put_off: list[float] = []
    try:
        # In this order: one that is made meanwhile is not missed.
        waited_for = await record.receivers()
        webhooks, of_tenants = await _webhooks(settings, database, clock.now())
        if given_up := await record.give_up(waited_for - webhooks.keys() - of_tenants.keys(), clock.now()):
            told["given_up"] = given_up
        # No cookies, no redirects: a receiver that moved must be changed in the settings.
        async with (
            tracing(settings, database, clock.now) as site,
            _session(settings.outbound.internal) as session,
            _session(settings.outbound.for_tenants) as tenants_session,
        ):
            traces = None if site is None else DeliveryTraces(site.places, site.outlet.put)
            deliveries = _Deliveries(record, clock, told, put_off, traces)
            async with asyncio.TaskGroup() as tasks:
                for receiver, webhook in webhooks.items():
                    tasks.create_task(deliveries.to(receiver, webhook, session))
                for receiver, webhook in of_tenants.items():
                    tasks.create_task(deliveries.to(receiver, webhook, tenants_session))
        await record.forget(clock.now() - _KEPT_S)
    finally:
        await database.close()
    return dict(told), min(put_off, default=None)


def _session(internal: Sequence[str]) -> aiohttp.ClientSession:
    """Public addresses can be reached through it, and those of `internal`."""
    connector = aiohttp.TCPConnector(socket_factory=Destinations(internal).open_socket)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def _webhooks(settings: Settings, database: Database, now: float) -> tuple[_Receivers, _Receivers]:
    """The installation's webhooks and those of tenants, by the receiver that deliveries name."""
    own = {webhook.url: webhook for webhook in settings.webhooks}
    of_tenants: _Receivers = {}
    for kept in await WebhookBook(database).all():
        secret, *former = kept.secrets_at(now)
        webhook = Webhook(url=kept.url, secret=secret, previous_secrets=tuple(former), types=kept.types)
        (of_tenants if kept.tenant else own)[kept.id] = webhook
    return own, of_tenants


class _Deliveries:
    """What is due, each webhook by itself, until nothing is due for any of them or the time is over."""

    def __init__(
        self,
        record: Webhooks,
        clock: Clock,
        told: Counter[str],
        put_off: list[float],
        traces: DeliveryTraces | None,
    ) -> None:
        self._record = record
        self._clock = clock
        self._told = told
        self._put_off = put_off
        self._traces = traces
        self._busy: set[str] = set()
        self._until = clock.now() + _BUDGET_S

    async def to(self, receiver: str, webhook: Webhook, session: aiohttp.ClientSession) -> None:
        """Everything for one webhook."""
        rounds = max(1, int(_BATCH_S // webhook.timeout_s))
        lease_s = webhook.timeout_s * rounds + _LEASE_MARGIN_S
        self._busy.add(receiver)
        while self._clock.now() < self._until:
            due = await self._record.claim(receiver, self._clock.now(), rounds * _AT_ONCE, lease_s)
            if due:
                self._busy.add(receiver)
                await self._all(webhook, session, due)
                continue
            self._busy.discard(receiver)
            if not self._busy:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
        self._busy.discard(receiver)

    async def _all(self, webhook: Webhook, session: aiohttp.ClientSession, due: Sequence[Delivery]) -> None:
        waiting = iter(due)

        async def one_after_another() -> None:
            for delivery in waiting:
                self._told[await self._one(webhook, session, delivery)] += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_AT_ONCE, len(due))):
                tasks.create_task(one_after_another())

    async def _one(self, webhook: Webhook, session: aiohttp.ClientSession, delivery: Delivery) -> str:
        began_at = self._clock.now()
        place = None if self._traces is None else self._traces.place(delivery)
        more = {} if place is None else {TRACEPARENT: place.traceparent}
        error, asked_s = await post(session, webhook, delivery, began_at, more)
        now = self._clock.now()
        if self._traces is not None:
            self._traces.tried(delivery, began_at, now, error.says)
        if not error:
            await self._record.delivered(delivery.id, now)
            return "delivered"
        again_at = retry_at(delivery.attempts + 1, now, asked_s)
        await self._record.failed(delivery.id, error, now=now, retry_at=again_at)
        if again_at is None:
            return "given_up"
        self._put_off.append(again_at)
        return "put_off"


async def post(
    session: aiohttp.ClientSession, webhook: Webhook, delivery: Delivery, now: float, more: Mapping[str, str]
) -> tuple[Saying, float | None]:
    """Make one request: what went wrong (nothing where nothing did), and the seconds that the receiver asks to wait.

    `more`: further headers.
    """
    try:
        async with session.post(
            webhook.url,
            data=delivery.payload.encode(),
            headers={**headers_of(delivery, (webhook.secret, *webhook.previous_secrets), now), **more},
            timeout=aiohttp.ClientTimeout(total=webhook.timeout_s),
            allow_redirects=False,
        ) as answer:
            if 200 <= answer.status < 300:
                return NOTHING, None
            asked_s = retry_after(answer.headers.get("retry-after", ""), now)
            says = f"the receiver answered {answer.status}"
            return say(says, code="receiver_answered", status=answer.status), asked_s
    except TimeoutError:
        says = f"no answer within {webhook.timeout_s:g} s"
        return say(says, code="no_answer_within", timeout_s=webhook.timeout_s), None
    except aiohttp.ClientError as error:
        return words_of(error), None
