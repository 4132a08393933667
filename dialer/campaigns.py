"""The settings of a campaign as people and programs write them: parsed into `Campaign`, and dumped from it.

One form for the REST API, the command line and the database. Every field but `id` has a default; what is not known, or
not allowed, is refused with the field's name and what it may be.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from dialer.compliance.own_hours import MAX_WINDOWS, read_days, read_own_hours
from dialer.compliance.rules import Basis, Party, Purpose
from dialer.core.caller_ids import CallerId
from dialer.core.campaign import (
    DEFAULT_RETRIES,
    AbandonmentWindow,
    Campaign,
    MachineDetection,
    PreviewExpiry,
    RecordingConsent,
    RecordingMode,
    RetryRule,
)
from dialer.core.contact_filter import MAX_LENGTH, parse_filter
from dialer.core.ids import CampaignId, Phone, TrunkName
from dialer.core.outcome import Outcome
from dialer.crm_terms import (
    MAX_ROWS,
    CrmFieldInput,
    CrmWordInput,
    CrmWriteInput,
    contact_rows,
    dump_rows,
    update_rows,
    word_rows,
)
from dialer.dispositions import CODE_PATTERN, MAX_CODES, CodeInput, check_currency, codes_of, dump_codes
from dialer.errors import InputError
from dialer.reporting.order import zone_named
from pacing import method_names

# "$" also matches before a line feed at the end, in Python; this does not, and JSON Schema's dialect knows it too.
_END: Final = r"(?![\s\S])"
NAME_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}" + _END
_PHONE_PATTERN: Final = r"^\+[1-9][0-9]{6,14}" + _END
_PREFIX_PATTERN: Final = r"^\+[1-9][0-9]{0,14}" + _END
_AMD_PATTERN: Final = r"^[0-9,]{0,120}" + _END
_TEXT_PATTERN: Final = r"^[^\x00-\x1f\x7f]*" + _END
_PLACE_PATTERN: Final = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?" + _END
_KEY_PATTERN: Final = r"^[0-9]?" + _END
_SOUND_PATTERN: Final = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*" + _END
#: An extension of the dialplan: one letter alone means something else to Asterisk.
_ANNOUNCEMENT_PATTERN: Final = r"^([A-Za-z0-9_][A-Za-z0-9_-]{1,63})?" + _END
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
#: The limits that regulators set (2 seconds, 3 per cent, 15 seconds of ringing); a campaign may only be stricter.
MAX_CONNECT_WITHIN_S: Final = 2.0
MAX_ABANDONMENT: Final = 0.03
MIN_RING_TIMEOUT_S: Final = 15.0
#: What machine detection must leave of `connect_within_s` for finding an agent and moving the call.
MIN_TIME_TO_CONNECT_S: Final = 0.3

#: Outcomes after which nobody is called again by a retry rule, and why.
_NEVER_RETRIED: Final[Mapping[Outcome, str]] = {
    Outcome.CONNECTED: "the person was reached; use a callback",
    Outcome.CANCELLED: "the contact was withdrawn; calls that a stop has cut off are called again anyway",
}
_DEFAULT: Final = Campaign(id=CampaignId("default"))
_DETECTION: Final = MachineDetection()


class RetryInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a contact is called again after one outcome: delay_s, times growth for each attempt made."""

    delay_s: Annotated[float, Meta(ge=0, le=366 * 86_400)]
    max_attempts: Annotated[int, Meta(ge=1, le=1_000)]
    growth: Annotated[float, Meta(ge=1, le=10)] = 1.0
    other_phone_first: Annotated[bool, Meta(description="Call the contact's other numbers before the delay counts")] = (
        False
    )
    spread_hours: Annotated[bool, Meta(description="Call in another part of the day than the last time")] = False
    needs_agent: Annotated[bool, Meta(description="Call with an agent reserved for it")] = False


class MachineDetectionInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Answering-machine detection with a deadline, after which a call without verdict goes to an agent."""

    deadline_s: Annotated[float, Meta(ge=0.1, le=MAX_CONNECT_WITHIN_S)] = _DETECTION.deadline_s
    parameters: Annotated[
        str, Meta(pattern=_AMD_PATTERN, description="Options of AMD(): numbers, separated by commas")
    ] = _DETECTION.parameters
    unsure_is_human: bool = _DETECTION.unsure_is_human


class CallerIdInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One number of a campaign's pool."""

    number: Annotated[str, Meta(pattern=_PHONE_PATTERN)]
    prefixes: Annotated[
        tuple[Annotated[str, Meta(pattern=_PREFIX_PATTERN)], ...],
        Meta(max_length=100, description="Numbers that begin like this are preferably called from here: +34, +3491"),
    ] = ()
    max_calls_per_day: Annotated[int, Meta(ge=1, le=1_000_000, description="Over all campaigns")] | None = None


class CampaignSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a campaign may set. Durations are seconds, shares 0 to 1."""

    name: Annotated[str, Meta(max_length=200, pattern=_TEXT_PATTERN)] = _DEFAULT.name
    method: Annotated[str, Meta(max_length=64, description="Pacing method")] = _DEFAULT.method
    max_abandonment: Annotated[
        float, Meta(description="Share of live answers that may find no agent in time, at most 0.03")
    ] = _DEFAULT.max_abandonment
    connect_within_s: Annotated[
        float, Meta(description="Seconds from the answer within which a person must have an agent, at most 2")
    ] = _DEFAULT.connect_within_s
    abandonment_windows: Annotated[
        tuple[AbandonmentWindow, ...],
        Meta(min_length=1, max_length=4, description="Over what time the limit must hold, in each of them"),
    ] = _DEFAULT.abandonment_windows
    ratio: Annotated[float, Meta(ge=1, le=20, description="Lines per idle agent, for the method ratio")] = (
        _DEFAULT.ratio
    )
    ring_timeout_s: Annotated[float, Meta(le=120, description="At least 15")] = _DEFAULT.ring_timeout_s
    wrapup_limit_s: Annotated[float, Meta(ge=0, le=86_400)] | None = _DEFAULT.wrapup_limit_s
    max_lines: Annotated[int, Meta(ge=1, le=1_000_000)] = _DEFAULT.max_lines
    max_lines_per_agent: Annotated[float, Meta(ge=1, le=1_000)] = _DEFAULT.max_lines_per_agent
    max_attempts: Annotated[int, Meta(ge=1, le=1_000)] = _DEFAULT.max_attempts
    retries: Annotated[
        dict[Outcome, RetryInput | None],
        Meta(description="By outcome; null: not called again. Outcomes left out keep their default rule"),
    ] = msgspec.field(default_factory=dict)
    caller_id: Annotated[str, Meta(pattern=_PHONE_PATTERN)] | None = _DEFAULT.caller_id
    caller_ids: Annotated[
        tuple[CallerIdInput, ...], Meta(max_length=500, description="Instead of caller_id: a pool of numbers")
    ] = ()
    message: Annotated[str, Meta(pattern=_SOUND_PATTERN, max_length=128, description="Sound without extension")] = (
        _DEFAULT.message
    )
    opt_out_key: Annotated[
        str, Meta(pattern=_KEY_PATTERN, description="Key by which they object to further calls; empty: none is offered")
    ] = _DEFAULT.opt_out_key
    opt_out_scope: Annotated[
        Literal["*", "campaign"], Meta(description='Objections are about all campaigns, "*", or about this one')
    ] = "*"
    trunks: Annotated[tuple[Name, ...], Meta(max_length=100)] = _DEFAULT.trunks
    machine_detection: MachineDetectionInput | None = None
    machine_sample_share: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of the calls taken for machines that an agent hears, to know the error"),
    ] = _DEFAULT.machine_sample_share
    callback_window_s: Annotated[
        float, Meta(ge=60, le=30 * 86_400, description="A callback is tried again for so long after its time")
    ] = _DEFAULT.callback_window_s
    callback_fallback_s: (
        Annotated[
            float, Meta(ge=0, le=30 * 86_400, description="After so long it is anybody's; null: after the window")
        ]
        | None
    ) = _DEFAULT.callback_fallback_s
    callback_reminder_s: Annotated[
        float, Meta(ge=0, le=86_400, description="So long before a callback one is reminded of it; 0: not at all")
    ] = _DEFAULT.callback_reminder_s
    preview_s: Annotated[
        float, Meta(ge=3, le=3_600, description="Method preview: how long an agent may look before the call")
    ] = _DEFAULT.preview_s
    preview_on_expiry: Annotated[
        PreviewExpiry, Meta(description="What becomes of a contact about which the agent says nothing")
    ] = _DEFAULT.preview_on_expiry
    preview_pause_after: (
        Annotated[int, Meta(ge=1, le=1_000, description="Unanswered in a row, and the agent is paused; null: never")]
        | None
    ) = _DEFAULT.preview_pause_after
    preview_skip_s: Annotated[
        float, Meta(ge=0, le=30 * 86_400, description="A contact that was skipped is not offered again before")
    ] = _DEFAULT.preview_skip_s
    skills: Annotated[frozenset[Name], Meta(max_length=100)] = _DEFAULT.skills
    screen_pop: Annotated[
        str, Meta(max_length=2_000, description="URL with fields of the contact in braces: https://crm/…?id={id}")
    ] = _DEFAULT.screen_pop
    script: Annotated[
        str,
        Meta(max_length=20_000, description="What the agent says: lines with # and -, **bold**, fields as {name}"),
    ] = _DEFAULT.script
    crm_contact: Annotated[
        tuple[CrmFieldInput, ...],
        Meta(max_length=MAX_ROWS, description="Where parts of contacts come from, in place of the CRM's mapping"),
    ] = ()
    crm_words: Annotated[
        tuple[CrmWordInput, ...], Meta(max_length=MAX_ROWS, description="What the CRM calls things, likewise")
    ] = ()
    crm_update: Annotated[
        tuple[CrmWriteInput, ...], Meta(max_length=MAX_ROWS, description="What is written to the CRM, likewise")
    ] = ()
    dispositions: Annotated[
        tuple[CodeInput, ...],
        Meta(max_length=MAX_CODES, description="Codes with which its calls are closed; empty: the default ones"),
    ] = ()
    currency: Annotated[str, Meta(max_length=3, description="Of amounts, such as EUR (ISO 4217)")] = _DEFAULT.currency
    filter: Annotated[
        str,
        Meta(
            max_length=MAX_LENGTH,
            description='Which contacts are called, by their fields: state in ["CA", "NY"] and debt > 100. Empty: all',
        ),
    ] = _DEFAULT.filter
    segment: Annotated[
        str, Meta(max_length=128, pattern=_TEXT_PATTERN, description="Id of the segment that it was made from")
    ] = _DEFAULT.segment
    recording: Annotated[RecordingMode, Meta(description="Whether talks are recorded")] = _DEFAULT.recording
    recording_consent: Annotated[
        RecordingConsent, Meta(description="required: only where the person has agreed to be recorded")
    ] = _DEFAULT.recording_consent
    recording_announcement: Annotated[
        str,
        Meta(
            pattern=_ANNOUNCEMENT_PATTERN,
            max_length=64,
            description="Sound without extension that both hear before each recording begins; empty: none",
        ),
    ] = _DEFAULT.recording_announcement
    timezone: Annotated[
        str, Meta(max_length=64, description="Zone (IANA) of the days and hours of its reports; empty: the node's")
    ] = _DEFAULT.timezone
    purpose: Annotated[Purpose, Meta(description="What it calls for: rules of law depend on it")] = Purpose.MARKETING
    party: Annotated[Party, Meta(description="Whom it calls")] = Party.CONSUMER
    jurisdictions: Annotated[
        tuple[Annotated[str, Meta(pattern=_PLACE_PATTERN)], ...],
        Meta(max_length=50, description="Whose rules apply besides those of the number called, such as ES or US-FL"),
    ] = _DEFAULT.jurisdictions
    bases: Annotated[
        frozenset[Basis], Meta(description="What it claims that lifts a rule; kept with every call that rests on it")
    ] = frozenset()
    seller: Annotated[str, Meta(max_length=64, pattern=_TEXT_PATTERN)] = _DEFAULT.seller
    hours: Annotated[
        tuple[str, ...],
        Meta(
            max_length=MAX_WINDOWS,
            description="When it calls, by the clock of the person called: mon-fri 10:00-14:00. Empty: as law allows",
        ),
    ] = _DEFAULT.hours
    first_day: Annotated[
        str, Meta(max_length=10, description="First day on which it calls, by the same clock: 2026-12-01. Empty: none")
    ] = ""
    last_day: Annotated[str, Meta(max_length=10, description="Last day on which it calls. Empty: none")] = ""


class CampaignInput(CampaignSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole campaign: its settings and its id."""

    id: Name


