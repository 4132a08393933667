"""The settings of a campaign as a form: what was typed into settings, settings into what is shown, and back. Pure.

The form knows how a setting is written (`dialer.console.campaign_form_layout`) and nothing of what it may be: that is
`dialer.campaigns`, the same for the API, the command and here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from dialer.campaigns import dump_campaign, parse_campaign
from dialer.console.campaign_form_layout import (
    DEFAULTS,
    DETECTION_FIELDS,
    FIELDS,
    FLAGS,
    RETRIED,
    RETRY_FIELDS,
    TABLES,
    TELLING,
    Field,
    Kind,
    Section,
)
from dialer.core.disposition import DEFAULT_DISPOSITIONS
from dialer.crm_terms import MAX_ROWS
from dialer.dispositions import MAX_CODES, dump_code
from dialer.errors import InputError

#: What a form sends: names and texts, each name once; a box that is not ticked is not there.
Typed = Mapping[str, str]
#: Settings in JSON's own types, as `dialer.campaigns.dump_campaign` gives them.
Settings = Mapping[str, Any]

#: Sides of a number; no exponents, so that nobody's zero has a billion digits.
_NUMBER: Final = re.compile(r"[+-]?(\d{1,18}([.,]\d{0,400})?|[.,]\d{1,400})")
_DURATION: Final = re.compile(rf"({_NUMBER.pattern})\s*([a-z]*)")
_UNITS: Final[Mapping[str, int]] = {
    "": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400,
}  # fmt: skip
_SHOWN_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))
_MOST_ROWS: Final[Mapping[str, int]] = {
    "dispositions": MAX_CODES,
    "caller_ids": 500,
    "crm_contact": MAX_ROWS,
    "crm_words": MAX_ROWS,
    "crm_update": MAX_ROWS,
}
_ROW: Final = re.compile(rf"({'|'.join(_MOST_ROWS)})\.([0-9]{{1,3}})\.[a-z_]+")
#: A number as JSON writes it; one with more digits is somebody's key.
_PLAIN_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,400})?")
#: What a rule is for an outcome that has none yet.
_NEW_RULE: Final[Mapping[str, Any]] = {
    "delay_s": 3_600.0,
    "max_attempts": 3,
    "growth": 1.0,
    "other_phone_first": False,
    "spread_hours": False,
    "needs_agent": False,
}


# ---- settings into what is shown


def shown(settings: Settings) -> dict[str, str]:
    """What stands in the form of these settings: `read` makes the same settings of it."""
    typed: dict[str, str] = {}
    for name, one in FIELDS.items():
        typed |= _shown(one, name, settings[name])
    return typed


def _shown(one: Field, name: str, value: Any) -> dict[str, str]:
    match one.kind:
        case Kind.ROWS:
            rows = value or ([dump_code(code) for code in DEFAULT_DISPOSITIONS] if name == "dispositions" else [])
            return {
                key: text
                for place, row in enumerate(rows)
                for column in TABLES[name]
                for key, text in _shown(column, f"{name}.{place}.{column.name}", _cell(row, column.name)).items()
            }
        case Kind.RETRIES:
            return {
                key: text
                for outcome in RETRIED
                for key, text in _group(RETRY_FIELDS, f"retries.{outcome}", value.get(outcome), _NEW_RULE).items()
            }
        case Kind.DETECTION:
            return _group(DETECTION_FIELDS, name, value, _DETECTION)
        case Kind.SEVERAL:
            return {f"{name}.{option}": "on" for option in value}
        case Kind.FLAG:
            return {name: "on"} if value else {}
        case _:
            return {name: _text(one.kind, value)}


#: What detection is where it has been off; of `dialer.core.campaign.MachineDetection`.
_DETECTION: Final = dump_campaign(
    parse_campaign({"id": "default", "machine_detection": {}}),
)["machine_detection"]


def _group(fields: Sequence[Field], name: str, value: Settings | None, blank: Settings) -> dict[str, str]:
    """A group that may be off: what it would be stands there all the same."""
    typed = {} if value is None else {f"{name}.on": "on"}
    for one in fields:
        typed |= _shown(one, f"{name}.{one.name}", (value or blank)[one.name])
    return typed


def _cell(row: Settings, column: str) -> Any:
    if column.startswith("retry_"):
        return None if row["retry"] is None else row["retry"][column.removeprefix("retry_")]
    return row[column]


def _text(kind: Kind, value: Any) -> str:
    if value is None:
        return ""
    match kind:
        case Kind.PERCENT:
            return _digits(Decimal(repr(value)) * 100)
        case Kind.DURATION | Kind.MAYBE_DURATION:
            return _spoken(Decimal(repr(value)))
        case Kind.NUMBER | Kind.MAYBE_NUMBER:
            return _digits(Decimal(repr(value)))
        case Kind.VALUE:
            return written(value)
        case Kind.WORDS:
            return ", ".join(value)
        case Kind.LINES:
            return "\n".join(value)
        case Kind.JSON:
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def written(value: str | int | float | bool) -> str:
    """A value as it is typed: a text is in quotes only where it would be read as something else without them."""
    if isinstance(value, str):
        return value if _value(value) == value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if isinstance(value, bool) else _digits(Decimal(repr(value)))


def _digits(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _spoken(seconds: Decimal) -> str:
    """``2 h``, ``90 s``: in the largest unit of which it is a whole number."""
    for unit, size in _SHOWN_UNITS:
        if seconds and not seconds % size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds)} s"


# ---- what was typed into settings


class Unreadable(InputError):
    """What was typed is not even of the right form; `word` is the key of the text that says so."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a form says.

    Attributes:
        settings: Those that could be read.
        problems: By the name of the field, or of the row or group, that is wrong.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, InputError] = field(default_factory=dict)


