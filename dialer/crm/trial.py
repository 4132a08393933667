"""A mapping tried: one page as it would be taken, and what would be written; nothing is changed anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from dialer.core.ids import CampaignId, masked
from dialer.crm.client import CrmClient
from dialer.crm.listing import begun
from dialer.crm.mapping import CrmMapping
from dialer.crm.outbound import Destinations
from dialer.crm.reading import PulledCall, read_page
from dialer.crm.requests import page_request, request_of
from dialer.crm.updates import facts_of, rule_for, sample_result
from dialer.errors import CrmError, InputError
from dialer.intake.messages import read_contact
from dialer.intake.phones import PhoneReader
from dialer.intake.record import Refusal
from dialer.queues.results import rfc3339
from dialer.settings import CrmPull, Settings

#: Seven digits or more, as people write them.
_NUMBER: Final = re.compile(r"\+?\d(?:[ ().-]?\d){6,}")
_SAMPLES: Final = ("call.ended", "call.disposed")


async def trial(
    settings: Settings, pull: CrmPull, mapping: CrmMapping, answer: bytes | None, rows: int, now: Callable[[], float]
) -> dict[str, Any]:
    """What would be taken of the first page, and what would be written of results of its first call.

    Args:
        settings: of this machine.
        pull: whom to ask.
        mapping: how.
        answer: what it answered before; None: ask it.
        rows: calls that are shown.
        now: the clock.

    Returns:
        Values of JSON: title, rows, more, calls, problems, updates. Numbers are masked.

    Raises:
        CrmError: the CRM did not answer.
        InputError: its answer cannot be used.
    """
    if answer is None:
        listing = begun("", changes=mapping.file.pending.lists == "changes")
        async with CrmClient(pull, Destinations(settings.outbound.internal), now) as client:
            got = await client.send(page_request(mapping, listing, ""))
        if not got.ok:
            raise CrmError(
                f"the CRM answered {got.status} to the question for pending calls",
                status=got.status,
                code="crm_no_pending",
            )
        answer = got.body
    page = read_page(mapping, answer)
    phones = PhoneReader(settings.default_region)
    calls = [_shown(call, CampaignId(pull.campaign), phones) for call in page.calls[:rows]]
    problems = [f"row {row.index} ({row.record or 'without a key'}): {row.problem}" for row in page.refused[:rows]]
    return {
        "title": mapping.file.title,
        "rows": len(page.calls) + len(page.refused),
        "more": "and there are more pages" if page.next is not None else "and no more",
        "calls": calls,
        "problems": problems,
        "updates": [_written(mapping, pull, page.calls[0], kind) for kind in _SAMPLES] if page.calls else [],
    }


def _shown(call: PulledCall, campaign: CampaignId, phones: PhoneReader) -> dict[str, Any]:
    """A call as the intake would have it."""
    if not call.pending:
        return {"record": call.record, "withdrawn": True}
    read = read_contact(call.contact, campaign, phones)
    if isinstance(read, Refusal):
        return {"record": call.record, "rejected": f"{read.reason}: {_without_numbers(read.problem)}"}
    contact, refused = read
    shown: dict[str, Any] = {"record": call.record, "version": call.version}
    shown["phones"] = [masked(phone) for phone in contact.phones]
    shown["phone_terms"] = {masked(phone): msgspec.to_builtins(terms) for phone, terms in contact.phone_terms.items()}
    shown |= {"name": contact.name, "priority": contact.priority, "timezone": contact.timezone}
    for name, at in (("not_before", contact.not_before_at), ("expires", contact.expires_at)):
        shown[name] = None if at is None else rfc3339(at)
    shown |= {"consent": _masked(contact.consent), "fields": _masked(contact.fields)}
    if refused:
        shown["left_out"] = [_without_numbers(each.problem) for each in refused]
    return {name: value for name, value in shown.items() if value not in (None, "", {})}


def _written(mapping: CrmMapping, pull: CrmPull, call: PulledCall, kind: str) -> dict[str, Any]:
    """What would be written of a result of this call."""
    contact: dict[str, Any] = msgspec.json.decode(call.contact) if call.contact else {}
    facts = facts_of(
        sample_result(CampaignId(pull.campaign), call.record, kind),
        key="0" * 32,
        version=call.version,
        name=str(contact.get("name", "")),
        priority=int(contact.get("priority", 0)),
        fields=contact.get("fields", {}),
    )
    try:
        rule = rule_for(mapping, facts)
        if rule is None:
            return {"of": kind, "skipped": "no [[update]] of the mapping is for it"}
        request = request_of(mapping, rule.question, facts)
    except InputError as error:
        return {"of": kind, "skipped": str(error)}
    return {
        "of": kind,
        "method": request.method,
        "target": request.target,
        "headers": {"Idempotency-Key": "0" * 32, **request.headers},
        "body": (request.body or b"").decode(),
    }


def _masked(value: Any) -> Any:
    """Values of JSON in which nothing is left that looks like a number of somebody."""
    match value:
        case str():
            return _NUMBER.sub(lambda found: masked(found.group()), value)
        case Mapping():
            return {key: _masked(each) for key, each in value.items()}
        case list():
            return [_masked(each) for each in value]
        case _:
            return value


def _without_numbers(problem: str) -> str:
    return "".join("#" if character.isdigit() else character for character in problem)