#: What a value that msgspec refused by pattern may be: patterns say nothing to most people.
_IN_WORDS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "1 to 64 of the characters A-Z a-z 0-9 _ -",
    _PHONE_PATTERN: "a number in E.164 form, such as +34600111222",
    _PREFIX_PATTERN: "the beginning of a number in E.164 form, such as +34 or +3491",
    _AMD_PATTERN: "options of AMD(): numbers separated by commas, such as 2500,1500,300",
    _TEXT_PATTERN: "text without control characters",
    _PLACE_PATTERN: "a country such as ES, or a part of one such as US-FL",
    _KEY_PATTERN: "one digit, or empty",
    CODE_PATTERN: "1 to 64 letters, digits, blanks and _ . + / -, such as SALE",
    _ANNOUNCEMENT_PATTERN: "the name of a sound without extension and folder, such as recorded, or empty",
    _SOUND_PATTERN: "the name of a sound without extension, such as custom/sorry",
}


#: The same for a catalogue.
_CODES: Final[Mapping[str, str]] = {
    NAME_PATTERN: "not_a_name",
    _PHONE_PATTERN: "not_a_phone",
    _PREFIX_PATTERN: "not_a_prefix",
    _AMD_PATTERN: "not_amd_options",
    _TEXT_PATTERN: "not_text",
    _PLACE_PATTERN: "not_a_place",
    _KEY_PATTERN: "not_a_key",
    CODE_PATTERN: "not_a_code",
    _ANNOUNCEMENT_PATTERN: "not_a_sound",
    _SOUND_PATTERN: "not_a_sound",
}
_BOUND: Final = re.compile(r"^Expected `(\w+)` (?:of length )?(>=|<=|>) ([0-9.e+-]+)")


