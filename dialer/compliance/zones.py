"""Where the person who is called may be, and so which clocks and which subdivisions count.

A number says a country, and often no more: a national mobile number may ring anywhere in it, a number may have been
taken along to another state. So every possibility is kept, and a call is allowed only where all of them allow it.

- A line that is bound to an area says where; an address adds to that what it says, for people move.
- A line that is not leaves it to the address.
- A time zone given for the contact narrows the clocks of the number if it is one of them. One that is not is added. One
  that does not even belong to the country narrows nothing, unless its source is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType
from phonenumbers.timezone import time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from dialer.compliance.calendar import distinct_clocks, same_clock, zone_of
from dialer.compliance.jurisdiction import Jurisdiction, Placed
from dialer.compliance.rulebook import RuleBook, Seat, seat_of
from dialer.core.ids import Phone
from dialer.core.saying import Saying, say
from dialer.errors import ConfigError

_FIXED: Final = frozenset({PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_UNKNOWN: Final = "Etc/Unknown"
_LONGEST_CODE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What is known of where a number rings."""

    phone: Phone
    #: From the address, where there is one: region such as ES or US, subdivision such as CN or FL, postcode.
    country: str | None = None
    region: str | None = None
    postcode: str | None = None
    #: IANA name as the CRM gave it.
    timezone: str | None = None
    #: Whether it comes from a source that is surer than the number: then it alone counts.
    timezone_trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Everywhere the person may be."""

    #: That of the number first; more than one where the address is in another country.
    seats: tuple[Seat, ...]
    #: One for each clock that may count.
    zones: tuple[str, ...]
    #: For people: what narrowed it down, or could not.
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nowhere:
    """The number is in no country whose rules are known."""

    problem: Saying


def locate(book: RuleBook, called: Called, now: float) -> Whereabouts | Nowhere:
    """All places where `called` may be."""
    placed = _of_number(book, called.phone)
    if isinstance(placed, Nowhere):
        return placed
    year = datetime.fromtimestamp(now, UTC).year
    zones: tuple[str, ...] = ()
    seats: list[Seat] = []
    notes: list[str] = []
    for jurisdiction, bound, number_zones, number_subdivisions in placed:
        own_zones, subdivisions, said = _with_address(jurisdiction, bound, number_zones, number_subdivisions, called)
        zones += own_zones
        notes += said
        seats.append(seat_of(jurisdiction, subdivisions))
    if called.country is not None and not any(called.country in seat.jurisdiction.regions for seat in seats):
        abroad = book.of_region(called.country)
        if abroad is None:
            country = called.country[:2]
            says = f"the address is in {country}, and no rules of that country are on file"
            return Nowhere(problem=say(says, code="nowhere_address", country=country))
        own_zones, subdivisions, _ = _with_address(abroad, False, abroad.zones, frozenset(), called)
        zones += own_zones
        seats.append(seat_of(abroad, subdivisions))
        notes.append(
            f"the number is of {seats[0].jurisdiction.name}, the address in {abroad.name}: the rules of both count"
        )
    zones = distinct_clocks(tuple(dict.fromkeys(zones)), year)
    if called.timezone is not None:
        before = zones
        zones, note = _narrowed(zones, called, seats, year)
        notes.append(note)
        seats = [_seats_with_clock(seat, zones, year, added=len(zones) > len(before)) for seat in seats]
    if not zones:
        says = "nothing tells its time zone; give the contact one, such as Europe/Lisbon"
        return Nowhere(problem=say(says, code="nowhere_zone"))
    return Whereabouts(seats=tuple(seats), zones=zones, notes=tuple(notes))


def country_code(phone: str) -> str:
    """The country code that a number in E.164 begins with, such as 34; "" where there is none such."""
    return _code_of(phone[1 : 1 + _LONGEST_CODE])


@lru_cache(maxsize=1_024)
def _code_of(beginning: str) -> str:
    codes = (beginning[:length] for length in range(1, len(beginning) + 1))
    return next((code for code in codes if int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), "")


_Placed = tuple[tuple[Jurisdiction, bool, tuple[str, ...], frozenset[str]], ...]


@lru_cache(maxsize=65_536)
def _of_number(book: RuleBook, phone: Phone) -> _Placed | Nowhere:
    """(jurisdiction, bound to an area?, zones, subdivisions) for each country whose number it may be."""
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        says = "it is no telephone number with a country code, such as +34600111222"
        return Nowhere(problem=say(says, code="nowhere_number"))
    region = phonenumbers.region_code_for_number(number)
    if region is not None:
        found = book.of_region(region)
        if found is None:
            says = f"no rules of its country ({region}) are on file"
            return Nowhere(problem=say(says, code="nowhere_country", country=region))
        return _shared((_place(found, number, region),))
    # No region has such numbers: any that shares the country code may be meant.
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(number.country_code or 0, ())
    candidates = {one.country: (one, region) for region in reversed(regions) if (one := book.of_region(region))}
    if not candidates:
        prefix = f"+{number.country_code}"
        says = f"no rules of a country with the code {prefix} are on file"
        return Nowhere(problem=say(says, code="nowhere_code", prefix=prefix))
    return _shared(tuple(_place(one, number, region) for one, region in reversed(candidates.values())))


@lru_cache(maxsize=4_096)
def _shared(placed: _Placed) -> _Placed:
    """The same: one object for all the numbers of a place."""
    return placed


def _place(
    jurisdiction: Jurisdiction, number: PhoneNumber, region: str
) -> tuple[Jurisdiction, bool, tuple[str, ...], frozenset[str]]:
    national = phonenumbers.national_significant_number(number)
    kind = phonenumbers.number_type(number)
    if kind in _FIXED:
        bound = jurisdiction.fixed_lines is Placed.BY_AREA
    else:
        bound = kind == PhoneNumberType.MOBILE and jurisdiction.mobiles is Placed.BY_AREA
    # A file with zones knows them all; the policy takes those of the numbering plan.
    every = jurisdiction.zones or tuple(zone for zone in time_zones_for_number(number) if zone != _UNKNOWN)
    subdivisions = frozenset(
        one.code for one in jurisdiction.subdivisions.values() if national.startswith(one.area_codes or ("-",))
    )
    if not bound:
        return jurisdiction, False, every, frozenset()
    longest = max((len(code) for one in subdivisions for code in _codes(jurisdiction, one, national)), default=0)
    subdivisions = frozenset(
        one for one in subdivisions if any(len(code) == longest for code in _codes(jurisdiction, one, national))
    )
    zones = tuple(zone for zone in _zones_of_area(jurisdiction, number, national) if zone in every)
    if not zones and subdivisions:
        zones = tuple(dict.fromkeys(zone for one in subdivisions for zone in jurisdiction.subdivisions[one].zones))
    return jurisdiction, bool(zones or subdivisions), zones or every, subdivisions


def _codes(jurisdiction: Jurisdiction, subdivision: str, national: str) -> list[str]:
    return [code for code in jurisdiction.subdivisions[subdivision].area_codes if national.startswith(code)]


def _zones_of_area(jurisdiction: Jurisdiction, number: PhoneNumber, national: str) -> tuple[str, ...]:
    digits = jurisdiction.area_code_digits
    if digits is None:
        return tuple(time_zones_for_number(number))
    # Numbers move between the exchanges of an area: all the clocks of the area count.
    return _zones_below(f"{number.country_code}{national[:digits]}")


@lru_cache(maxsize=4_096)
def _zones_below(prefix: str) -> tuple[str, ...]:
    zones = {zone for key, names in TIMEZONE_DATA.items() if key.startswith(prefix) for zone in names}
    for length in range(len(prefix), 1, -1):
        if (names := TIMEZONE_DATA.get(prefix[:length])) is not None:
            zones |= set(names)
            break
    return tuple(sorted(zones))


def _with_address(
    jurisdiction: Jurisdiction,
    bound: bool,
    zones: tuple[str, ...],
    subdivisions: frozenset[str],
    called: Called,
) -> tuple[tuple[str, ...], frozenset[str], list[str]]:
    """Zones and subdivisions of number and address together, and what is to be said about it."""
    if called.country is not None and called.country not in jurisdiction.regions:
        return zones, subdivisions, []
    address = _subdivisions_of_address(jurisdiction, called)
    if called.region is not None and not address and jurisdiction.subdivisions:
        return (
            zones,
            subdivisions,
            [f"{jurisdiction.name} has no region {called.region[:16]!r} on file: it was not used"],
        )
    if not address:
        return zones, subdivisions, []
    names = ", ".join(sorted(jurisdiction.subdivisions[code].name for code in address))
    there = tuple(dict.fromkeys(zone for code in sorted(address) for zone in jurisdiction.subdivisions[code].zones))
    if not bound:
        return there, address, [f"the number may be anywhere in {jurisdiction.name}; the address says {names}"]
    if subdivisions and not subdivisions & address:
        told = ", ".join(sorted(jurisdiction.subdivisions[code].name for code in subdivisions))
        return zones + there, subdivisions | address, [f"the number says {told}, the address {names}: both count"]
    # The address names one of the places of the number, and cannot make its clocks fewer: the phone may be there.
    return zones + there, subdivisions | address, []


def _subdivisions_of_address(jurisdiction: Jurisdiction, called: Called) -> frozenset[str]:
    found: set[str] = set()
    if called.region is not None:
        code = called.region.upper().removeprefix(f"{jurisdiction.country}-")
        if code in jurisdiction.subdivisions:
            found.add(code)
    if called.postcode:
        postcode = called.postcode.replace(" ", "").upper()
        found |= {
            one.code for one in jurisdiction.subdivisions.values() if postcode.startswith(one.postcodes or ("-",))
        }
    return frozenset(found)


def _narrowed(zones: tuple[str, ...], called: Called, seats: list[Seat], year: int) -> tuple[tuple[str, ...], str]:
    given = called.timezone or ""
    try:
        zone_of(given)
    except ConfigError:
        return zones, f"the contact's time zone {given[:64]!r} is none: it was not used"
    if called.timezone_trusted:
        return (given,), f"the contact's time zone {given} is trusted: it alone counts"
    if any(same_clock(given, zone, year) for zone in zones):
        return (given,), f"the contact's time zone is {given}, which agrees with the number"
    if any(same_clock(given, zone, year) for seat in seats for zone in seat.jurisdiction.zones):
        return (*zones, given), f"the contact's time zone {given} is not that of the number: both count"
    return (*zones, given), f"the contact's time zone {given} is not in the country of the number: both count"


def _seats_with_clock(seat: Seat, zones: tuple[str, ...], year: int, *, added: bool) -> Seat:
    """The subdivisions where one of the clocks is used.

    Where a clock was `added` (it is the last), those that use it come in addition; where none would be left, all stay.
    """
    if not seat.subdivisions:
        return seat
    candidates = frozenset(seat.jurisdiction.subdivisions) if added else seat.subdivisions
    clocks = zones[-1:] if added else zones
    used = frozenset(
        code
        for code in candidates
        if any(same_clock(zone, own, year) for zone in clocks for own in seat.jurisdiction.subdivisions[code].zones)
    )
    return Seat(seat.jurisdiction, (used | seat.subdivisions) if added else (used or seat.subdivisions))