def read(typed: Typed) -> Reading:
    """The settings that were typed, and what is wrong with each field on its own.

    Where they cannot be used as they stand, each is held to `dialer.campaigns` by itself, so that several mistakes are
    told at once; what is wrong only together with another is for `dialer.campaigns.parse_campaign` of all.
    """
    found = _taken(typed, _as_it_is)
    if not found.problems:
        try:
            whole = dump_campaign(parse_campaign({"id": "form"} | found.settings))
        except InputError:
            return _taken(typed, _sound)
        return Reading(settings={name: whole[name] for name in found.settings})
    return _taken(typed, _sound)


#: Holds one setting to the rules; `_sound`, or nothing at all.
_Check = Callable[[str, Any], Any]


def _as_it_is(name: str, value: Any) -> Any:
    return value


def _taken(typed: Typed, sound: _Check) -> Reading:
    found = Reading()
    for name, one in FIELDS.items():
        match one.kind:
            case Kind.ROWS:
                _read_rows(found, typed, name, sound)
            case Kind.RETRIES:
                _read_retries(found, typed, sound)
            case _:
                try:
                    found.settings[name] = sound(name, _read(one, name, typed))
                except InputError as problem:
                    found.problems[name] = problem
    return found


def _read_rows(found: Reading, typed: Typed, name: str, sound: _Check) -> None:
    rows = []
    for place in places(typed, name):
        row = f"{name}.{place}"
        try:
            value = _read_row(typed, name, row)
            if value is not None:
                sound(name, [value])
                rows.append(value)
        except InputError as problem:
            found.problems[row] = problem
    if not any(problem.startswith(f"{name}.") for problem in found.problems):
        try:
            found.settings[name] = sound(name, rows)
        except InputError as problem:
            found.problems[name] = problem


def _read_row(typed: Typed, name: str, row: str) -> dict[str, Any] | None:
    """One row of a table; None where nothing was typed into it."""
    columns = TABLES[name]
    if not any(
        typed.get(f"{row}.{one.name}", "").strip() for one in columns if one.kind not in {Kind.CHOICE, Kind.FLAG}
    ):
        return None
    value = {one.name: _read(one, f"{row}.{one.name}", typed) for one in columns}
    if name == "dispositions":
        delay_s, most = value.pop("retry_delay_s"), value.pop("retry_max_attempts")
        value["retry"] = None if delay_s is None and most is None else {"delay_s": delay_s or 0.0}
        if most is not None:
            value["retry"]["max_attempts"] = most
    return value


