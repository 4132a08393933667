"""The last look before a number is dialed: place, consent, calling hours and registries, for a contact just reserved.

What depends on the shared state (removals, do-not-call lists, live calls, attempt caps) has been checked in the step
that reserved the contact; what is asked here depends on the moment, the rules and the person alone, and needs no lock.
Every answer carries its evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from dialer.compliance.calendar import civil, zone_of
from dialer.compliance.campaign_limits import registries as registries_demanded
from dialer.compliance.caps import CountryCaps
from dialer.compliance.consent import Consent, Unusable, read_consent
from dialer.compliance.destinations import Destinations
from dialer.compliance.eligibility import Eligibility, RefusalReason, Terms, Verdict
from dialer.compliance.registry import Clear, Listed, Registries
from dialer.compliance.registry_demands import demand_problem
from dialer.compliance.registry_report import verdict_as_json
from dialer.compliance.rulebook import RuleBook, Seat
from dialer.compliance.rules import Basis, CapRule, CooldownRule, Mark, Party, Purpose
from dialer.compliance.suppression import ERASED, Suppressions
from dialer.compliance.verdict_record import verdict_record
from dialer.compliance.zones import Called, Nowhere, country_code, locate
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, Phone
from dialer.core.permit import Permit
from dialer.core.ringing import rings_for_s, silent_for_s
from dialer.core.saying import NOTHING, Saying, say
from dialer.errors import ConfigError

#: Who may not be called before something is changed is looked at again after this.
_ASK_AGAIN_S: Final = 6 * 3_600.0
#: Whose registry is missing waits for somebody to build it.
_BUILD_S: Final = 3_600.0
#: Why a number is not called that belongs to a kind or country which is not called from here.
BARRED: Final = "destination_barred"
#: A verdict about a place stands so long, or as long as the hours last.
_STANDS_S: Final = 60.0
_PLACES: Final = 4_096
_encoder: Final = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may be called now."""

    #: JSON: by which rules, in which version.
    verdict: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """It may not."""

    #: In a word, for counts and programs.
    reason: str
    #: When to try again; None: this number is never called for this campaign.
    retry_at: float | None
    #: Empty: nothing that anybody needs to know later.
    evidence: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """By which caps and rests a campaign's calls are counted; equal ones decide alike."""

    #: No country code in two of them.
    countries: tuple[CountryCaps, ...] = ()
    #: Others that count by the same: what they will need is not forgotten meanwhile.
    kept: tuple[CapRule | CooldownRule, ...] = ()
    seller: str = ""
    bases: frozenset[Basis] = frozenset()


#: Country code of a number, jurisdictions and clocks.
_Place = tuple[str, tuple[Seat, ...], tuple[str, ...]]
#: Rules, and the clocks by which their days begin.
_Counting = tuple[tuple[CapRule | CooldownRule, ...], tuple[str, ...]]


class Erased(Protocol):
    """Who was erased (`dialer.runtime.suppressed.SuppressedNumbers`)."""

    @property
    def problem(self) -> str:
        """Why it cannot be told; empty where it can."""
        ...

    def cover(self, phone: str) -> bool:
        """Whether the number was erased."""
        ...


class Screen(Protocol):
    """What the gatekeeper asks."""

    def caps(self, campaign: Campaign, now: float) -> Caps:
        """What the step that reserves must count by."""
        ...

    def problem(self, campaign: Campaign, now: float) -> str:
        """Why the campaign may call nobody at all at `now`; empty where it may."""
        ...

    def judge(
        self, permit: Permit, campaign: Campaign, now: float, phone: Phone | None = None
    ) -> Admitted | TurnedAway:
        """Whether the reserved contact may be called at `now`, or could be by another of its numbers."""
        ...


@dataclass(frozen=True, slots=True)
class _Standing:
    """A permit about a place that other calls may rest on."""

    since: float
    until: float
    verdict: str


