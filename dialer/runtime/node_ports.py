"""What the API of a node is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.api.idempotency import RedisIdempotency
from dialer.api.ports import ApiPorts
from dialer.intake.phones import PhoneReader
from dialer.queues.reopening import Reopening
from dialer.runtime import results_feed
from dialer.runtime.action_view import ActionView
from dialer.runtime.api_ports import NodeHealth, StoredAttempts, StoredCampaigns, StoredKeys, StoredPacing
from dialer.runtime.click_to_call import ClickToCall
from dialer.runtime.contact_intake import NodeIntake
from dialer.runtime.deliveries import StoredDeliveries
from dialer.runtime.erasing import NodeErasures
from dialer.runtime.explanation import Explanations
from dialer.runtime.node_registries import NodeRegistries
from dialer.runtime.recycling import NodeRecycling
from dialer.runtime.reports import Histories, Reports
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.dispositions import Dispositions
from dialer.storage.keys import Keys
from dialer.storage.pacing_journal import PacingJournal
from dialer.storage.recycling import Recycling

if TYPE_CHECKING:
    from dialer.runtime.node import Node


def api_ports(node: Node, intake: NodeIntake, attempts: Attempts) -> ApiPorts:
    """The ports of a node whose parts have all been made."""
    return ApiPorts(
        clock=node.clock,
        keys=StoredKeys(Keys(node.database), node.clock.now),
        idempotency=RedisIdempotency(node.redis, node.settings.redis.prefix),
        control=node.control,
        campaigns=StoredCampaigns(Campaigns(node.database)),
        intake=intake,
        call_requests=ClickToCall(
            dispatcher=node.dispatcher,
            answers=node.call_answers,
            queues=node.queues,
            contacts=Contacts(node.database),
            phones=PhoneReader(node.settings.default_region),
            now=node.clock.now,
        ),
        recycling=NodeRecycling(
            Recycling(node.database), Reopening(node.redis, node.keys, node.queues), node.clock.now
        ),
        purges=node.purges,
        campaign_rules=node.rules,
        segments=node.segments,
        history=results_feed.ResultHistory(node.redis, node.keys["results"]),
        attempts=StoredAttempts(attempts, Dispositions(node.database), node.keeper.recently_ended),
        explanations=Explanations(node.database, node.screening, node.dispatcher.engine, node.clock.now),
        pacing=StoredPacing(PacingJournal(node.database)),
        results=node.results,
        health=NodeHealth(
            database=node.database,
            client=node.redis,
            gatekeeper=node.gatekeeper,
            switch=node.switch,
            consumers=node.consumers,
        ),
        metrics=node.metrics,
        deliveries=StoredDeliveries(node.database, node.clock.now),
        recordings=node.recordings,
        reports=Reports(node.database, node.settings, node.clock.now),
        histories=Histories(node.database),
        actions=ActionView(node.action_rules, node.database),
        registries=NodeRegistries(node.screening.book, node.registries, node.dispatcher.engine.floor),
        calls_elsewhere=node.counting,
        erasures=NodeErasures(
            node.database, node.queues, node.suppressed, node.settings.compliance.suppression_key, node.clock.now
        ),
    )
