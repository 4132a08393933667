"""The CRMs of a campaign: which feed it, what they are asked and told, and what would come of a record."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from dialer.api.crm_ports import Told, Tried
from dialer.api.requests import known_campaign
from dialer.campaigns import change_campaign
from dialer.console import campaign_forms as forms
from dialer.console.answers import FORM, PageRequest, Site, Staff, page
from dialer.console.campaign_form_pages import typed_form
from dialer.console.crm_view import KEYS, body_lines, contact_lines, view_of_feed
from dialer.console.site import Console
from dialer.core.campaign import Campaign
from dialer.core.outcome import Outcome
from dialer.core.saying import of_error, say
from dialer.crm.own_mapping import check_names
from dialer.errors import InputError
from dialer.intake.record import RawContact

#: Parts of a contact that a message may have.
PARTS: Final = tuple(each.name for each in msgspec.structs.fields(RawContact) if each.name != "phone")
#: What a CRM writes and reads, by the name of its stream -> the same of the API.
STREAMS: Final = {
    "contacts": "POST /api/v1/campaigns/{campaign}/contacts",
    "removals": "POST /api/v1/removals",
    "callbacks": "POST /api/v1/callbacks",
    "dispositions": "POST /api/v1/dispositions",
    "dnc": "POST /api/v1/dnc",
    "results": "GET /api/v1/events?campaign={campaign}",
}
#: What of a form the result of a try-out depends on.
_DEPENDS: Final = (*KEYS, "dispositions", "currency")


@get("/campaigns/{campaign:str}/crm")
async def campaign_crm(console: Site, staff: Staff, campaign: FromPath[str]) -> Response[str]:
    """Which CRMs feed a campaign, how that fares, and what their mappings say for it."""
    stored = await known_campaign(console.ports, campaign)
    port = console.ports.crm_feeds
    return page(
        console,
        "campaign_crm",
        staff.texts,
        visit=staff,
        campaign=stored.campaign.id,
        mappings=[] if port is None else [view_of_feed(each, stored.campaign) for each in port.of(stored.campaign.id)],
        states={} if port is None else await port.states(stored.campaign.id),
        now=console.ports.clock.now(),
        prefix="" if port is None else port.prefix,
        streams=STREAMS,
        parts=PARTS,
    )


@post("/campaign-crm-try", opt=FORM, status_code=200)
async def try_record(request: PageRequest, console: Site, staff: Staff) -> Response[str]:
    """What would come of a record of a CRM and of a result, with the rows of a form that is being typed."""
    typed = await typed_form(request, staff)
    stored = await known_campaign(console.ports, typed.get("campaign", ""))
    tried = await _tried(console, stored.campaign, typed)
    return page(
        console,
        "part_crm_tried",
        staff.texts,
        visit=staff,
        tried=tried,
        contact=contact_lines(tried.contact),
        body=body_lines(tried.body),
    )


async def _tried(console: Console, campaign: Campaign, typed: forms.Typed) -> Tried:
    port, sample = console.ports.crm_feeds, typed.get("try_sample", "").strip()
    if port is None or not sample:
        return Tried(problem=say("Paste one record of the CRM first.", code="crm_no_sample"))
    reading = forms.read(typed)
    if any(name.partition(".")[0] in KEYS for name in reading.problems):
        return Tried(problem=say("Correct the rows above first.", code="crm_rows_first"))
    kind, _, name = typed.get("try_told", "").partition(":")
    told = Told(
        code=name if kind == "code" else "",
        outcome=Outcome(name) if kind == "outcome" and name in set(Outcome) else Outcome.CONNECTED,
        again="try_again" in typed,
    )
    try:
        changed = change_campaign(
            campaign, {setting: reading.settings[setting] for setting in _DEPENDS if setting in reading.settings}
        )
        check_names(changed, [feed.name for feed in port.of(campaign.id)])
        return await port.tried(changed, typed.get("try_crm", ""), sample.encode(), told)
    except InputError as error:
        return Tried(problem=of_error(error))


HANDLERS: Final = (campaign_crm, try_record)
