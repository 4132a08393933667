"""A mapping tried, by the code that the workers use: what would be taken of an answer, and what would be written.

Nothing is changed anywhere, and numbers are masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from dialer.core.disposition import DEFAULT_DISPOSITIONS
from dialer.core.ids import CampaignId, masked
from dialer.core.outcome import Outcome
from dialer.core.saying import Saying, of_error, say
from dialer.crm.client import CrmClient
from dialer.crm.listing import begun
from dialer.crm.mapping import CrmMapping
from dialer.crm.outbound import Destinations
from dialer.crm.reading import PulledCall, decode, read_page, read_row
from dialer.crm.requests import Request, page_request, request_of
from dialer.crm.samples import sample_disposed, sample_ended
from dialer.crm.updates import facts_of, rule_for
from dialer.errors import CrmError, InputError
from dialer.intake.messages import read_contact
from dialer.intake.phones import PhoneReader
from dialer.intake.record import Refusal
from dialer.queues.results import Result, rfc3339
from dialer.settings import CrmPull, Settings

#: Seven digits or more, as people write them.
_NUMBER: Final = re.compile(r"\+?\d(?:[ ().-]?\d){6,}")
#: In the place of an update's own.
_KEY: Final = "0" * 32
#: An answer of a CRM's that somebody types or pastes.
MAX_SAMPLE_BYTES: Final = 64 * 1024


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
    campaign = CampaignId(pull.campaign)
    calls = [shown_contact(call, campaign, phones) for call in page.calls[:rows]]
    problems = [f"row {row.index} ({row.record or 'without a key'}): {row.problem}" for row in page.refused[:rows]]
    return {
        "title": mapping.file.title,
        "rows": len(page.calls) + len(page.refused),
        "more": "and there are more pages" if page.next is not None else "and no more",
        "calls": calls,
        "problems": problems,
        "updates": [_told(each, update_of(mapping, page.calls[0], each)) for each in _samples(campaign, page.calls)],
    }


def _samples(campaign: CampaignId, calls: Sequence[PulledCall]) -> Sequence[Result]:
    return [
        result
        for call in calls[:1]
        for result in (
            sample_ended(campaign, call.record, Outcome.CONNECTED, again=False),
            sample_disposed(campaign, call.record, DEFAULT_DISPOSITIONS[0], "EUR"),
        )
    ]


def _told(result: Result, update: Request | Saying) -> dict[str, Any]:
    if isinstance(update, Saying):
        return {"of": result["type"], "skipped": update.says}
    return {
        "of": result["type"],
        "method": update.method,
        "target": update.target,
        "headers": {"Idempotency-Key": _KEY, **update.headers},
        "body": (update.body or b"").decode(),
    }


def read_sample(mapping: CrmMapping, sample: bytes) -> PulledCall:
    """The call of one record, or the first one of a whole answer.

    Raises:
        InputError: there is none in it, or it cannot be used; says why.
    """
    if len(sample) > MAX_SAMPLE_BYTES:
        raise InputError(
            f"is longer than {MAX_SAMPLE_BYTES // 1024} KiB: one record is enough",
            code="crm_sample_long",
            kib=MAX_SAMPLE_BYTES // 1024,
        )
    data = decode(mapping, sample)
    try:
        rows = mapping.rows.find(data)
    except InputError:
        rows = None  # asked of a single record, where it has nothing to find
    if isinstance(rows, list | dict) and rows:
        page = read_page(mapping, sample)
        if page.calls:
            return page.calls[0]
        raise InputError(page.refused[0].problem, code="crm_sample_row", problem=page.refused[0].problem)
    read = read_row(mapping, data)
    if isinstance(read, PulledCall):
        return read
    raise InputError(read[1], code="crm_sample_row", problem=read[1])


def shown_contact(call: PulledCall, campaign: CampaignId, phones: PhoneReader) -> dict[str, Any]:
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


def update_of(mapping: CrmMapping, call: PulledCall, result: Result) -> Request | Saying:
    """What would be written of a result of this call; or why nothing would."""
    contact: dict[str, Any] = msgspec.json.decode(call.contact) if call.contact else {}
    facts = facts_of(
        result,
        key=_KEY,
        version=call.version,
        name=str(contact.get("name", "")),
        priority=int(contact.get("priority", 0)),
        fields=contact.get("fields", {}),
    )
    try:
        rule = rule_for(mapping, facts)
        if rule is None:
            return say("no [[update]] of the mapping is for it", code="crm_no_update")
        return request_of(mapping, rule.question, facts)
    except InputError as error:
        return of_error(error)


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
