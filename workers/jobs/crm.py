"""Turns with CRMs that are asked for their pending calls (see `dialer.crm.exchange`)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from dialer.compliance.suppression import Suppressions
from dialer.core.ids import CampaignId, NodeName
from dialer.crm.client import CrmClient
from dialer.crm.exchange import CrmExchange
from dialer.crm.mapping import CrmMapping, load_mapping, mapping_path
from dialer.crm.outbound import Destinations
from dialer.crm.own_mapping import own_mapping
from dialer.crm.puller import Puller, Withdrawals
from dialer.crm.update_writer import UpdateWriter
from dialer.errors import GateNotReady, InputError
from dialer.intake.desk import ContactDesk, Listener
from dialer.intake.phones import PhoneReader
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.keys import Keys
from dialer.queues.port import Publish
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.reopening import Reopening
from dialer.queues.results import Result
from dialer.runtime.api_ports import StreamPurges
from dialer.runtime.clock import Clock
from dialer.runtime.recycling import NodeRecycling
from dialer.settings import CrmPull, Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.crm_sources import CrmSources
from dialer.storage.crm_updates import CrmUpdates
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCallList
from dialer.storage.opening import open_database
from dialer.storage.promises import Promises
from dialer.storage.recycling import Recycling
from dialer.storage.suppressions import SuppressionStore
from dialer.tracing.arrivals import Arrivals
from workers.settings import load_settings
from workers.tracing import tracing

_log = structlog.get_logger(__name__)

#: What was written is kept for so long.
_KEPT_S: Final = 30 * 86_400.0


def exchange(source: str) -> dict[str, int]:
    """One turn with the CRM of this name in the settings; what was done, by what it was.

    Raises:
        ConfigError: its settings or mapping are wrong.
        QueueError: Redis is out of reach or not ready; nothing is lost, the next turn goes on.
        StorageError: the database is; likewise.
    """
    settings = load_settings()
    pull = next((pull for pull in settings.crm.pull if pull.name == source), None)
    if pull is None or not settings.redis.table.mine(pull.campaign):
        _log.warning("a CRM that is not in the settings any more, or of another shard", source=source)
        return {}
    return asyncio.run(_turn(settings, pull, Clock().now))


async def _turn(settings: Settings, pull: CrmPull, now: Callable[[], float]) -> dict[str, int]:
    owner = f"crm-{pull.name}-{secrets.token_hex(4)}"[:64]
    database = open_database(settings)
    try:
        redis = connect(settings.redis.url, name=owner)
        queues = RedisQueues.from_url(
            settings.redis.url, node=NodeName(owner), prefix=settings.redis.prefix, strict_gate=False
        )
        try:
            if not await queues.prepare():
                raise GateNotReady("no node has loaded the record into Redis yet: start one (cadencia serve)")
            erased = Suppressions(await SuppressionStore(database).all(), settings.compliance.suppression_key)
            phones = PhoneReader(settings.default_region, erased=erased.cover)
            async with tracing(settings, database, now) as site:
                arrivals = None if site is None else Arrivals(site.places, site.outlet.put, now)
                turn = exchange_of(settings, pull, owner, database, redis, queues, phones, now, arrivals)
                told = await turn.turn()
            await CrmUpdates(database).forget(now() - _KEPT_S)
            return told
        finally:
            await queues.close()
            await redis.aclose()
    finally:
        await database.close()


def exchange_of(
    settings: Settings,
    pull: CrmPull,
    owner: str,
    database: Database,
    redis: AsyncRedis,
    queues: RedisQueues,
    phones: PhoneReader,
    now: Callable[[], float],
    listener: Listener | None = None,
) -> CrmExchange:
    """Everything that a turn with one CRM needs, wired together; `listener` hears of contacts that it takes."""
    campaign = CampaignId(pull.campaign)
    mapping = load_mapping(mapping_path(settings.crm, pull.mapping))
    client = CrmClient(pull, Destinations(settings.outbound.internal), now)
    sources, contacts = CrmSources(database), Contacts(database)
    purges = StreamPurges(redis, Keys(settings.redis.prefix), DoNotCallList(database), now)
    withdrawals = Withdrawals(pull, sources, purges.remove, now)

    async def publish(results: Sequence[Result]) -> None:
        if results:
            await queues.write([Publish(result=result) for result in results])

    async def own() -> CrmMapping:
        stored = await Campaigns(database).get(campaign)
        return mapping if stored is None else own_mapping(mapping, stored.campaign, pull.name)

    async def ready() -> int:
        if await Campaigns(database).get(campaign) is None:
            raise InputError(
                f"there is no campaign {campaign!r}; create it first (cadencia campaign create {campaign})"
            )
        return (await queues.depth(campaign)).ready

    return CrmExchange(
        pull=pull,
        client=client,
        sources=sources,
        writer=UpdateWriter(
            pull=pull,
            mapping=mapping,
            own=own,
            client=client,
            sources=sources,
            updates=CrmUpdates(database),
            contacts=contacts,
            withdrawals=withdrawals,
            now=now,
        ),
        puller=Puller(
            pull=pull,
            mapping=mapping,
            own=own,
            client=client,
            sources=sources,
            withdrawals=withdrawals,
            desk=ContactDesk(contacts, queues, phones, Promises(database), listener, settings.redis.table),
            reopen=NodeRecycling(
                Recycling(database), Reopening(redis, Keys(settings.redis.prefix), queues), now
            ).reopen,
            publish=publish,
            ready=ready,
            now=now,
        ),
        owner=owner,
        now=now,
    )