def parse_campaign(mapping: Mapping[str, object]) -> Campaign:
    """A campaign from plain values (JSON, TOML, a database row).

    Raises:
        InputError: names the field and says what it may be.
    """
    try:
        given = msgspec.convert(mapping, CampaignInput)
    except msgspec.ValidationError as error:
        raise refused(error) from error
    return campaign_of(given)


def refused(error: msgspec.ValidationError) -> InputError:
    """What msgspec found wrong, for people and for a catalogue."""
    code, arguments = coded(str(error))
    return InputError(explained(error), code=code, **arguments)


def coded(what: str) -> tuple[str, dict[str, Any]]:
    """A message of msgspec as a code with its arguments; no code for one that says too little.

    The messages are the only form in which msgspec tells a constraint; `tests/unit/test_told.py` notices other ones.
    """
    pattern = next((pattern for pattern in _IN_WORDS if f"matching regex {pattern!r}" in what), None)
    if pattern is not None:
        return _CODES[pattern], {}
    found = _BOUND.search(what)
    if found is None:
        return "", {}
    kind, sign, bound = found.groups()
    if kind in {"int", "float"}:
        return {">=": "at_least", "<=": "at_most", ">": "more_than"}.get(sign, ""), {"bound": float(bound)}
    return {">=": "too_short", "<=": "too_long"}.get(sign, ""), {"bound": int(bound)}


def explained(error: msgspec.ValidationError) -> str:
    """What msgspec found wrong, with patterns put in words and the field's path at the front."""
    text = str(error)
    if text.startswith("Invalid enum value") and text.endswith(" - at `key` in `$.retries`"):
        value = text.removeprefix("Invalid enum value ").partition(" - at ")[0]
        return f"retries: {value} is no outcome; it may be {', '.join(Outcome)}"
    what, _, path = text.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    return f"{field}: {in_words(what)}" if field else in_words(what)