class Screening:
    """Judges by one rule book and by the registries in force.

    Args:
        book: all jurisdictions.
        registries: those in force, asked anew for every call.
        erased: who was erased, asked for every call.
        aside: versions of rules that somebody has set aside for a campaign.
        destinations: where calls may go at all; None: everywhere.
        shared: why the caps of a campaign cannot be counted; nothing where they can.
    """

    def __init__(
        self,
        book: RuleBook,
        registries: Callable[[], Registries],
        erased: Erased | None = None,
        aside: Callable[[CampaignId], Collection[str]] = lambda _: (),
        destinations: Destinations | None = None,
        shared: Callable[[CampaignId], Saying] = lambda _: NOTHING,
    ) -> None:
        self.destinations = destinations or Destinations()
        self._eligibility = Eligibility(book)
        self._erased: Erased = Suppressions() if erased is None else erased
        self._aside = aside
        self._shared = shared
        self._registries = registries
        files = (*book.countries.values(), book.policy)
        self._all_caps = [rule for one in files for rule in one.rules if isinstance(rule, CapRule | CooldownRule)]
        #: Country codes with the jurisdictions and clocks of a number that a campaign has met, in their order; whether
        #: their caps are counted by.
        self._places: defaultdict[str, dict[_Place, bool]] = defaultdict(dict)
        #: Places met, when it was made, and what was made of them.
        self._caps: dict[str, tuple[int, float, Caps]] = {}
        self._terms: dict[str, tuple[Campaign, Terms]] = {}
        #: What is wrong with the registries that a place demands, of which campaign and registries, and since when.
        self._demanded: dict[tuple[tuple[Seat, ...], str], tuple[Campaign, Registries, float, Saying]] = {}
        self._standing: dict[tuple[tuple[Seat, ...], tuple[str, ...], Terms, Clear, tuple[str, ...]], _Standing] = {}

    @property
    def book(self) -> RuleBook:
        """The rules."""
        return self._eligibility.book

    def problem(self, campaign: Campaign, now: float) -> str:
        """See `Screen`."""
        return self.barred(campaign, now).says

    def barred(self, campaign: Campaign, now: float) -> Saying:
        """Why nobody may be called for a campaign; nothing where somebody may."""
        if self._erased.problem:
            return say(self._erased.problem, code="erased_unknown")
        if shared := self._shared(campaign.id):
            return shared
        refusal = self._registries().refusal(campaign.id, now)
        if refusal is not None:
            return refusal.told
        try:
            seats = tuple(self.book.named(name) for name in campaign.jurisdictions)
        except ConfigError as error:
            return say(f"jurisdictions: {error}", code="jurisdiction_unknown", names=campaign.jurisdictions)
        return self._demands(seats, campaign, now) if seats else NOTHING

    def _demands(self, seats: tuple[Seat, ...], campaign: Campaign, now: float) -> Saying:
        """What is wrong with the registries that the law of a place demands; nothing where all is well.

        Known for a minute.
        """
        key, in_force = (seats, campaign.id), self._registries()
        known = self._demanded.get(key)
        if known is not None and known[:2] == (campaign, in_force) and known[2] <= now < known[2] + _STANDS_S:
            return known[3]
        terms = self._terms_of(campaign)
        # The house policy, which stands for countries without rules of their own, has no clock.
        clock = next((zone for seat in seats for zone in seat.jurisdiction.zones), "UTC")
        day = civil(zone_of(clock), now).date()
        aside = self._aside(campaign.id)
        problems = (
            demand_problem(rule, in_force, campaign.id, now)
            for rule in registries_demanded(self.book, seats, terms.purpose, terms.party, day, terms.bases)
            if rule.mark is not Mark.POLICY and rule.version not in aside
        )
        problem = next(filter(None, problems), NOTHING)
        if len(self._demanded) >= _PLACES:
            self._demanded.clear()
        self._demanded[key] = (campaign, in_force, now, problem)
        return problem

    def caps(self, campaign: Campaign, now: float) -> Caps:
        """See `Screen`. Of each country caps of all places met there count together: the strictest holds."""
        terms = self._terms_of(campaign)
        places = self._places[campaign.id]
        known = self._caps.get(campaign.id)
        if known is not None and known[0] == len(places) and known[1] <= now < known[1] + _STANDS_S:
            return known[2]
        met: defaultdict[str, list[tuple[tuple[Seat, ...], tuple[str, ...]]]] = defaultdict(list)
        for code, seats, zones in places:
            places[code, seats, zones] = True
            met[code].append((seats, zones))
        caps = self._caps_by({code: self._counting(there, terms, now) for code, there in met.items()}, campaign, terms)
        self._caps[campaign.id] = (len(places), now, caps)
        return caps

    def caps_of(self, campaign: Campaign, regions: Iterable[str], now: float) -> Caps:
        """The caps of all that the law of some regions may say, wherever in them somebody is, of all numbers alike."""
        terms = self._terms_of(campaign)
        own = tuple(self.book.named(name) for name in campaign.jurisdictions)
        found = [one for region in sorted(regions) if (one := self.book.of_region(region)) is not None]
        there = [((Seat(one, frozenset(one.subdivisions)), *own), one.zones) for one in found]
        return self._caps_by({"": self._counting(there, terms, now)}, campaign, terms)

    def _counting(
        self, places: Iterable[tuple[tuple[Seat, ...], tuple[str, ...]]], terms: Terms, now: float
    ) -> _Counting:
        """The rules that count in any of these places, and all of their clocks."""
        rules: dict[CapRule | CooldownRule, None] = {}
        clocks: dict[str, None] = {}
        for seats, zones in places:
            day = civil(zone_of(zones[0] if zones else "UTC"), now).date()
            rules |= dict.fromkeys(self.book.in_force(CapRule, seats, terms.purpose, terms.party, day))
            rules |= dict.fromkeys(self.book.in_force(CooldownRule, seats, terms.purpose, terms.party, day))
            clocks |= dict.fromkeys(zones)
        return tuple(rules), tuple(clocks) or ("UTC",)

    def _caps_by(self, by_code: Mapping[str, _Counting], campaign: Campaign, terms: Terms) -> Caps:
        alike: defaultdict[_Counting, list[str]] = defaultdict(list)
        for code, counting in by_code.items():
            alike[counting].append(code)
        keys = {rule.key for rules, _ in alike for rule in rules}
        return Caps(
            countries=tuple(
                CountryCaps(codes=tuple(codes), rules=rules, zones=zones) for (rules, zones), codes in alike.items()
            ),
            kept=tuple(rule for rule in self._all_caps if rule.key in keys),
            seller=campaign.seller,
            bases=terms.bases,
        )

    def judge(
        self, permit: Permit, campaign: Campaign, now: float, phone: Phone | None = None
    ) -> Admitted | TurnedAway:
        """See `Screen`."""
        phone = permit.phone if phone is None else phone
        if self._erased.cover(phone):
            return TurnedAway(ERASED, None, {})
        barred = self.destinations.problem(phone)
        if barred:
            return TurnedAway(BARRED, None, {"destination": {"problem": barred}})
        asked = self._registries().check(phone, campaign.id, now)
        if not isinstance(asked, Clear):
            final = isinstance(asked, Listed)
            evidence = {"registries": verdict_as_json(asked)}
            return TurnedAway(
                "registry" if final else "registry_unavailable", None if final else now + _STANDS_S, evidence
            )
        terms = self._terms_of(campaign)
        called = _called(permit, phone)
        where = locate(self.book, called, now)
        if isinstance(where, Nowhere):
            return self._answer(self._eligibility.judge(called, terms, now=now), asked, now)
        place = (country_code(phone), self._eligibility.seats(where, terms), where.zones)
        places = self._places[campaign.id]
        if places.get(place) is not True:
            # Its caps were not counted by when the contact was reserved; they are from the next reservation on.
            places[place] = False
            return TurnedAway("new_place", now, {})
        problem = self._demands(where.seats, campaign, now)
        if problem:
            return TurnedAway("registry_missing", now + _BUILD_S, {"registries": {"problem": problem.says}})
        number = permit.number(phone)
        own_hours = () if number is None or number.terms is None else number.terms.hours
        if permit.consent:
            verdict = self._eligibility.judge(called, terms, now=now, consents=_consents(permit), own_hours=own_hours)
            return self._answer(verdict, asked, now, own_hours)
        key = (where.seats, where.zones, terms, asked, own_hours)
        known = self._standing.get(key)
        if known is not None and known.since <= now <= known.until:
            return Admitted(known.verdict)
        verdict = self._eligibility.judge(called, terms, now=now, own_hours=own_hours)
        answer = self._answer(verdict, asked, now, own_hours)
        if isinstance(answer, Admitted):
            closes = self._eligibility.hours(where, terms, own_hours=own_hours).opening(now, terms.ring_timeout_s).until
            if len(self._standing) >= _PLACES:
                self._standing.clear()
            until = min(now + _STANDS_S, now if closes is None else closes)
            self._standing[key] = _Standing(now, until, answer.verdict)
        return answer

    def explain(
        self,
        called: Called,
        campaign: Campaign,
        now: float,
        consent: Mapping[str, object],
        own_hours: tuple[str, ...] = (),
    ) -> Verdict:
        """The whole verdict, for whoever asks why somebody is not called."""
        found = read_consent(consent) if consent else None
        consents = [found] if isinstance(found, Consent) else []
        terms = self._terms_of(campaign)
        return self._eligibility.judge(called, terms, now=now, consents=consents, own_hours=own_hours)

    def _answer(
        self, verdict: Verdict, asked: Clear, now: float, own_hours: tuple[str, ...] = ()
    ) -> Admitted | TurnedAway:
        if verdict.reason is None:
            return Admitted(_encoder.encode(_permit_record(verdict, asked, own_hours)).decode())
        retry_at = verdict.retry_at
        if retry_at is None and verdict.reason is not RefusalReason.UNKNOWN_COUNTRY:
            retry_at = now + _ASK_AGAIN_S
        if verdict.reason is RefusalReason.CAMPAIGN_HOURS and retry_at is not None:
            # Hours and days of a campaign are changed by whoever watches it: a far first day may be tomorrow then.
            retry_at = min(retry_at, now + _ASK_AGAIN_S)
        evidence = {"rules": verdict_record(verdict), "registries": verdict_as_json(asked)}
        return TurnedAway(verdict.reason.value, retry_at, evidence)

    def _terms_of(self, campaign: Campaign) -> Terms:
        known = self._terms.get(campaign.id)
        if known is not None and known[0] is campaign:
            return known[1]
        terms = terms_of(campaign)
        # Other terms, other jurisdictions: what was met is met again.
        self._places.pop(campaign.id, None)
        self._caps.pop(campaign.id, None)
        self._terms[campaign.id] = (campaign, terms)
        return terms


