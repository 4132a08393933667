"""A CRM's mapping as it is shown: a line for everything that a campaign may have otherwise, with both; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dialer.api.crm_ports import CrmFeed
from dialer.console.campaign_forms import written
from dialer.core.campaign import Campaign
from dialer.core.saying import NOTHING, Saying, of_error
from dialer.crm.mapping import CrmMapping, MappingFile
from dialer.crm.own_mapping import free_tables, own_mapping
from dialer.crm_terms import PLAIN
from dialer.errors import InputError

#: Settings of a campaign -> the columns of its rows that say of what a row is; the others say what holds.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "crm_contact": ("field",),
    "crm_words": ("table", "word"),
    "crm_update": ("rule", "field"),
}
#: A row of a form: texts by the names of its columns.
Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that a mapping says, as a row of the form would.

    Attributes:
        key: Of what it is.
        file: What the mapping has; empty: nothing.
        now: What holds for the campaign; likewise.
    """

    key: Cells
    file: Cells
    now: Cells

    @property
    def own(self) -> bool:
        """Whether the campaign has it otherwise."""
        return self.file != self.now

    @property
    def cells(self) -> Cells:
        """What a row begins with that is to replace it."""
        return {**self.key, **self.file}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """One rule of writing: results of which types, under which condition; a body that is a text as a whole."""

    on: Sequence[str]
    when: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingView:
    """A CRM's mapping for a campaign.

    Attributes:
        feed: whose it is.
        lines: By setting.
        rules: In their order.
        problem: Why the campaign's rows do not fit; then the lines are those of the mapping alone.
    """

    feed: CrmFeed
    lines: Mapping[str, Sequence[Line]]
    rules: Sequence[RuleView]
    problem: Saying = NOTHING


def view_of_feed(feed: CrmFeed, campaign: Campaign) -> MappingView:
    """What the mapping of a CRM says for a campaign."""
    problem = NOTHING
    try:
        own = own_mapping(feed.mapping, campaign, feed.name)
    except InputError as error:
        own, problem = feed.mapping, of_error(error)
    was, now = _said(feed.mapping), _said(own)
    lines = {
        setting: [
            Line(key=dict(zip(KEYS[setting], key, strict=True)), file=were.get(key, {}), now=are.get(key, {}))
            for key in {**were, **are}
        ]
        for setting, were, are in ((setting, was[setting], now[setting]) for setting in KEYS)
    }
    rules = [
        RuleView(on=rule.on, when=rule.when, text=rule.body if isinstance(rule.body, str) else "")
        for rule in own.file.update
    ]
    return MappingView(feed=feed, lines=lines, rules=rules, problem=problem)


#: What is said of each thing, by its key.
_Said = dict[tuple[str, ...], Cells]


def _said(mapping: CrmMapping) -> Mapping[str, _Said]:
    file = mapping.file
    return {"crm_contact": _parts(file), "crm_words": _words(mapping), "crm_update": _writes(file)}


def _parts(file: MappingFile) -> _Said:
    keys = file.contact
    named = {name: getattr(keys, name) for name in PLAIN}
    named |= {f"consent.{name}": text for name, text in keys.consent.items()}
    named |= {f"fields.{name}": text for name, text in keys.fields.items()}
    types = {f"fields.{name}": kind for name, kind in keys.types.items()}
    return {(name,): {"expression": text, "type": types.get(name, "")} for name, text in named.items()}


def _words(mapping: CrmMapping) -> _Said:
    return {
        (table, word): {"becomes": written(becomes)}
        for table in free_tables(mapping)
        for word, becomes in mapping.file.tables.get(table, {}).items()
    }


def _writes(file: MappingFile) -> _Said:
    return {
        (str(place), field): {"value": written(value)}
        for place, rule in enumerate(file.update, start=1)
        if isinstance(rule.body, dict)
        for field, value in rule.body.items()
        if isinstance(value, str | int | float | bool)
    }


def contact_lines(contact: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A contact that was tried, part by part: fields and consents one by one."""
    lines: list[tuple[str, str]] = []
    for name, value in contact.items():
        if isinstance(value, Mapping):
            lines += [(f"{name}.{part}", _line(each)) for part, each in value.items() if each not in ({}, None)]
        else:
            lines.append((name, _line(value)))
    return lines


def body_lines(body: str) -> list[tuple[str, str]]:
    """What would be written, field by field; empty where it is no object of JSON."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return []
    return [(name, _line(value)) for name, value in fields.items()]


def _line(value: Any) -> str:
    match value:
        case str():
            return value
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def chosen_line(mappings: Sequence[MappingView], setting: str, where: str) -> Cells | None:
    """The row of a form that replaces a line, which is named by the places of its mapping and of itself: ``0:3``."""
    mapping, _, line = where.partition(":")
    try:
        lines = mappings[int(mapping)].lines[setting]
        cells = lines[int(line)].cells
    except (ValueError, LookupError):
        return None
    return {**cells, "crm": mappings[int(mapping)].feed.name if len(mappings) > 1 else ""}