def in_words(what: str) -> str:
    """A message of msgspec, a pattern replaced by what it means."""
    for pattern, words in _IN_WORDS.items():
        if f"matching regex {pattern!r}" in what:
            return f"must be {words}"
    return what


def campaign_of(given: CampaignInput) -> Campaign:
    """Check what types cannot say, and make the campaign.

    Raises:
        InputError: names the field, what it was and what it may be, with the reason.
    """
    _check(given)
    retries = {outcome: rule for outcome, rule in DEFAULT_RETRIES.items() if outcome not in given.retries}
    for outcome, rule in given.retries.items():
        if rule is not None:
            retries[outcome] = RetryRule(
                delay_s=rule.delay_s,
                max_attempts=rule.max_attempts,
                growth=rule.growth,
                other_phone_first=rule.other_phone_first,
                spread_hours=rule.spread_hours,
                needs_agent=rule.needs_agent,
            )
    detection = given.machine_detection
    first_day, last_day = read_days(given.first_day, given.last_day)
    return Campaign(
        id=CampaignId(given.id),
        name=given.name,
        method=given.method,
        max_abandonment=given.max_abandonment,
        connect_within_s=given.connect_within_s,
        abandonment_windows=tuple(dict.fromkeys(given.abandonment_windows)),
        ratio=given.ratio,
        ring_timeout_s=given.ring_timeout_s,
        wrapup_limit_s=given.wrapup_limit_s,
        max_lines=given.max_lines,
        max_lines_per_agent=given.max_lines_per_agent,
        max_attempts=given.max_attempts,
        retries=retries,
        caller_id=None if given.caller_id is None else Phone(given.caller_id),
        caller_ids=tuple(
            CallerId(number=Phone(one.number), prefixes=one.prefixes, max_calls_per_day=one.max_calls_per_day)
            for one in given.caller_ids
        ),
        message=given.message,
        opt_out_key=given.opt_out_key,
        opt_out_scope=given.opt_out_scope,
        trunks=tuple(TrunkName(trunk) for trunk in given.trunks),
        machine_detection=None
        if detection is None
        else MachineDetection(
            deadline_s=detection.deadline_s,
            parameters=detection.parameters,
            unsure_is_human=detection.unsure_is_human,
        ),
        machine_sample_share=given.machine_sample_share,
        callback_window_s=given.callback_window_s,
        callback_fallback_s=given.callback_fallback_s,
        callback_reminder_s=given.callback_reminder_s,
        preview_s=given.preview_s,
        preview_on_expiry=given.preview_on_expiry,
        preview_pause_after=given.preview_pause_after,
        preview_skip_s=given.preview_skip_s,
        skills=given.skills,
        screen_pop=given.screen_pop,
        script=given.script,
        crm_contact=contact_rows(given.crm_contact),
        crm_words=word_rows(given.crm_words),
        crm_update=update_rows(given.crm_update),
        dispositions=codes_of(given.dispositions),
        currency=given.currency,
        filter=given.filter.strip(),
        segment=given.segment,
        recording=given.recording,
        recording_consent=given.recording_consent,
        recording_announcement=given.recording_announcement,
        timezone=given.timezone,
        purpose=given.purpose.value,
        party=given.party.value,
        jurisdictions=given.jurisdictions,
        bases=frozenset(basis.value for basis in given.bases),
        seller=given.seller,
        hours=read_own_hours(given.hours) if given.hours else (),
        first_day=first_day,
        last_day=last_day,
    )


