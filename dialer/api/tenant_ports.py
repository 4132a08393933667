"""The API's ports as far as they are one tenant's: whoever is handed these reaches nobody else's things.

`narrowed` names every port that a tenant has; one that it does not name is for the installation alone.
"""

from __future__ import annotations

from dialer.api.ports import ApiPorts
from dialer.api.tenant_access import TenantKeyBook, TenantUserBook
from dialer.api.tenant_deliveries import TenantDeliveries, TenantWebhookBook
from dialer.api.tenant_floor import (
    TenantCallRequests,
    TenantDesks,
    TenantPhones,
    TenantPreviews,
    TenantRecordings,
    TenantSupervision,
)
from dialer.api.tenant_live import TenantControl, TenantHistory, TenantResults
from dialer.api.tenant_record import (
    TenantAttempts,
    TenantCallbacks,
    TenantCallsElsewhere,
    TenantCampaigns,
    TenantCrmFeeds,
    TenantExplanations,
    TenantFilterTrials,
    TenantHistories,
    TenantIntake,
    TenantListSettings,
    TenantPacing,
    TenantPurges,
    TenantRecycling,
    TenantReports,
    TenantRules,
    TenantSegments,
    TenantWhatIf,
)


def narrowed(ports: ApiPorts, tenant: str) -> ApiPorts:
    """What of `ports` is this tenant's. What is not named here is for the installation alone."""
    attempts = TenantAttempts(ports.attempts, tenant)
    control = TenantControl(ports.control, attempts, tenant)
    campaigns = TenantCampaigns(ports.campaigns, tenant)
    intake = TenantIntake(ports.intake, tenant)
    return ApiPorts(
        tenant=tenant,
        clock=ports.clock,
        keys=ports.keys,
        idempotency=ports.idempotency,
        control=control,
        campaigns=campaigns,
        intake=intake,
        recycling=TenantRecycling(ports.recycling, tenant),
        purges=TenantPurges(ports.purges, campaigns, tenant),
        attempts=attempts,
        explanations=TenantExplanations(ports.explanations, tenant),
        pacing=TenantPacing(ports.pacing, tenant),
        results=TenantResults(ports.results, tenant),
        # Nobody's: routes that read them are closed to tenants, but for whether all is well.
        health=ports.health,
        metrics=ports.metrics,
        campaign_rules=None if ports.campaign_rules is None else TenantRules(ports.campaign_rules, tenant),
        history=None if ports.history is None else TenantHistory(ports.history, tenant),
        segments=None if ports.segments is None else TenantSegments(ports.segments, tenant),
        call_requests=None if ports.call_requests is None else TenantCallRequests(ports.call_requests, tenant),
        # Tokens name an agent and a key, whose tenant counts when they are used.
        snippet=ports.snippet,
        callbacks=None if ports.callbacks is None else TenantCallbacks(ports.callbacks, tenant),
        previews=None if ports.previews is None else TenantPreviews(ports.previews, tenant),
        recordings=None
        if ports.recordings is None
        else TenantRecordings(ports.recordings, control.live, attempts, tenant),
        reports=None if ports.reports is None else TenantReports(ports.reports, tenant),
        histories=None if ports.histories is None else TenantHistories(ports.histories, tenant),
        calls_elsewhere=None if ports.calls_elsewhere is None else TenantCallsElsewhere(ports.calls_elsewhere, tenant),
        filter_trials=None if ports.filter_trials is None else TenantFilterTrials(ports.filter_trials, tenant),
        list_settings=None if ports.list_settings is None else TenantListSettings(ports.list_settings, intake, tenant),
        what_if=None if ports.what_if is None else TenantWhatIf(ports.what_if, tenant),
        desks=None if ports.desks is None else TenantDesks(ports.desks, tenant),
        phones=None if ports.phones is None else TenantPhones(ports.phones, tenant),
        crm_feeds=None if ports.crm_feeds is None else TenantCrmFeeds(ports.crm_feeds, tenant),
        deliveries=None if ports.deliveries is None else TenantDeliveries(ports.deliveries, tenant),
        webhook_book=None if ports.webhook_book is None else TenantWebhookBook(ports.webhook_book, tenant),
        user_book=None if ports.user_book is None else TenantUserBook(ports.user_book, tenant),
        key_book=None if ports.key_book is None else TenantKeyBook(ports.key_book, tenant),
        supervision=None
        if ports.supervision is None
        else TenantSupervision(ports.supervision, ports.control.live, tenant),
    )
