"""One jurisdiction: where it is, how its numbers tell a place, and its rules; checked when it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from dialer.compliance.calendar import HolidayCalendar, zone_of
from dialer.compliance.rule_file import RAW_OF, read_rule
from dialer.compliance.rules import KIND_OF, AnyRule, Mark
from dialer.errors import ConfigError

#: The file of our own policy: what applies where no country's file says anything.
POLICY: Final = "POLICY"


class Placed(StrEnum):
    """What a line of the country tells about where its owner is."""

    ANYWHERE = "anywhere"
    BY_AREA = "by_area"


class PlaceUnknown(StrEnum):
    """Which subdivisions apply to somebody of whom only the country is known."""

    #: All of them: allowed only where every one allows it.
    STRICTEST = "strictest"
    #: None of them: the rules and holidays of the nation alone.
    NATIONAL = "national"


class Unlisted(StrEnum):
    """What becomes of numbers of countries without a file."""

    REFUSE = "refuse"
    #: They are called under the rules of the policy.
    POLICY = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subdivision:
    """A state, province or community with rules, holidays or clocks of its own."""

    code: str
    name: str
    zones: tuple[str, ...]
    #: Beginnings of national numbers that lie there.
    area_codes: tuple[str, ...]
    #: Beginnings of its postcodes.
    postcodes: tuple[str, ...]
    #: Its calendar of holidays; None: that of the nation.
    holidays: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jurisdiction:
    """A country, or the policy; each is read once, and equal to itself alone."""

    country: str
    name: str
    #: Regions of the numbering plans that it covers, such as ES.
    regions: tuple[str, ...]
    zones: tuple[str, ...]
    fixed_lines: Placed
    mobiles: Placed
    #: Digits of an area code, where all numbers that share one are taken together.
    area_code_digits: int | None
    place_unknown: PlaceUnknown
    place_unknown_mark: Mark
    unlisted: Unlisted
    reviewed: date
    subdivisions: Mapping[str, Subdivision]
    rules: tuple[AnyRule, ...]
    calendars: Mapping[str | None, HolidayCalendar]

    def calendar(self, subdivision: str | None) -> HolidayCalendar | None:
        """The holidays of a subdivision, or of the nation; None: the policy has no country."""
        if subdivision is not None and self.subdivisions[subdivision].holidays is None:
            subdivision = None
        return self.calendars.get(subdivision)


Code = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")]
Region = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
Digits = Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")]


class _RawSubdivision(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1)]
    zones: list[str] = []
    area_codes: list[Digits] = []
    postcodes: list[Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]] = []
    #: Absent: its own code; "": it has none but those of the nation.
    holidays: str | None = None


class _RawHoliday(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    date: date
    name: Annotated[str, Meta(min_length=1)]
    where: list[Code] = []
    source: Annotated[str, Meta(min_length=1)]


class _RawJurisdiction(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    country: Annotated[str, Meta(pattern=r"^(?:[A-Z]{2}|POLICY)\Z")]
    name: Annotated[str, Meta(min_length=1)]
    reviewed: date
    regions: list[Region] = []
    zones: list[str] = []
    fixed_lines: Placed = Placed.BY_AREA
    mobiles: Placed = Placed.ANYWHERE
    area_code_digits: Annotated[int, Meta(ge=1, le=5)] | None = None
    place_unknown: PlaceUnknown = PlaceUnknown.STRICTEST
    place_unknown_mark: Mark = Mark.POLICY
    unlisted: Unlisted = Unlisted.REFUSE
    subdivisions: dict[Code, _RawSubdivision] = {}
    added_holidays: list[_RawHoliday] = []
    removed_holidays: list[_RawHoliday] = []


# As those of `rule_file`: read in threads.
msgspec.json.Decoder(_RawJurisdiction)


def parse_jurisdiction(table: Mapping[str, Any]) -> Jurisdiction:
    """The jurisdiction of one file.

    Raises:
        ConfigError: says which key or rule is wrong, and what it may be.
    """
    kinds = {kind: table[kind] for kind in RAW_OF if kind in table}
    try:
        raw = msgspec.convert({key: value for key, value in table.items() if key not in kinds}, _RawJurisdiction)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace(" - at `$.", " - at `")) from error
    policy = raw.country == POLICY
    if not policy and not raw.zones:
        raise ConfigError("zones is missing: the IANA zones of the country, such as Europe/Madrid")
    if policy and (raw.zones or raw.subdivisions or raw.regions):
        raise ConfigError("the policy has no zones, regions or subdivisions: it is for every country")
    if not policy and raw.unlisted is not Unlisted.REFUSE:
        raise ConfigError(f"unlisted belongs into the file of the policy (country = {POLICY!r})")
    for zone in raw.zones:
        zone_of(zone)
    subdivisions = {code: _subdivision(code, one, raw.zones) for code, one in raw.subdivisions.items()}
    rules: list[AnyRule] = []
    for kind, entries in kinds.items():
        if not isinstance(entries, list):
            raise ConfigError(f"{kind} is no list of rules; write [[{kind}]] with double brackets")
        rules += [read_rule(kind, entry, raw.country) for entry in entries]
    _check(rules, subdivisions)
    return Jurisdiction(
        country=raw.country,
        name=raw.name,
        regions=() if policy else tuple(dict.fromkeys([raw.country, *raw.regions])),
        zones=tuple(raw.zones),
        fixed_lines=raw.fixed_lines,
        mobiles=raw.mobiles,
        area_code_digits=raw.area_code_digits,
        place_unknown=raw.place_unknown,
        place_unknown_mark=raw.place_unknown_mark,
        unlisted=raw.unlisted,
        reviewed=raw.reviewed,
        subdivisions=subdivisions,
        rules=tuple(rules),
        calendars={} if policy else _calendars(raw, subdivisions),
    )


def _subdivision(code: str, raw: _RawSubdivision, zones: list[str]) -> Subdivision:
    for zone in raw.zones:
        if zone not in zones:
            raise ConfigError(f"subdivisions.{code}: zone {zone!r} is none of the country's zones")
    return Subdivision(
        code=code,
        name=raw.name,
        zones=tuple(raw.zones or zones),
        area_codes=tuple(raw.area_codes),
        postcodes=tuple(raw.postcodes),
        holidays=code if raw.holidays is None else raw.holidays or None,
    )


def _calendars(raw: _RawJurisdiction, subdivisions: Mapping[str, Subdivision]) -> dict[str | None, HolidayCalendar]:
    for day in [*raw.added_holidays, *raw.removed_holidays]:
        if unknown := sorted(set(day.where) - set(subdivisions)):
            raise ConfigError(
                f"the holiday {day.name!r} names {', '.join(unknown)}, which is no subdivision of the file"
            )
    calendars: dict[str | None, HolidayCalendar] = {}
    own = [None, *(code for code, one in subdivisions.items() if one.holidays is not None)]
    for code in own:
        name = None if code is None else subdivisions[code].holidays
        try:
            calendars[code] = HolidayCalendar(
                raw.country,
                name,
                added={day.date: day.name for day in raw.added_holidays if not day.where or code in day.where},
                removed=frozenset(day.date for day in raw.removed_holidays if not day.where or code in day.where),
            )
        except ConfigError as error:
            raise ConfigError(f"subdivisions.{code}.holidays: {error}" if code else str(error)) from error
    for day in raw.removed_holidays:
        places: list[str | None] = [*day.where] or [None]
        for place in places:
            known = HolidayCalendar(raw.country, None if place is None else subdivisions[place].holidays)
            if known.name(day.date) is None:
                raise ConfigError(f"removed_holidays: {day.date} ({day.name}) is no holiday there anyway; take it out")
    return calendars


def _check(rules: Iterable[AnyRule], subdivisions: Mapping[str, Subdivision]) -> None:
    """Versions of a rule follow one another without gap or overlap, and are about the same calls."""
    versions: dict[str, list[AnyRule]] = {}
    for rule in rules:
        if unknown := sorted(rule.where - set(subdivisions)):
            raise ConfigError(f"{rule.id}: where names {', '.join(unknown)}, which is no subdivision of the file")
        versions.setdefault(rule.id, []).append(rule)
    for name, all_of_it in versions.items():
        all_of_it.sort(key=lambda rule: rule.from_day)
        if len({type(rule) for rule in all_of_it}) > 1:
            kinds = ", ".join(sorted({KIND_OF[type(rule)] for rule in all_of_it}))
            raise ConfigError(f"{name} is the id of rules of different kinds ({kinds}); each needs its own")
        for earlier, later in pairwise(all_of_it):
            where = f"{name} from {later.from_day}"
            if earlier.until_day is None or later.from_day < earlier.until_day:
                raise ConfigError(
                    f"{where} overlaps the version from {earlier.from_day}; give that one until = {later.from_day}"
                )
            if later.from_day > earlier.until_day:
                raise ConfigError(
                    f"{where} leaves a gap: the version before it ends on {earlier.until_day}; nothing is said between"
                )
            if (earlier.purposes, earlier.parties, earlier.where) != (later.purposes, later.parties, later.where):
                raise ConfigError(f"{where} is about other calls than the version before it; give it an id of its own")
