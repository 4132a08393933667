"""Figures of a node that no notice carries: depths of queues, round trips, what waits, how far lists are called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from dialer.core.campaign import CampaignState
from dialer.core.events import HopperSeen
from dialer.core.ids import CampaignId
from dialer.errors import QueueError, StorageError
from dialer.projections.metric_families import QueueName
from dialer.storage.recycling import Recycling

if TYPE_CHECKING:
    from dialer.runtime.node import Node

_log: Final = structlog.get_logger(__name__)

_SAMPLE_EVERY_S: Final = 1.0
#: Streams on their way into SQL.
_CONSUMERS: Final = {
    "attempts": QueueName.ATTEMPTS,
    "refusals": QueueName.REFUSALS,
    "removals": QueueName.REMOVALS,
    "dnc": QueueName.DO_NOT_CALL,
}
#: A second or so of the database's time for a million contacts.
_PENETRATION_EVERY_S: Final = 300.0
#: How soon one that has just been started is looked at.
_PENETRATION_LOOK_S: Final = 5.0


def depths(node: Node) -> dict[QueueName, int]:
    """How much waits in each bounded queue of a node."""
    return {
        QueueName.ENGINE: node.switch.waiting,
        QueueName.RESULTS: len(node.outbox),
        QueueName.JOBS: len(node.jobs),
        QueueName.PACING: len(node.pacing),
        QueueName.RECORD: len(node.keeper),
        QueueName.RECORDINGS: len(node.recording_keeper),
        QueueName.AGENT_TIME: len(node.agent_time),
        QueueName.AUDIT: len(node.audit),
        **{queue: node.consumers[name].status.waiting for name, queue in _CONSUMERS.items()},
    }


async def sample(node: Node) -> None:
    """Figures that no notice carries: depths of queues, round trips, what waits in the hopper."""
    while True:
        await asyncio.sleep(_SAMPLE_EVERY_S)
        for queue, waiting in depths(node).items():
            node.metrics.queue_depth(queue, waiting)
        for registry in node.registries.registries.status(node.clock.now()):
            node.metrics.do_not_call_registry(
                registry.name,
                entries=0 if registry.edition is None else registry.edition.count,
                age_s=None if registry.age_days is None else registry.age_days * 86_400.0,
                usable=not registry.refuses,
            )
        consumers = {name: consumer.status for name, consumer in node.consumers.items()}
        now = node.clock.now()
        since = [status.trouble_since for status in consumers.values() if status.trouble_since is not None]
        node.metrics.record_behind(now - min(since, default=now))
        node.metrics.gate(is_open=node.gatekeeper.is_open)
        alive, seen = len(node.neighbours.others()), len(node.neighbours.pictures())
        node.metrics.neighbours(seen=seen, unseen=alive - seen)
        for status in node.switch.status().values():
            if status.round_trip_s is not None:
                node.metrics.ami_round_trip(status.round_trip_s)
        floor = node.dispatcher.engine.floor
        node.caller_ids.set_day()
        for campaign, run in floor.campaigns.items():
            node.live.caller_ids(campaign, floor.caller_ids.standing(run.campaign.pool, floor.now))
        try:
            for campaign, run in list(floor.campaigns.items()):
                depth = await node.queues.depth(campaign)
                node.live.hopper(campaign, ready=depth.ready, later=depth.later)
                if run.dry:
                    node.dispatcher.feed(HopperSeen(at=node.clock.now(), campaign=campaign, ready=depth.ready))
        except QueueError:
            continue  # the gatekeeper says so


async def keep_penetration(node: Node, record: Recycling) -> None:
    """How far the lists of running campaigns have been called; a look reads all contacts of a campaign."""
    due_at: dict[CampaignId, float] = {}
    while True:
        for campaign, run in list(node.dispatcher.engine.floor.campaigns.items()):
            now = node.clock.now()
            if run.state is CampaignState.RUNNING and now >= due_at.get(campaign, now):
                try:
                    found = await record.penetration(campaign)
                except StorageError as error:
                    _log.warning("penetration is not known", campaign=campaign, error=str(error))
                    continue
                called, loaded = sum(each.called for each in found), sum(each.contacts for each in found)
                node.metrics.list_progress(campaign, loaded=loaded, called=called)
                node.live.penetration(campaign, loaded=loaded, called=called)
                if loaded:
                    due_at[campaign] = now + _PENETRATION_EVERY_S
        await asyncio.sleep(_PENETRATION_LOOK_S)
