"""What the calls of a node may cost today: parts of the day's caps that are lent to it, and what calls under way hold.

A cap (of the whole installation, of a campaign, of a trunk) is shared by all nodes. Each of them is lent parts of it by
one atomic step (`dialer.queues.lua.spend`) before it dials, and starts no call that its purses cannot pay for: so the
nodes together never begin a call beyond a cap, and nothing is asked of Redis between permit and originate. A call holds
what it is expected to cost. When it ends, the difference goes back into the purse, or comes out of it: a purse below
nothing starts no call, and the debt is the first thing that the next loan pays. What a day can cost beyond its cap is
therefore what the calls under way last longer than expected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.core.ids import CallId, CampaignId, ServerName, TrunkName
from dialer.core.tariff import Rate

#: Calls that a purse is lent at once: what the gate permits in one go.
LENT_CALLS: Final = 100
#: A purse that nobody has asked for so long is given back.
IDLE_S: Final = 10.0
#: Of a call to a number whose rate is not known yet, before any was made.
_SOME_MICROS: Final = 50_000


class ScopeKind(StrEnum):
    """Whose calls a cap counts."""

    INSTALLATION = "installation"
    CAMPAIGN = "campaign"
    TRUNK = "trunk"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """The calls that a cap counts."""

    kind: ScopeKind
    #: The campaign, or server/trunk; empty for the installation.
    name: str = ""

    def __str__(self) -> str:
        """As it stands in Redis and in logs."""
        return f"{self.kind}:{self.name}" if self.name else self.kind.value


INSTALLATION: Final = Scope(ScopeKind.INSTALLATION)


def of_campaign(campaign: CampaignId) -> Scope:
    """The scope of a campaign's calls."""
    return Scope(ScopeKind.CAMPAIGN, campaign)


def of_trunk(server: ServerName, trunk: TrunkName) -> Scope:
    """The scope of one trunk's calls."""
    return Scope(ScopeKind.TRUNK, f"{server}/{trunk}")


