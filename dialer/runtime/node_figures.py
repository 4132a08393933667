"""Figures of a node that no notice carries: depths of queues, round trips, what waits, how far lists are called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from dialer.core.campaign import CampaignState
from dialer.core.events import HopperSeen
from dialer.errors import QueueError, StorageError
from dialer.projections.metric_families import QueueName
from dialer.storage.recycling import Recycling

if TYPE_CHECKING:
    from dialer.runtime.node import Node

_log: Final = structlog.get_logger(__name__)

_SAMPLE_EVERY_S: Final = 1.0
#: A second or so of the database's time for a million contacts.
_PENETRATION_EVERY_S: Final = 300.0


async def sample(node: Node) -> None:
    """Figures that no notice carries: depths of queues, round trips, what waits in the hopper."""
    while True:
        await asyncio.sleep(_SAMPLE_EVERY_S)
        node.metrics.queue_depth(QueueName.RESULTS, len(node.outbox))
        node.metrics.queue_depth(QueueName.JOBS, len(node.jobs))
        node.metrics.queue_depth(QueueName.PACING, len(node.pacing))
        for registry in node.registries.registries.status(node.clock.now()):
            node.metrics.do_not_call_registry(
                registry.name,
                entries=0 if registry.edition is None else registry.edition.count,
                age_s=None if registry.age_days is None else registry.age_days * 86_400.0,
                usable=not registry.refuses,
            )
        node.metrics.queue_depth(QueueName.ATTEMPTS, node.consumers["attempts"].status.waiting)
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
    while True:
        for campaign, run in list(node.dispatcher.engine.floor.campaigns.items()):
            if run.state is CampaignState.RUNNING:
                try:
                    found = await record.penetration(campaign)
                except StorageError as error:
                    _log.warning("penetration is not known", campaign=campaign, error=str(error))
                    continue
                called, loaded = sum(each.called for each in found), sum(each.contacts for each in found)
                node.metrics.list_progress(campaign, loaded=loaded, called=called)
        await asyncio.sleep(_PENETRATION_EVERY_S)
