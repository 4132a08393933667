"""Deliveries of results to webhooks, from the record of deliveries (see `dialer.crm.webhooks`)."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import aiohttp
from rq import get_current_job

from dialer.crm.webhooks import headers_of, retry_at
from dialer.intake.jobs import wake_at
from dialer.runtime.clock import Clock
from dialer.settings import Settings, Webhook
from dialer.storage.database import Database
from dialer.storage.webhooks import Delivery, Webhooks
from workers.settings import load_settings

_CLAIM: Final = 200
#: Requests under way at once.
_AT_ONCE: Final = 16
#: Seconds after which no further deliveries are taken, so that the job ends well within its time.
_BUDGET_S: Final = 60.0
#: Longer than a claimed batch can take, or two workers would deliver the same.
_LEASE_MARGIN_S: Final = 30.0


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
    database = Database(settings.database.url)
    webhooks = {webhook.url: webhook for webhook in settings.webhooks}
    longest_s = max((webhook.timeout_s for webhook in settings.webhooks), default=10.0)
    lease_s = longest_s * math.ceil(_CLAIM / _AT_ONCE) + _LEASE_MARGIN_S
    record = Webhooks(database)
    told: Counter[str] = Counter()
    put_off: list[float] = []
    started_at = clock.now()
    try:
        # No cookies, no redirects: a receiver that moved must be changed in the settings.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            while clock.now() - started_at < _BUDGET_S:
                due = await record.claim(clock.now(), _CLAIM, lease_s)
                if not due:
                    break
                told += await _deliver_all(session, record, webhooks, due, clock, put_off)
    finally:
        await database.close()
    return dict(told), min(put_off, default=None)


async def _deliver_all(
    session: aiohttp.ClientSession,
    record: Webhooks,
    webhooks: dict[str, Webhook],
    due: Sequence[Delivery],
    clock: Clock,
    put_off: list[float],
) -> Counter[str]:
    told: Counter[str] = Counter()
    waiting = iter(due)

    async def one_after_another() -> None:
        for delivery in waiting:
            verdict, again_at = await _deliver_one(session, record, webhooks.get(delivery.url), delivery, clock)
            told[verdict] += 1
            if again_at is not None:
                put_off.append(again_at)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(_AT_ONCE, len(due))):
            tasks.create_task(one_after_another())
    return told


async def _deliver_one(
    session: aiohttp.ClientSession, record: Webhooks, webhook: Webhook | None, delivery: Delivery, clock: Clock
) -> tuple[str, float | None]:
    if webhook is None:
        error = "this webhook is no longer in the settings"
        await record.failed(delivery.id, error, now=clock.now(), retry_at=None)
        return "given_up", None
    error, asked_s = await post(session, webhook, delivery, clock.now())
    now = clock.now()
    if not error:
        await record.delivered(delivery.id, now)
        return "delivered", None
    again_at = retry_at(delivery.attempts + 1, now, asked_s)
    await record.failed(delivery.id, error, now=now, retry_at=again_at)
    return "given_up" if again_at is None else "put_off", again_at


async def post(
    session: aiohttp.ClientSession, webhook: Webhook, delivery: Delivery, now: float
) -> tuple[str, float | None]:
    """Make one request: what went wrong ("" where nothing did), and the seconds that the receiver asks to wait."""
    try:
        async with session.post(
            webhook.url,
            data=delivery.payload.encode(),
            headers=headers_of(delivery, webhook.secret, now),
            timeout=aiohttp.ClientTimeout(total=webhook.timeout_s),
            allow_redirects=False,
        ) as answer:
            if 200 <= answer.status < 300:
                return "", None
            after = answer.headers.get("retry-after", "")
            return f"the receiver answered {answer.status}", float(after) if after.isdecimal() else None
    except TimeoutError:
        return f"no answer within {webhook.timeout_s:g} s", None
    except aiohttp.ClientError as error:
        # The class, and the system's words where there are some: never the URL, which may hold a token.
        system = error.strerror if isinstance(error, OSError) and error.strerror else ""
        return f"{type(error).__name__} {system}".strip(), None
