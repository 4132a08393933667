"""What the API of a node is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.api.idempotency import RedisIdempotency
from dialer.api.ports import ApiPorts
from dialer.api.snippet_tokens import SnippetTokens
from dialer.intake.phones import PhoneReader
from dialer.queues.reopening import Reopening
from dialer.runtime import results_feed
from dialer.runtime.action_view import ActionView
from dialer.runtime.api_ports import NodeHealth, StoredAttempts, StoredCampaigns, StoredKeys, StoredPacing
from dialer.runtime.callbacks import CallbackCalendar
from dialer.runtime.campaign_watch import FollowedCampaigns
from dialer.runtime.click_to_call import ClickToCall
from dialer.runtime.compliance_view import ComplianceView
from dialer.runtime.contact_intake import NodeIntake
from dialer.runtime.crm_feeds import NodeCrmFeeds
from dialer.runtime.deliveries import StoredDeliveries
from dialer.runtime.desks import NodeDesks
from dialer.runtime.erasing import NodeErasures
from dialer.runtime.everywhere import EverywhereControl, OwnMetrics
from dialer.runtime.explanation import Explanations
from dialer.runtime.filters import FilterTrials
from dialer.runtime.key_book import StoredKeyBook
from dialer.runtime.node_registries import NodeRegistries
from dialer.runtime.passwords import Passwords
from dialer.runtime.previews import NodePreviews
from dialer.runtime.recycling import NodeRecycling
from dialer.runtime.reports import Histories, People, Reports
from dialer.runtime.sharding import hoppers_of
from dialer.runtime.shared_guesses import SharedLimits
from dialer.runtime.supervision import NodeSupervision
from dialer.runtime.system_view import SystemView
from dialer.runtime.users import UserDesk
from dialer.runtime.webhooks import StoredWebhookBook
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.dispositions import Dispositions
from dialer.storage.filter_counts import FilterCounts
from dialer.storage.keys import Keys
from dialer.storage.pacing_journal import PacingJournal
from dialer.storage.recycling import Recycling

if TYPE_CHECKING:
    from dialer.runtime.node import Node


def api_ports(node: Node, intake: NodeIntake, attempts: Attempts) -> ApiPorts:
    """The ports of a node whose parts have all been made."""
    deliveries = StoredDeliveries(node.database, node.clock.now)
    users = UserDesk(node.database, Passwords(), node.clock.now)
    return ApiPorts(
        clock=node.clock,
        keys=StoredKeys(Keys(node.database), node.clock.now),
        idempotency=RedisIdempotency(node.redis, node.settings.redis.prefix),
        control=EverywhereControl(node.control, node.neighbours),
        campaigns=FollowedCampaigns(StoredCampaigns(Campaigns(node.database)), node.campaigns),
        intake=intake,
        call_requests=ClickToCall(
            dispatcher=node.dispatcher,
            answers=node.call_answers,
            queues=node.queues,
            database=node.database,
            phones=PhoneReader(node.settings.default_region),
            now=node.clock.now,
        ),
        snippet=SnippetTokens(
            node.shared_key,
            lasts_s=60.0 * node.settings.snippet.token_minutes,
            longest_s=3_600.0 * node.settings.snippet.longest_hours,
        ),
        callbacks=CallbackCalendar(node.database, node.screening.book, node.clock.now),
        previews=NodePreviews(node.dispatcher, node.call_answers, node.clock.now),
        recycling=NodeRecycling(
            Recycling(node.database), Reopening(node.redis, node.keys, node.queues), node.clock.now, node.shards
        ),
        filter_trials=FilterTrials(FilterCounts(node.database), node.queues),
        list_settings=node.list_settings,
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
        metrics=OwnMetrics(node.metrics, node.live),
        audit=node.audit,
        guesses=SharedLimits(node.redis, node.keys, node.shared_key, node.neighbours.shared),
        compliance=ComplianceView(node.database, node.screening, node.dispatcher.engine.floor),
        supervision=NodeSupervision(node.dispatcher, node.outbox, node.clock.now),
        system=SystemView(node),
        key_book=StoredKeyBook(node.database, node.clock.now),
        users=users,
        user_book=users,
        what_if=node.what_if,
        deliveries=deliveries,
        crm_feeds=NodeCrmFeeds(node.settings, deliveries.crms),
        webhook_book=StoredWebhookBook(node.database, node.settings.outbound, node.clock.now),
        desks=NodeDesks(node.dispatcher.engine.floor, node.database, node.screening, node.clock.now),
        phones=node.phones,
        recordings=node.recordings,
        reports=Reports(node.database, node.settings, node.clock.now),
        histories=Histories(node.database),
        people=People(node.database, node.clock.now),
        actions=ActionView(node.action_rules, node.database),
        registries=NodeRegistries(node.screening.book, node.registries, node.dispatcher.engine.floor),
        calls_elsewhere=node.counting,
        erasures=NodeErasures(
            node.database, hoppers_of(node), node.suppressed, node.settings.compliance.suppression_key, node.clock.now
        ),
    )