def _read_retries(found: Reading, typed: Typed, sound: _Check) -> None:
    rules: dict[str, Any] = {}
    for outcome in RETRIED:
        name = f"retries.{outcome}"
        try:
            rules[outcome] = _read_group(RETRY_FIELDS, name, typed)
            sound("retries", {outcome: rules[outcome]})
        except InputError as problem:
            found.problems[name] = problem
    if len(rules) == len(RETRIED) and not any(problem.startswith("retries.") for problem in found.problems):
        found.settings["retries"] = sound("retries", rules)


def _read_group(fields: Sequence[Field], name: str, typed: Typed) -> dict[str, Any] | None:
    if f"{name}.on" not in typed:
        return None
    return {one.name: _read(one, f"{name}.{one.name}", typed) for one in fields}


def _read(one: Field, name: str, typed: Typed) -> Any:
    text = typed.get(name, "")
    match one.kind:
        case Kind.FLAG:
            return name in typed
        case Kind.SEVERAL:
            return [option for option in one.options if f"{name}.{option}" in typed]
        case Kind.DETECTION:
            return _read_group(DETECTION_FIELDS, name, typed)
        case Kind.WORDS:
            return text.replace(",", " ").split()
        case Kind.LINES:
            return [line.strip() for line in text.replace(";", "\n").splitlines() if line.strip()]
        case Kind.MAYBE:
            return text.strip() or None
        case Kind.MAYBE_NUMBER | Kind.MAYBE_DURATION if not text.strip():
            return None
        case Kind.NUMBER | Kind.MAYBE_NUMBER:
            return _number(text)
        case Kind.VALUE:
            return _value(text)
        case Kind.PERCENT:
            return read_percent(text)
        case Kind.DURATION | Kind.MAYBE_DURATION:
            return _seconds(text)
        case Kind.JSON:
            try:
                return msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise Unreadable("is not JSON", word="form.not_json") from error
        case Kind.AREA:
            return text.replace("\r\n", "\n")
        case _:
            return text.strip()


def shown_percent(share: float) -> str:
    """A share as percent."""
    return _text(Kind.PERCENT, share)


def read_percent(text: str) -> float:
    """A share that was typed as percent.

    Raises:
        Unreadable: it is no number.
    """
    return float(_decimal(text.strip().rstrip("%")) / 100)


def _number(text: str) -> float | int:
    value = _decimal(text)
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text.strip()):
        raise Unreadable("is not a number", word="form.not_a_number")
    return Decimal(text.strip().replace(",", "."))


def _value(text: str) -> str | int | float | bool | None:
    text = text.strip()
    if text in {"true", "false"}:
        return text == "true"
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if text.startswith('"'):
        try:
            return msgspec.json.decode(text, type=str)
        except msgspec.DecodeError:
            return text
    return text or None


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or found.groups()[-1] not in _UNITS:
        raise Unreadable("is not a length of time", word="form.not_a_duration")
    return float(_decimal(found[1]) * _UNITS[found.groups()[-1]])


def _sound(name: str, value: Any) -> Any:
    """`value` as `dialer.campaigns.dump_campaign` writes it, where a campaign may have it.

    Raises:
        InputError: in the words of the API, without the name of the setting.
    """
    try:
        return dump_campaign(parse_campaign({"id": "form", name: value}))[name]
    except InputError as error:
        path, separator, says = str(error).partition(": ")
        words = says if separator and path.startswith(name) else str(error)
        raise InputError(words, code=error.code, **error.arguments) from error


def places(typed: Typed, name: str) -> list[int]:
    """The rows of a table that a form has, in their order."""
    most = _MOST_ROWS[name]
    found = {int(match[2]) for key in typed if (match := _ROW.fullmatch(key)) and match[1] == name}
    return sorted(place for place in found if place <= most)