def dump_campaign(campaign: Campaign) -> dict[str, Any]:
    """Plain values (JSON types only) from which `parse_campaign` makes the same campaign."""
    retries: dict[str, dict[str, float | int] | None] = {
        outcome.value: None for outcome in DEFAULT_RETRIES if outcome not in campaign.retries
    }
    for outcome, rule in campaign.retries.items():
        retries[outcome.value] = {
            "delay_s": rule.delay_s,
            "max_attempts": rule.max_attempts,
            "growth": rule.growth,
            "other_phone_first": rule.other_phone_first,
            "spread_hours": rule.spread_hours,
            "needs_agent": rule.needs_agent,
        }
    detection = campaign.machine_detection
    return {
        "id": campaign.id,
        "name": campaign.name,
        "method": campaign.method,
        "max_abandonment": campaign.max_abandonment,
        "connect_within_s": campaign.connect_within_s,
        "abandonment_windows": [window.value for window in campaign.abandonment_windows],
        "ratio": campaign.ratio,
        "ring_timeout_s": campaign.ring_timeout_s,
        "wrapup_limit_s": campaign.wrapup_limit_s,
        "max_lines": campaign.max_lines,
        "max_lines_per_agent": campaign.max_lines_per_agent,
        "max_attempts": campaign.max_attempts,
        "retries": retries,
        "caller_id": campaign.caller_id,
        "caller_ids": [
            {"number": one.number, "prefixes": list(one.prefixes), "max_calls_per_day": one.max_calls_per_day}
            for one in campaign.caller_ids
        ],
        "message": campaign.message,
        "opt_out_key": campaign.opt_out_key,
        "opt_out_scope": campaign.opt_out_scope,
        "trunks": list(campaign.trunks),
        "machine_detection": None
        if detection is None
        else {
            "deadline_s": detection.deadline_s,
            "parameters": detection.parameters,
            "unsure_is_human": detection.unsure_is_human,
        },
        "machine_sample_share": campaign.machine_sample_share,
        "callback_window_s": campaign.callback_window_s,
        "callback_fallback_s": campaign.callback_fallback_s,
        "callback_reminder_s": campaign.callback_reminder_s,
        "preview_s": campaign.preview_s,
        "preview_on_expiry": campaign.preview_on_expiry.value,
        "preview_pause_after": campaign.preview_pause_after,
        "preview_skip_s": campaign.preview_skip_s,
        "skills": sorted(campaign.skills),
        "screen_pop": campaign.screen_pop,
        "script": campaign.script,
        "crm_contact": dump_rows(campaign.crm_contact),
        "crm_words": dump_rows(campaign.crm_words),
        "crm_update": dump_rows(campaign.crm_update),
        "dispositions": dump_codes(campaign.dispositions),
        "currency": campaign.currency,
        "filter": campaign.filter,
        "segment": campaign.segment,
        "timezone": campaign.timezone,
        "recording": campaign.recording.value,
        "recording_consent": campaign.recording_consent.value,
        "recording_announcement": campaign.recording_announcement,
        "purpose": campaign.purpose,
        "party": campaign.party,
        "jurisdictions": list(campaign.jurisdictions),
        "bases": sorted(campaign.bases),
        "seller": campaign.seller,
        "hours": list(campaign.hours),
        "first_day": "" if campaign.first_day is None else campaign.first_day.isoformat(),
        "last_day": "" if campaign.last_day is None else campaign.last_day.isoformat(),
    }


def change_campaign(campaign: Campaign, changes: Mapping[str, object]) -> Campaign:
    """The campaign with some settings replaced; `retries` is merged outcome by outcome.

    Raises:
        InputError: as `parse_campaign`; also for an attempt to change the id.
    """
    if "id" in changes and changes["id"] != campaign.id:
        raise InputError("id: cannot be changed; create another campaign instead")
    whole = dump_campaign(campaign) | dict(changes)
    given = changes.get("retries")
    if isinstance(given, Mapping):
        whole["retries"] = dump_campaign(campaign)["retries"] | dict(given)
    return parse_campaign(whole)


