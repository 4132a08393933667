"""The form of a campaign: which settings stand where, and how each is written.

A setting that no section names is still there, at the end, as it stands in the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from dialer.campaigns import CampaignSettings, dump_campaign
from dialer.compliance.rules import Basis, Party, Purpose
from dialer.core.campaign import AbandonmentWindow, Campaign, PreviewExpiry, RecordingConsent, RecordingMode
from dialer.core.disposition import DispositionCategory
from dialer.core.ids import CampaignId
from dialer.core.outcome import Outcome
from dialer.crm_terms import TYPES
from pacing import method_names

#: After these nobody is called again by a rule.
_NEVER_RETRIED: Final = frozenset({Outcome.CONNECTED, Outcome.CANCELLED})
RETRIED: Final = tuple(outcome.value for outcome in Outcome if outcome not in _NEVER_RETRIED)


class Kind(StrEnum):
    """How a setting is written."""

    TEXT = "text"
    AREA = "area"
    DAY = "day"
    #: Nothing typed means null.
    MAYBE = "maybe"
    NUMBER = "number"
    PERCENT = "percent"
    #: Seconds; with a unit for people.
    DURATION = "duration"
    MAYBE_DURATION = "maybe_duration"
    MAYBE_NUMBER = "maybe_number"
    #: A number, true or false where it reads so, else a text; in quotes it is one all the same. Nothing means null.
    VALUE = "value"
    FLAG = "flag"
    CHOICE = "choice"
    #: Boxes, of which any may be ticked.
    SEVERAL = "several"
    #: Separated by commas or blanks.
    WORDS = "words"
    #: One a line.
    LINES = "lines"
    JSON = "json"
    ROWS = "rows"
    RETRIES = "retries"
    DETECTION = "detection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting, or one column of a table."""

    name: str
    kind: Kind
    options: tuple[str, ...] = ()
    #: Group of the catalogue that has words for the options.
    words: str = ""

    @property
    def slug(self) -> str:
        """As a key of the catalogue."""
        return self.name.replace(".", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What stands together."""

    name: str
    fields: tuple[Field, ...]


def _one(name: str, kind: Kind, options: Iterable[str] = (), words: str = "") -> Field:
    return Field(name=name, kind=kind, options=tuple(options), words=words)


CODE_FIELDS: Final = (
    _one("code", Kind.TEXT),
    _one("name", Kind.TEXT),
    _one("category", Kind.CHOICE, DispositionCategory, "category"),
    _one("is_sale", Kind.FLAG),
    _one("is_contact", Kind.FLAG),
    _one("do_not_call", Kind.FLAG),
    _one("callback", Kind.FLAG),
    _one("needs_amount", Kind.FLAG),
    _one("retry_delay_s", Kind.MAYBE_DURATION),
    _one("retry_max_attempts", Kind.MAYBE_NUMBER),
)
NUMBER_FIELDS: Final = (
    _one("number", Kind.TEXT),
    _one("prefixes", Kind.WORDS),
    _one("max_calls_per_day", Kind.MAYBE_NUMBER),
)
CRM_CONTACT_FIELDS: Final = (
    _one("field", Kind.TEXT),
    _one("expression", Kind.TEXT),
    _one("type", Kind.CHOICE, TYPES, "crm_type"),
    _one("crm", Kind.TEXT),
)
CRM_WORD_FIELDS: Final = (
    _one("table", Kind.TEXT),
    _one("word", Kind.TEXT),
    _one("becomes", Kind.VALUE),
    _one("crm", Kind.TEXT),
)
CRM_UPDATE_FIELDS: Final = (
    _one("rule", Kind.NUMBER),
    _one("field", Kind.TEXT),
    _one("value", Kind.VALUE),
    _one("crm", Kind.TEXT),
)
RETRY_FIELDS: Final = (
    _one("delay_s", Kind.DURATION),
    _one("max_attempts", Kind.NUMBER),
    _one("growth", Kind.NUMBER),
    _one("other_phone_first", Kind.FLAG),
    _one("spread_hours", Kind.FLAG),
    _one("needs_agent", Kind.FLAG),
)
DETECTION_FIELDS: Final = (
    _one("deadline_s", Kind.DURATION),
    _one("parameters", Kind.TEXT),
    _one("unsure_is_human", Kind.FLAG),
)
#: Columns that are boxes: one that is not ticked is not there.
FLAGS: Final = frozenset(one.name for one in CODE_FIELDS if one.kind is Kind.FLAG)
#: Settings that are tables, with their columns.
TABLES: Final[Mapping[str, tuple[Field, ...]]] = {
    "dispositions": CODE_FIELDS,
    "caller_ids": NUMBER_FIELDS,
    "crm_contact": CRM_CONTACT_FIELDS,
    "crm_words": CRM_WORD_FIELDS,
    "crm_update": CRM_UPDATE_FIELDS,
}
#: How many of its columns tell a row from others, where that takes more than the first.
TELLING: Final[Mapping[str, int]] = {"crm_contact": 2, "crm_words": 3, "crm_update": 3}

_NAMED_SECTIONS: Final = (
    Section(
        name="basics",
        fields=(
            _one("name", Kind.TEXT),
            _one("method", Kind.CHOICE, method_names(), "method"),
            _one("max_abandonment", Kind.PERCENT),
            _one("connect_within_s", Kind.DURATION),
            _one("abandonment_windows", Kind.SEVERAL, AbandonmentWindow, "window"),
            _one("max_lines", Kind.NUMBER),
            _one("max_lines_per_agent", Kind.NUMBER),
            _one("ratio", Kind.NUMBER),
            _one("skills", Kind.WORDS),
            _one("trunks", Kind.WORDS),
        ),
    ),
    Section(
        name="schedule",
        fields=(_one("hours", Kind.LINES), _one("first_day", Kind.DAY), _one("last_day", Kind.DAY)),
    ),
    Section(
        name="caller_ids",
        fields=(_one("caller_id", Kind.MAYBE), _one("caller_ids", Kind.ROWS)),
    ),
    Section(
        name="law",
        fields=(
            _one("purpose", Kind.CHOICE, Purpose, "purpose"),
            _one("party", Kind.CHOICE, Party, "party"),
            _one("jurisdictions", Kind.WORDS),
            _one("bases", Kind.SEVERAL, Basis, "basis"),
            _one("seller", Kind.TEXT),
            _one("timezone", Kind.TEXT),
        ),
    ),
    Section(
        name="calls",
        fields=(
            _one("ring_timeout_s", Kind.DURATION),
            _one("wrapup_limit_s", Kind.MAYBE_DURATION),
            _one("message", Kind.TEXT),
            _one("opt_out_key", Kind.TEXT),
            _one("opt_out_scope", Kind.CHOICE, ("*", "campaign"), "opt_out_scope"),
        ),
    ),
    Section(
        name="preview",
        fields=(
            _one("preview_s", Kind.DURATION),
            _one("preview_on_expiry", Kind.CHOICE, PreviewExpiry, "preview_expiry"),
            _one("preview_skip_s", Kind.DURATION),
            _one("preview_pause_after", Kind.MAYBE_NUMBER),
        ),
    ),
    Section(
        name="machines",
        fields=(_one("machine_detection", Kind.DETECTION), _one("machine_sample_share", Kind.PERCENT)),
    ),
    Section(
        name="recording",
        fields=(
            _one("recording", Kind.CHOICE, RecordingMode, "recording_mode"),
            _one("recording_consent", Kind.CHOICE, RecordingConsent, "recording_consent"),
            _one("recording_announcement", Kind.TEXT),
        ),
    ),
    Section(name="crm", fields=(_one("screen_pop", Kind.TEXT), _one("script", Kind.AREA))),
    Section(
        name="mapping",
        fields=(_one("crm_contact", Kind.ROWS), _one("crm_words", Kind.ROWS), _one("crm_update", Kind.ROWS)),
    ),
    Section(name="dispositions", fields=(_one("currency", Kind.TEXT), _one("dispositions", Kind.ROWS))),
    Section(
        name="retries",
        fields=(
            _one("max_attempts", Kind.NUMBER),
            _one("retries", Kind.RETRIES),
            _one("callback_reminder_s", Kind.DURATION),
            _one("callback_window_s", Kind.DURATION),
            _one("callback_fallback_s", Kind.MAYBE_DURATION),
        ),
    ),
)
#: Of the CRM's own making; nobody types them.
_NOT_TYPED: Final = frozenset({"segment"})
#: What a campaign is of which nothing is set.
DEFAULTS: Final = dump_campaign(Campaign(id=CampaignId("default")))


def _others() -> tuple[Field, ...]:
    named = {one.name for section in _NAMED_SECTIONS for one in section.fields} | _NOT_TYPED
    settings = [setting.name for setting in msgspec.structs.fields(CampaignSettings)]
    return tuple(_one(name, _kind_of(DEFAULTS[name])) for name in settings if name not in named)


def _kind_of(value: object) -> Kind:
    match value:
        case bool():
            return Kind.FLAG
        case int() | float():
            return Kind.NUMBER
        case str():
            return Kind.AREA
        case _:
            return Kind.JSON


SECTIONS: Final = (*_NAMED_SECTIONS, Section(name="more", fields=_others()))
FIELDS: Final[Mapping[str, Field]] = {one.name: one for section in SECTIONS for one in section.fields}
