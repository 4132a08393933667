"""All jurisdictions together, and which of their rules are about one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from dialer.compliance.jurisdiction import POLICY, Jurisdiction, PlaceUnknown, Unlisted
from dialer.compliance.rules import AnyRule, CooldownRule, HoursRule, Party, Purpose, Rule
from dialer.errors import ConfigError

_Kind = TypeVar("_Kind", bound=Rule)


@dataclass(frozen=True, slots=True)
class Seat:
    """A jurisdiction that applies to a call, and in which parts of it the person may be."""

    jurisdiction: Jurisdiction
    #: Subdivisions where the person may be; empty: the nation alone applies.
    subdivisions: frozenset[str] = frozenset()


class RuleBook:
    """Every jurisdiction on file, and the policy for where none of them says anything.

    `version` names the contents: two books with the same one decide alike.

    Raises:
        ConfigError: two files are about the same country or region, ids are used twice, or there is no policy.
    """

    def __init__(self, jurisdictions: Iterable[Jurisdiction], version: str) -> None:
        self.version = version
        self.countries: Mapping[str, Jurisdiction]
        countries: dict[str, Jurisdiction] = {}
        self._by_region: dict[str, Jurisdiction] = {}
        owners: dict[str, str] = {}
        for one in jurisdictions:
            if one.country in countries:
                raise ConfigError(f"two files are about {one.country}; put their rules into one")
            countries[one.country] = one
            for region in one.regions:
                if region in self._by_region:
                    other = self._by_region[region].country
                    raise ConfigError(f"region {region} is claimed by {other} and by {one.country}")
                self._by_region[region] = one
            for rule in one.rules:
                if owners.setdefault(rule.id, one.country) != one.country:
                    raise ConfigError(f"{rule.id} is the id of a rule of {owners[rule.id]} and of one of {one.country}")
        if POLICY not in countries:
            raise ConfigError(f"no file has country = {POLICY!r}: what applies where no jurisdiction says anything")
        self.policy = countries.pop(POLICY)
        missing = [purpose for purpose in Purpose for party in Party if not self._policy_hours(purpose, party)]
        if missing:
            raise ConfigError(f"the policy has no open-ended rule of hours for the purpose {missing[0]!r}")
        self.countries = countries

    def of_region(self, region: str) -> Jurisdiction | None:
        """The jurisdiction of a region of the numbering plans, such as ES.

        None: it has no file, and such numbers are not called. Where the policy takes countries without a file, it is
        the policy.
        """
        found = self._by_region.get(region)
        return self.policy if found is None and self.policy.unlisted is Unlisted.POLICY else found

    def named(self, name: str) -> Seat:
        """The jurisdiction of ES, or US-FL with a subdivision: that of a centre or campaign.

        Raises:
            ConfigError: it is not on file.
        """
        country, dash, subdivision = name.partition("-")
        found = self.countries.get(country)
        if found is None:
            raise ConfigError(f"{name!r}: no file about {country!r}; on file are {', '.join(sorted(self.countries))}")
        if dash and subdivision not in found.subdivisions:
            known = ", ".join(found.subdivisions) or "none"
            raise ConfigError(f"{name!r}: {country} has no subdivision {subdivision!r} on file; it has {known}")
        return Seat(found, frozenset({subdivision}) if dash else frozenset())

    def rules(self, kind: type[_Kind], seats: Iterable[Seat], purpose: Purpose, party: Party) -> list[_Kind]:
        """All versions of the rules of one kind that the seats' jurisdictions have about such calls."""
        found: list[_Kind] = []
        for seat in seats:
            found += self._own(kind, seat, purpose, party)
        return found

    def policy_rules(self, kind: type[_Kind], purpose: Purpose, party: Party) -> list[_Kind]:
        """The rules of the policy of one kind."""
        return self._own(kind, Seat(self.policy), purpose, party)

    def in_force(
        self, kind: type[_Kind], seats: Iterable[Seat], purpose: Purpose, party: Party, day: date
    ) -> list[_Kind]:
        """The rules of one kind on one day.

        Those of the policy come in where the called person's country has none for all of it; its cool-downs always do:
        each is about something else that happened.
        """
        all_seats = list(seats)
        found = [rule for rule in self.rules(kind, all_seats, purpose, party) if rule.in_force(day)]
        called = all_seats[0].jurisdiction.country if all_seats else ""
        if issubclass(kind, CooldownRule) or not any(r.jurisdiction == called and not r.where for r in found):
            found += [rule for rule in self.policy_rules(kind, purpose, party) if rule.in_force(day)]
        return list(dict.fromkeys(found))

    def find(self, version: str) -> AnyRule | None:
        """The rule of a version as evidence has it, such as ES-marketing-hours@2022-06-30."""
        for one in [*self.countries.values(), self.policy]:
            for rule in one.rules:
                if rule.version == version:
                    return rule
        return None

    def _own(self, kind: type[_Kind], seat: Seat, purpose: Purpose, party: Party) -> list[_Kind]:
        return [
            rule
            for rule in seat.jurisdiction.rules
            if isinstance(rule, kind) and rule.covers(purpose, party, seat.subdivisions)
        ]

    def _policy_hours(self, purpose: Purpose, party: Party) -> bool:
        return any(rule.until_day is None for rule in self.policy_rules(HoursRule, purpose, party))


def seat_of(jurisdiction: Jurisdiction, known: frozenset[str]) -> Seat:
    """Where somebody of the country may be, of whom the subdivisions `known` are known (empty: nothing is)."""
    if known or jurisdiction.place_unknown is PlaceUnknown.NATIONAL:
        return Seat(jurisdiction, known)
    return Seat(jurisdiction, frozenset(jurisdiction.subdivisions))