def _check(given: CampaignInput) -> None:
    valid = method_names()
    if given.method not in valid:
        raise InputError(
            f"method: {given.method!r} is no pacing method; it may be {', '.join(valid)}", code="no_method"
        )
    if not 0 <= given.max_abandonment <= MAX_ABANDONMENT:
        raise InputError(
            f"max_abandonment: {given.max_abandonment:g} is not allowed; it may be 0 to {MAX_ABANDONMENT:g}: "
            "regulators allow at most 3 abandoned calls in 100 live answers",
            code="abandonment_limit",
            most_percent=100 * MAX_ABANDONMENT,
        )
    if not 0 < given.connect_within_s <= MAX_CONNECT_WITHIN_S:
        raise InputError(
            f"connect_within_s: {given.connect_within_s:g} is not allowed; it may be more than 0 and at most "
            f"{MAX_CONNECT_WITHIN_S:g}: a person who waits longer than two seconds counts as abandoned",
            code="connect_within",
            most=MAX_CONNECT_WITHIN_S,
        )
    if given.ring_timeout_s < MIN_RING_TIMEOUT_S:
        raise InputError(
            f"ring_timeout_s: {given.ring_timeout_s:g} is too short; it may be {MIN_RING_TIMEOUT_S:g} to 120: people "
            "must have 15 seconds (four rings) to get to their phone",
            code="ring_timeout",
            least=MIN_RING_TIMEOUT_S,
        )
    for outcome, rule in given.retries.items():
        if rule is not None and outcome in _NEVER_RETRIED:
            raise InputError(
                f"retries.{outcome.value}: cannot be retried ({_NEVER_RETRIED[outcome]}); leave it out",
                code="never_retried",
            )
    detection = given.machine_detection
    latest = given.connect_within_s - MIN_TIME_TO_CONNECT_S
    if detection is not None and detection.deadline_s > latest + 1e-9:
        raise InputError(
            f"machine_detection.deadline_s: {detection.deadline_s:g} leaves no time to find an agent within "
            f"connect_within_s; it may be at most {latest:g}",
            code="detection_late",
            most=latest,
        )
    _check_caller_ids(given)
    check_currency(given.currency)
    _check_screen_pop(given.screen_pop)
    _check_script(given.script)
    if given.filter.strip():
        parse_filter(given.filter)
    if given.timezone:
        zone_named(given.timezone)


def _check_caller_ids(given: CampaignInput) -> None:
    if given.caller_id is not None and given.caller_ids:
        raise InputError(
            "caller_ids: cannot stand beside caller_id; put that number into the pool and set caller_id to null",
            code="caller_id_twice",
        )
    numbers = Counter(one.number for one in given.caller_ids)
    repeated = next((number for number, times in numbers.items() if times > 1), None)
    if repeated is not None:
        raise InputError(
            f"caller_ids: {repeated} stands in the pool more than once; put its prefixes together",
            code="number_twice",
            number=repeated,
        )


def _check_script(script: str) -> None:
    """Its braces must be closed, and hold the name of a field."""
    try:
        parts = list(string.Formatter().parse(script))
    except ValueError as error:
        raise InputError(
            f"script: {error}; write a field as {{name}}, a brace itself as {{{{ or }}}}", code="braces"
        ) from error
    for _, name, spec, how in parts:
        if name is not None and (not name.replace("_", "").isalnum() or spec or how):
            raise InputError(
                f"script: {{{name}}} is no field; fields are letters, digits and _, such as {{name}}",
                code="no_field",
                field=name,
            )


def _check_screen_pop(template: str) -> None:
    """Fields may stand in the path, the query and the fragment only: never where they would choose scheme or host."""
    if not template:
        return
    if any(character <= " " or character == "\x7f" for character in template):
        raise InputError("screen_pop: must be a URL without spaces or control characters", code="url_spaces")
    if "\\" in template:
        raise InputError("screen_pop: must not have a backslash, which browsers take for a slash", code="url_backslash")
    try:
        parts = list(string.Formatter().parse(template))
        where = urlsplit("".join(text + ("\x00" if name is not None else "") for text, name, _, _ in parts))
        port = where.port
    except ValueError as error:
        raise InputError(
            f"screen_pop: {error}; write a field as {{id}}, a brace itself as {{{{ or }}}}", code="braces"
        ) from error
    if where.scheme not in {"http", "https"}:
        raise InputError("screen_pop: must begin with https:// or http://", code="url_scheme")
    if "\x00" in where.netloc:
        raise InputError(
            "screen_pop: a field cannot stand in the host: write https://crm.example/… with fields behind it",
            code="url_field_in_host",
        )
    if not where.hostname or port == 0 or "@" in where.netloc:
        raise InputError("screen_pop: must name a host and no user: https://crm.example/contacts/{id}", code="url_host")
    for _, name, spec, how in parts:
        if name is not None and (not name.replace("_", "").isalnum() or spec or how):
            raise InputError(
                f"screen_pop: {{{name}}} is no field; fields are letters, digits and _, such as {{id}}",
                code="no_field",
                field=name,
            )
