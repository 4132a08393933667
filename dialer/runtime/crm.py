"""The node's part in the exchange with CRMs that are asked: results into the record of updates, turns for the workers.

What a CRM answers is read by the workers alone, away from the loop in which calls are made (docs/adr/0010).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from dialer.core.ids import CampaignId
from dialer.crm.access import Access
from dialer.crm.mapping import load_mapping, mapping_path
from dialer.crm.update_feed import UpdateFeed
from dialer.errors import QueueError, StorageError
from dialer.intake.jobs import Job, exchange_with_crm
from dialer.projections.metrics import Metrics
from dialer.queues.streams import Handler
from dialer.settings import CrmPull, Settings
from dialer.storage.crm_sources import CrmSources, Source
from dialer.storage.crm_updates import Backlog, CrmUpdates
from dialer.storage.database import Database

_log = structlog.get_logger(__name__)

_TICK_S: Final = 1.0
#: A turn that is under way may have looked before the update was there: so long after, it is asked for again.
_AGAIN_S: Final = 6.0
_SAMPLE_EVERY_S: Final = 10.0
_UPDATE: Final = "update_"


class CrmExchanges:
    """All `[[crm.pull]]` of the settings whose campaigns are of the own shard.

    Args:
        settings: of the node.
        database: the record.
        put: the way to the workers (`dialer.intake.jobs.JobOutbox.put`).
        metrics: told how the exchange fares.
        now: the clock.

    Raises:
        ConfigError: a mapping cannot be used, or access lacks something.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        put: Callable[[Job], None],
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        shards = settings.redis.table
        self._pulls: Sequence[CrmPull] = [pull for pull in settings.crm.pull if shards.mine(pull.campaign)]
        self._sources = CrmSources(database)
        self._updates = CrmUpdates(database)
        self._put = put
        self._metrics = metrics
        self._now = now
        self._due = {pull.name: now() for pull in self._pulls}
        self._counted: dict[str, Counter[str]] = {}
        mappings = [(pull, load_mapping(mapping_path(settings.crm, pull.mapping))) for pull in self._pulls]
        for pull in self._pulls:
            Access(pull.access)  # what the workers would stumble over is said here, at the start
        self._feed = UpdateFeed(mappings, self._sources, self._updates, self._soon, now)

    def tasks(self, read: Callable[[Handler], Awaitable[None]]) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What is to run, by name; `read` hands every result to a handler, until cancelled."""

        async def feed() -> None:
            await read(self._feed.handle_results)

        return {"CRM updates": feed, "CRM turns": self.run, "CRM figures": self.sample}

    async def run(self) -> None:
        """Ask for a turn with each CRM when it is due, until cancelled."""
        while True:
            now = self._now()
            for pull in self._pulls:
                if now >= self._due[pull.name]:
                    self._due[pull.name] = now + pull.every_s
                    self._turn(pull)
            await asyncio.sleep(_TICK_S)

    async def sample(self) -> None:
        """Tell the metrics how the exchange fares, until cancelled."""
        while True:
            try:
                self.tell(await self._sources.all(), await self._updates.backlog())
            except StorageError as error:
                _log.warning("how the exchange with CRMs fares is not known", error=str(error))
            await asyncio.sleep(_SAMPLE_EVERY_S)

    def tell(self, sources: Sequence[Source], backlog: Mapping[str, Backlog]) -> None:
        """Tell the metrics what is on record; what was counted before this node began is not counted again."""
        found = {source.name: source for source in sources}
        now = self._now()
        by_campaign: dict[str, list[tuple[Source, Backlog]]] = {}
        for pull in self._pulls:
            if pull.name in found:
                nothing = Backlog(waiting=0, oldest_at=None, failed=0)
                by_campaign.setdefault(pull.campaign, []).append((found[pull.name], backlog.get(pull.name, nothing)))
        for campaign, stands in by_campaign.items():
            for source, _ in stands:
                self._count(CampaignId(campaign), source)
            self._metrics.crm_lag(
                CampaignId(campaign),
                waiting=sum(each.waiting for _, each in stands),
                update_lag_s=max(now - (now if each.oldest_at is None else each.oldest_at) for _, each in stands),
                pull_lag_s=max(now - (source.completed_at or source.started_at or now) for source, _ in stands),
                failures=max(source.failures for source, _ in stands),
            )

    def _count(self, campaign: CampaignId, source: Source) -> None:
        counts = Counter(dict(source.counts))
        for outcome, count in (counts - self._counted.get(source.name, counts)).items():
            if outcome == "pages":
                continue  # no call, but what they came on
            if outcome.startswith(_UPDATE):
                self._metrics.crm_updates(campaign, outcome.removeprefix(_UPDATE), count)
            else:
                self._metrics.crm_contacts(campaign, outcome, count)
        self._counted[source.name] = counts

    def _soon(self, pull: CrmPull) -> None:
        self._due[pull.name] = min(self._due[pull.name], self._now() + _AGAIN_S)
        self._turn(pull)

    def _turn(self, pull: CrmPull) -> None:
        with contextlib.suppress(QueueError):  # too many wait already: there is one among them, or the next tick asks
            self._put(exchange_with_crm(pull.name, self._now()))
