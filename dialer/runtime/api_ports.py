"""The API's ports on the record, the queues and the engine: thin, one class a port."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence

import structlog

from dialer.api.attempt_ports import AttemptQuery, GivenDisposition
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.health_ports import HealthCheck
from dialer.api.key_ports import ApiKey, Role
from dialer.api.purge_ports import DoNotCallEntry
from dialer.compliance.machine_error import AnswerCounts
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, CampaignId, Phone
from dialer.core.outcome import Outcome
from dialer.core.pacing_entry import PacingEntry
from dialer.core.saying import Saying, of_error, say
from dialer.errors import DialerError
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys as QueueKeys
from dialer.queues.shard_links import ShardLinks
from dialer.runtime.gatekeeper import Gatekeeper
from dialer.storage.attempts import AttemptFilter, Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.cursors import encode_cursor
from dialer.storage.database import Database
from dialer.storage.dispositions import Dispositions
from dialer.storage.do_not_call import DoNotCall, DoNotCallList
from dialer.storage.keys import Keys
from dialer.storage.pacing_journal import PacingJournal
from dialer.storage.schema import version
from dialer.storage.stream_consumer import StreamConsumer
from dialer.switch.port import Switch

_log = structlog.get_logger(__name__)
_CHECK_TIMEOUT_S = 1.5
_SILENT = say("no answer in time", code="no_answer_in_time")


class StoredKeys:
    """`KeyStore` on SQL."""

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        self._keys = keys
        self._now = now

    async def find(self, digest: str) -> ApiKey | None:
        """The key whose SHA-256 is `digest`; None where there is none or it is not valid any more."""
        found = await self._keys.find_hash(digest, self._now())
        if found is None:
            return None
        role = Role(found.role)
        # An agent's key is named after the agent and may act for nobody else.
        agent = AgentId(found.name) if role is Role.AGENT else None
        return ApiKey(
            id=found.id, role=role, digest=digest, agent=agent, expires_at=found.expires_at, tenant=found.tenant
        )


class StoredCampaigns:
    """`Campaigns` on SQL."""

    def __init__(self, campaigns: Campaigns) -> None:
        self._campaigns = campaigns

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """One campaign."""
        found = await self._campaigns.get(campaign)
        if found is None:
            return None
        return StoredCampaign(campaign=found.campaign, state=found.state, updated_at=found.updated_at)

    async def page(self, after: CampaignId | None, limit: int, *, tenant: str = "") -> Sequence[StoredCampaign]:
        """Up to `limit` campaigns by id, those behind `after`; there are few, so they are read at once."""
        found = sorted(await self._campaigns.all(tenant), key=lambda stored: stored.campaign.id)
        return [
            StoredCampaign(campaign=s.campaign, state=s.state, updated_at=s.updated_at)
            for s in found
            if after is None or s.campaign.id > after
        ][:limit]

    async def create(self, campaign: Campaign, now: float) -> bool:
        """Add a campaign as a draft; False where its id is taken."""
        return await self._campaigns.create(campaign, now)

    async def replace(self, before: StoredCampaign, campaign: Campaign, now: float) -> bool:
        """Replace the settings of a campaign; its state stays. False where it is not as `before` any more."""
        return await self._campaigns.replace(campaign, now, unchanged_since=before.updated_at)


class StoredAttempts:
    """`Attempts` on SQL; what has just ended and is not there yet is known from `recent`."""

    def __init__(
        self, attempts: Attempts, dispositions: Dispositions, recent: Callable[[CallId], Attempt | None]
    ) -> None:
        self._attempts = attempts
        self._dispositions = dispositions
        self._recent = recent

    async def dispositions(self, calls: Sequence[CallId]) -> Mapping[CallId, str]:
        """The latest code that each of these calls was closed with, where it was."""
        return {call: found.code for call, found in (await self._dispositions.latest(calls)).items()}

    async def disposition_history(self, call: CallId) -> Sequence[GivenDisposition]:
        """All codes that a call was given, the latest first."""
        return [
            GivenDisposition(
                code=found.code,
                at=found.at,
                by=found.by,
                agent=found.agent,
                amount=found.amount,
                currency=found.currency,
                category=found.category,
                is_sale=found.is_sale,
                is_contact=found.is_contact,
                notes=found.notes,
                ref=found.ref,
            )
            for found in await self._dispositions.history(call)
        ]

    async def answer_counts(self, since: float, until: float) -> Mapping[CampaignId, AnswerCounts]:
        """What became of answered calls, of each campaign that had any."""
        return await self._attempts.answer_counts(since, until)

    async def get(self, call: CallId) -> Attempt | None:
        """One ended call."""
        return self._recent(call) or await self._attempts.get(call)

    async def page(self, query: AttemptQuery, before: tuple[float, CallId] | None, limit: int) -> Sequence[Attempt]:
        """Up to `limit` ended calls, newest first, those older than `before`."""
        wanted = AttemptFilter(
            campaign=query.campaign,
            contact=query.contact,
            agent=query.agent,
            outcome=None if query.outcome is None else Outcome(query.outcome),
            since=query.ended_from,
            until=query.ended_before,
            tenant=query.tenant,
        )
        cursor = None if before is None else encode_cursor(before)
        return (await self._attempts.page(wanted, cursor=cursor, limit=limit)).items


class StoredPacing:
    """`Pacing` on SQL."""

    def __init__(self, journal: PacingJournal) -> None:
        self._journal = journal

    async def between(
        self, campaign: CampaignId, since: float, until: float | None, after: tuple[float, str] | None, limit: int
    ) -> Sequence[PacingEntry]:
        """Up to `limit` rows, the oldest first, those behind `after`."""
        cursor = None if after is None else encode_cursor(after)
        end = math.inf if until is None else until
        return (await self._journal.between(campaign, since, end, cursor=cursor, limit=limit)).items


class StreamPurges:
    """`Purges` by the streams that a CRM writes to: one way in, one promise.

    With `links` each message is written in every shard that it concerns, or the writer is told that it was not.
    """

    def __init__(
        self,
        client: AsyncRedis,
        keys: QueueKeys,
        held: DoNotCallList,
        now: Callable[[], float],
        links: ShardLinks | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._held = held
        self._now = now
        self._links = links

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to the stream of removals."""
        await self._write("removals", messages)

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to the stream of do-not-call entries."""
        await self._write("dnc", messages)

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to the stream of callbacks."""
        await self._write("callbacks", messages)

    async def listed(self, phone: Phone) -> Sequence[DoNotCallEntry]:
        """The do-not-call entries of a number, in every scope, also by one of its beginnings."""
        return [_entry(held) for held in await self._held.holding(phone, self._now())]

    async def entries(
        self, scope: str | None, after: tuple[str, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[DoNotCallEntry]:
        """Up to `limit` entries of one scope or all, by (scope, phone), those behind `after`."""
        held = await self._held.after(after, limit, scope=scope, holding_at=self._now(), tenant=tenant)
        return [_entry(entry) for entry in held]

    async def _write(self, stream: str, messages: Sequence[Mapping[str, object]]) -> None:
        if self._links is not None:
            await self._links.write(stream, messages)
            return
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            for message in messages:
                pipeline.xadd(self._keys[stream], {"data": json.dumps(message, ensure_ascii=False)})
            await pipeline.execute()


def _entry(held: DoNotCall) -> DoNotCallEntry:
    return DoNotCallEntry(
        scope=held.scope,
        phone=held.phone,
        reason=held.reason,
        expires_at=held.expires_at,
        source=held.source,
        who=held.who,
        at=held.at,
    )


def _check(name: str, told: Saying, *, ok: bool = False) -> HealthCheck:
    return HealthCheck(name=name, ok=ok, problem=told.says, code=told.code, arguments=told.arguments)


class NodeHealth:
    """`Health`: what this node lacks, in words that say what to do."""

    def __init__(
        self,
        *,
        database: Database,
        client: AsyncRedis,
        gatekeeper: Gatekeeper,
        switch: Switch,
        consumers: Mapping[str, StreamConsumer],
    ) -> None:
        self._database = database
        self._client = client
        self._gatekeeper = gatekeeper
        self._switch = switch
        self._consumers = consumers

    async def checks(self) -> Sequence[HealthCheck]:
        """Redis, database, gate, and every Asterisk server."""
        redis, database = await asyncio.gather(self._redis(), self._sql())
        gate = _check("gate", self._gatekeeper.told, ok=self._gatekeeper.is_open)
        servers = [
            _check(f"asterisk {name}", Saying(seen.problem, seen.code, seen.arguments), ok=seen.connected)
            for name, seen in self._switch.status().items()
        ]
        records = [
            _check(f"record of {name}", Saying(seen.trouble or "", seen.code, seen.arguments), ok=seen.trouble is None)
            for name, consumer in self._consumers.items()
            for seen in (consumer.status,)
        ]
        return [redis, database, gate, *records, *servers]

    async def _redis(self) -> HealthCheck:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                with redis_errors():
                    await self._client.ping()
        except TimeoutError:
            return _check("redis", _SILENT)
        except DialerError as error:
            return _check("redis", of_error(error))
        return HealthCheck(name="redis", ok=True)

    async def _sql(self) -> HealthCheck:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                found = await version(self._database)
        except TimeoutError:
            return _check("database", _SILENT)
        except DialerError as error:
            return _check("database", of_error(error))
        if not found.ready:
            return _check(
                "database",
                say("tables are not those of this version: cadencia db upgrade", code="database_of_another_version"),
            )
        return HealthCheck(name="database", ok=True)