def with_row(typed: Typed, name: str, cells: Typed | None = None) -> dict[str, str]:
    """The form with one more row at the end of a table; empty, but for `cells` by the names of their columns."""
    there = places(typed, name)
    row = f"{name}.{there[-1] + 1 if there else 0}"
    blank = {f"{row}.{one.name}": one.options[0] if one.options else "" for one in TABLES[name]}
    blank |= {f"{row}.{column}": text for column, text in (cells or {}).items()}
    return {**typed, **{key: text for key, text in blank.items() if FLAGS.isdisjoint({key.rpartition(".")[2]})}}


def without_row(typed: Typed, row: str) -> dict[str, str]:
    """The form without one row of a table."""
    if not _ROW.fullmatch(f"{row}.x"):
        return dict(typed)
    return {key: text for key, text in typed.items() if not key.startswith(f"{row}.")}


def slot(setting: str) -> str:
    """The field beside which a problem of the whole stands: that of a setting as rules and errors name it."""
    name = re.split(r"[.\[]", setting, maxsplit=1)[0]
    if name == "registries":
        return "jurisdictions"
    return name if name in FIELDS else ""


def slots(typed: Typed) -> list[str]:
    """Everything beside which a problem may stand."""
    rows = [f"{name}.{place}" for name in TABLES for place in places(typed, name)]
    rules = [f"retries.{outcome}" for outcome in RETRIED]
    return [*(["id"] if "id" in typed else []), *FIELDS, *rows, *rules]


def concerns(section: Section, problems: Iterable[str]) -> bool:
    """Whether one of the problems is in a section."""
    names = {one.name for one in section.fields}
    return any(problem.partition(".")[0] in names for problem in problems)


def touched(section: Section, typed: Typed, base: Settings) -> bool:
    """Whether something in a section is not as it was when the form was made."""
    names = {one.name for one in section.fields}
    were = {key: text for key, text in shown({**DEFAULTS, **base}).items() if key.partition(".")[0] in names}
    return were != {key: text for key, text in typed.items() if key.partition(".")[0] in names}


# ---- two people at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that somebody else has changed meanwhile."""

    name: str
    theirs: Any
    #: Whether it was changed here as well, to something else; then `mine` is what was typed.
    both: bool
    mine: Any


def differences(base: Settings, mine: Settings, theirs: Settings) -> list[Difference]:
    """What somebody else has changed since the form was made of `base`.

    Args:
        base: As the settings were when the form was made.
        mine: As they were typed; a setting that could not be read is missing.
        theirs: As they are on record now.
    """
    found = []
    for name in FIELDS:
        typed = mine.get(name, base.get(name))
        if theirs.get(name) != base.get(name) and theirs.get(name) != typed:
            both = typed != base.get(name)
            found.append(Difference(name=name, theirs=theirs.get(name), both=both, mine=typed))
    return found


def merged(typed: Typed, found: Sequence[Difference]) -> dict[str, str]:
    """The form again: what was typed here stays, what only somebody else changed is as they made it."""
    again = dict(typed)
    for one in found:
        if not one.both:
            again = {key: text for key, text in again.items() if key != one.name and not key.startswith(f"{one.name}.")}
            again |= _shown(FIELDS[one.name], one.name, one.theirs)
    return again


def spoken(name: str, value: Any) -> str:
    """A setting in a line, for the table of differences."""
    one = FIELDS[name]
    match one.kind:
        case Kind.ROWS:
            return ", ".join(_told(name, row) for row in value) or "–"
        case Kind.RETRIES | Kind.DETECTION | Kind.JSON:
            return json.dumps(value, ensure_ascii=False)
        case Kind.SEVERAL:
            return ", ".join(value) or "–"
        case Kind.FLAG:
            return "✓" if value else "–"
        case _:
            return _text(one.kind, value) or "–"


def _told(name: str, row: Settings) -> str:
    """A row of a table in a few words."""
    columns = TABLES[name][: TELLING.get(name, 1)]
    return " ".join(_text(one.kind, row[one.name]) for one in columns)