def terms_of(campaign: Campaign) -> Terms:
    """What a campaign says about its calls."""
    return Terms(
        purpose=Purpose(campaign.purpose),
        party=Party(campaign.party),
        jurisdictions=campaign.jurisdictions,
        # The carrier's time until it rings counts, too.
        ring_timeout_s=silent_for_s(campaign.ring_timeout_s) + rings_for_s(campaign.ring_timeout_s),
        seller=campaign.seller,
        bases=frozenset(Basis(basis) for basis in campaign.bases),
        hours=campaign.hours,
        first_day=campaign.first_day,
        last_day=campaign.last_day,
    )


def _permit_record(verdict: Verdict, asked: Clear, own_hours: tuple[str, ...]) -> dict[str, object]:
    """What a permit rests on: short, since every call keeps it; the rule book of that version has the words."""
    found: dict[str, object] = {
        "at": verdict.at,
        "book": verdict.rules,
        "asked": list(dict.fromkeys(one.rule for one in verdict.findings if one.rule is not None)),
        "jurisdictions": verdict.jurisdictions,
        "zones": verdict.zones,
    }
    if own_hours:
        found["own_hours"] = own_hours
    if verdict.consent_id is not None:
        found["consent"] = verdict.consent_id
    if verdict.bases:
        found["bases"] = [basis.value for basis in verdict.bases]
    if asked.consulted:
        found["registries"] = [f"{one.registry}@{one.version}" for one in asked.consulted]
    return found


def _called(permit: Permit, phone: Phone) -> Called:
    fields = permit.fields
    return Called(
        phone=phone,
        country=_text(fields.get("country")),
        region=_text(fields.get("region")),
        postcode=_text(fields.get("postcode")),
        timezone=permit.timezone,
    )


def _consents(permit: Permit) -> list[Consent]:
    found = read_consent(permit.consent, person=permit.contact)
    return [] if isinstance(found, Unusable) else [found]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
