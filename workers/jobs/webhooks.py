"""Deliveries of results to webhooks, from the record of deliveries (see `dialer.crm.webhooks`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import aiohttp
from rq import get_current_job

from dialer.crm.client import retry_after, words_of
from dialer.crm.outbound import Destinations
from dialer.crm.webhooks import headers_of, retry_at
from dialer.intake.jobs import wake_at
from dialer.runtime.clock import Clock
from dialer.settings import Settings, Webhook
from dialer.storage.opening import open_database
from dialer.storage.webhooks import Delivery, Webhooks
from workers.settings import load_settings

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
    destinations = Destinations(settings.outbound.internal)
    told: Counter[str] = Counter()
    put_off: list[float] = []
    try:
        if given_up := await record.give_up_others([webhook.url for webhook in settings.webhooks], clock.now()):
            told["given_up"] = given_up
        # No cookies, no redirects: a receiver that moved must be changed in the settings.
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=destinations.open_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            deliveries = _Deliveries(session, record, clock, told, put_off)
            async with asyncio.TaskGroup() as tasks:
                for webhook in settings.webhooks:
                    tasks.create_task(deliveries.to(webhook))
        await record.forget(clock.now() - _KEPT_S)
    finally:
        await database.close()
    return dict(told), min(put_off, default=None)


class _Deliveries:
    """What is due, each webhook by itself, until nothing is due for any of them or the time is over."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        record: Webhooks,
        clock: Clock,
        told: Counter[str],
        put_off: list[float],
    ) -> None:
        self._session = session
        self._record = record
        self._clock = clock
        self._told = told
        self._put_off = put_off
        self._busy: set[str] = set()
        self._until = clock.now() + _BUDGET_S

    async def to(self, webhook: Webhook) -> None:
        """Everything for one webhook."""
        rounds = max(1, int(_BATCH_S // webhook.timeout_s))
        lease_s = webhook.timeout_s * rounds + _LEASE_MARGIN_S
        self._busy.add(webhook.url)
        while self._clock.now() < self._until:
            due = await self._record.claim(webhook.url, self._clock.now(), rounds * _AT_ONCE, lease_s)
            if due:
                self._busy.add(webhook.url)
                await self._all(webhook, due)
                continue
            self._busy.discard(webhook.url)
            if not self._busy:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
        self._busy.discard(webhook.url)

    async def _all(self, webhook: Webhook, due: Sequence[Delivery]) -> None:
        waiting = iter(due)

        async def one_after_another() -> None:
            for delivery in waiting:
                self._told[await self._one(webhook, delivery)] += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_AT_ONCE, len(due))):
                tasks.create_task(one_after_another())

    async def _one(self, webhook: Webhook, delivery: Delivery) -> str:
        error, asked_s = await post(self._session, webhook, delivery, self._clock.now())
        now = self._clock.now()
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
    session: aiohttp.ClientSession, webhook: Webhook, delivery: Delivery, now: float
) -> tuple[str, float | None]:
    """Make one request: what went wrong ("" where nothing did), and the seconds that the receiver asks to wait."""
    try:
        async with session.post(
            webhook.url,
            data=delivery.payload.encode(),
            headers=headers_of(delivery, (webhook.secret, *webhook.previous_secrets), now),
            timeout=aiohttp.ClientTimeout(total=webhook.timeout_s),
            allow_redirects=False,
        ) as answer:
            if 200 <= answer.status < 300:
                return "", None
            asked_s = retry_after(answer.headers.get("retry-after", ""), now)
            return f"the receiver answered {answer.status}", asked_s
    except TimeoutError:
        return f"no answer within {webhook.timeout_s:g} s", None
    except aiohttp.ClientError as error:
        return words_of(error), None