@dataclass(frozen=True, slots=True)
class Amount:
    """Money and time."""

    micros: int = 0
    seconds: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.micros + other.micros, self.seconds + other.seconds)

    def __sub__(self, other: Amount) -> Amount:
        """The difference."""
        return Amount(self.micros - other.micros, self.seconds - other.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """What a day may cost; None: no limit of that kind."""

    micros: int | None = None
    seconds: int | None = None

    @property
    def limits(self) -> bool:
        """Whether there is any limit."""
        return self.micros is not None or self.seconds is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """All caps of an installation."""

    installation: Cap = field(default_factory=Cap)
    #: Of every campaign that has none of its own.
    each_campaign: Cap = field(default_factory=Cap)
    campaigns: Mapping[CampaignId, Cap] = field(default_factory=dict)
    trunks: Mapping[Scope, Cap] = field(default_factory=dict)

    def of(self, scope: Scope) -> Cap:
        """The cap of one scope."""
        match scope.kind:
            case ScopeKind.INSTALLATION:
                return self.installation
            case ScopeKind.CAMPAIGN:
                return self.campaigns.get(CampaignId(scope.name), self.each_campaign)
            case ScopeKind.TRUNK:
                return self.trunks.get(scope, Cap())


@dataclass(slots=True, kw_only=True)
class Purse:
    """What is left of what was lent of one cap."""

    cap: Cap
    left: Amount = Amount()
    #: The largest amount that a call held so far, of each kind.
    usual: Amount = Amount()
    asked_at: float = -math.inf
    #: The cap had less to lend than was asked for.
    exhausted: bool = False

    def pays(self, amount: Amount) -> bool:
        """Whether a call that is expected to cost so much may begin."""
        return (self.cap.micros is None or self.left.micros >= max(1, amount.micros)) and (
            self.cap.seconds is None or self.left.seconds >= max(1, amount.seconds)
        )

    def calls(self) -> float:
        """Calls that it can pay for, if they cost as much as any before."""
        calls = math.inf
        if self.cap.micros is not None:
            calls = min(calls, self.left.micros // max(1, self.usual.micros))
        if self.cap.seconds is not None:
            calls = min(calls, self.left.seconds // max(1, self.usual.seconds))
        return max(0.0, calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hold:
    amount: Amount
    scopes: tuple[Scope, ...]
    day: str


class Spending:
    """The purses of one node, and what its calls hold of them.

    Args:
        caps: of the installation.
        expected_call_s: how long an answered call is expected to last, for what it holds.
    """

    def __init__(self, caps: Caps | None = None, expected_call_s: float = 60.0) -> None:
        self._caps = caps or Caps()
        self._expected_s = expected_call_s
        self._usual = Amount(_SOME_MICROS, math.ceil(expected_call_s))
        #: Whether there is any cap.
        self.limited = any(
            cap.limits
            for cap in (
                *(self._caps.installation, self._caps.each_campaign),
                *(*self._caps.campaigns.values(), *self._caps.trunks.values()),
            )
        )
        self.purses: dict[Scope, Purse] = {}
        self._holds: dict[CallId, _Hold] = {}
        #: The local date whose caps count, as `begin_day` was told; empty before.
        self.day = ""

    def may_start(self, campaign: CampaignId, ways: Iterable[Scope], now: float) -> float:
        """Calls of a campaign that the purses can pay for now, over any of the trunks that it could take."""
        if not self.limited:
            return math.inf
        calls = min(
            (self._purse(scope, now).calls() for scope in self._capped(INSTALLATION, of_campaign(campaign))),
            default=math.inf,
        )
        over = (self._purse(way, now).calls() if self._caps.of(way).limits else math.inf for way in ways)
        return min(calls, sum(over))

    def exhausted(self, campaign: CampaignId, ways: Iterable[Scope] = ()) -> bool:
        """Whether the day's cap of the installation, of the campaign, or of every trunk has nothing more to lend."""
        if any(self._is_exhausted(scope) for scope in (INSTALLATION, of_campaign(campaign))):
            return True
        trunks = list(ways)
        return bool(trunks) and all(self._is_exhausted(trunk) for trunk in trunks)

    def hold(
        self, call: CallId, campaign: CampaignId, server: ServerName, trunk: TrunkName, rate: Rate | None, now: float
    ) -> bool:
        """Hold what the call is expected to cost; False: some purse cannot pay for it, and none has."""
        scopes = self._capped(INSTALLATION, of_campaign(campaign), of_trunk(server, trunk))
        if not scopes:
            return True
        if rate is None:
            amount = Amount(0, math.ceil(self._expected_s))
        else:
            amount = Amount(rate.cost_micros(self._expected_s), rate.billed_s(self._expected_s))
        purses = [self._purse(scope, now) for scope in scopes]
        for purse in purses:
            purse.usual = Amount(max(purse.usual.micros, amount.micros), max(purse.usual.seconds, amount.seconds))
        if not all(purse.pays(amount) for purse in purses):
            return False
        for purse in purses:
            purse.left -= amount
        self._holds[call] = _Hold(amount=amount, scopes=scopes, day=self.day)
        return True

    def settle(self, call: CallId, cost: Amount) -> None:
        """The call has ended, or was not started after all (nothing): what it did not cost goes back."""
        hold = self._holds.pop(call, None)
        # What began yesterday is yesterday's.
        if hold is None or hold.day != self.day:
            return
        for scope in hold.scopes:
            purse = self.purses.get(scope)
            if purse is not None:
                purse.left += hold.amount - cost

    # ---- for whoever keeps the purses filled

    def begin_day(self, day: str) -> None:
        """Nothing is lent of another day's caps."""
        if day == self.day:
            return
        self.day = day
        self.purses.clear()

    def drop_purses(self) -> None:
        """Whatever was lent counts no more; what calls hold stays held."""
        for purse in self.purses.values():
            purse.left, purse.exhausted = Amount(), False

    def held(self, scope: Scope) -> Amount:
        """What the calls of today that are under way hold of one cap."""
        total = Amount()
        for hold in self._holds.values():
            if hold.day == self.day and scope in hold.scopes:
                total += hold.amount
        return total

    def wish(self, scope: Scope, now: float) -> Amount:
        """What should be lent of a cap, debts included; below nothing: what is to be given back."""
        purse = self.purses[scope]
        if now - purse.asked_at > IDLE_S:
            return Amount(-purse.left.micros, -purse.left.seconds)
        usual = purse.usual
        full = Amount(usual.micros * LENT_CALLS, usual.seconds * LENT_CALLS)
        return Amount(
            full.micros - purse.left.micros if purse.left.micros * 2 < full.micros else 0,
            full.seconds - purse.left.seconds if purse.left.seconds * 2 < full.seconds else 0,
        )

    def give_back(self, scope: Scope, wish: Amount) -> None:
        """Take out of a purse what a wish gives back."""
        self.purses[scope].left += Amount(min(0, wish.micros), min(0, wish.seconds))

    def lent(self, scope: Scope, amount: Amount, *, exhausted: bool) -> None:
        """So much was lent; `exhausted`: and that was not enough for one call."""
        purse = self.purses[scope]
        purse.left += amount
        purse.exhausted = exhausted

    def _is_exhausted(self, scope: Scope) -> bool:
        purse = self.purses.get(scope)
        return purse is not None and purse.exhausted

    def _capped(self, *scopes: Scope) -> tuple[Scope, ...]:
        return tuple(scope for scope in scopes if self._caps.of(scope).limits)

    def _purse(self, scope: Scope, now: float) -> Purse:
        purse = self.purses.get(scope)
        if purse is None:
            purse = self.purses[scope] = Purse(cap=self._caps.of(scope), usual=self._usual)
        purse.asked_at = now
        return purse
