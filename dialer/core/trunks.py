"""The ways out: channels at once, calls per second by a token bucket, what calls cost, which carrier is at fault."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dialer.core.ids import Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.tariff import Rate, Tariff

#: Calls in a row that the carrier itself refuses before its trunk is taken only where no other has room.
_SICK_AFTER: Final = 5
#: For how long, the first time and at most: twice as long each time that the next call fails as well.
_SICK_S: Final = 15.0
_SICK_MAX_S: Final = 600.0
#: A call that is refused before anybody is dialed is refused at once: one that lasts longer than this was not.
_REFUSED_WITHIN_S: Final = 3.0
#: The last channels of a trunk are for calls that have no other way: of campaigns that name it.
_NEARLY_FULL: Final = 0.9
#: Outcomes that are the carrier's fault.
_CARRIERS: Final = frozenset({Outcome.CONGESTION, Outcome.FAILED})
#: Outcomes that leave open whether anybody can be dialed at all.
_UNDECIDED: Final = frozenset({Outcome.CANCELLED, Outcome.LOST})
#: Outcomes that say nothing of it.
_NOBODYS: Final = frozenset({Outcome.CANCELLED, Outcome.LOST, Outcome.INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkLimits:
    """What one trunk of one server bears."""

    server: ServerName
    name: TrunkName
    max_channels: int
    max_calls_per_second: float
    #: What its carrier takes; None: not known, and nothing as far as anybody counts.
    tariff: Tariff | None = None


class Trunk:
    """One trunk in use.

    The bucket holds at most half a second of the rate, and at least one call: a burst that fills it is what the
    carrier agreed to, a longer one is not.

    It rests where one call after the other fails before anybody is dialed (an Asterisk that is about to stop, a carrier
    that knows our password no more), as everybody on the list would lose an attempt for nothing; then one call tries.
    """

    __slots__ = (
        *("_at", "_failures", "_refused", "_rest_s", "_rests_until", "_sick_s", "_sick_until", "_tokens", "_tried_at"),
        *("channels", "limits"),
    )

    def __init__(self, limits: TrunkLimits) -> None:
        self.limits = limits
        self.channels = 0
        self._tokens = self._depth
        self._at: float | None = None
        self._failures = 0
        self._sick_s = _SICK_S
        self._sick_until = -math.inf
        self._refused = 0
        self._rest_s = _SICK_S
        self._rests_until = -math.inf
        self._tried_at: float | None = None

    def sick(self, now: float) -> bool:
        """Whether its carrier has refused one call after the other, until a moment ago."""
        return now < self._sick_until

    def rests(self, now: float) -> bool:
        """Whether one call after the other was refused before anybody was dialed, until a moment ago."""
        return self._refused >= _SICK_AFTER and now < self._rests_until

    def ended(self, outcome: Outcome, now: float) -> None:
        """A call over it ended like this."""
        if outcome in _CARRIERS:
            self._failures += 1
            if self._failures >= _SICK_AFTER and not self.sick(now):
                self._sick_until = now + self._sick_s
                self._sick_s = min(2 * self._sick_s, _SICK_MAX_S)
                # The first call after that decides.
                self._failures = _SICK_AFTER - 1
        elif outcome not in _NOBODYS:
            self._failures, self._sick_s, self._sick_until = 0, _SICK_S, -math.inf
        if outcome is Outcome.FAILED:
            self._refused += 1
            if self._refused >= _SICK_AFTER and now >= self._rests_until:
                self._rests_until, self._tried_at = now + self._rest_s, None
                self._rest_s = min(2 * self._rest_s, _SICK_MAX_S)
        elif outcome not in _UNDECIDED:
            self._refused, self._rest_s = 0, _SICK_S

    def takes(self, phone: Phone) -> bool:
        """Whether its carrier has a rate for the number, or nobody knows its rates."""
        return self.limits.tariff is None or self.limits.tariff.rate(phone) is not None

    def rate(self, phone: Phone) -> Rate | None:
        """What a call to the number costs over it, where that is known."""
        return None if self.limits.tariff is None else self.limits.tariff.rate(phone)

    @property
    def _depth(self) -> float:
        return max(1.0, self.limits.max_calls_per_second / 2)

    def available(self, now: float) -> int:
        """Calls that may be started at `now`."""
        self._refill(now)
        return max(0, min(self.limits.max_channels - self.channels, int(self._tokens + 1e-9), self._allowed(now)))

    def take(self, now: float) -> bool:
        """Use one channel and one token, if there are any."""
        if self.available(now) < 1:
            return False
        self._tokens -= 1.0
        self.channels += 1
        if self._refused >= _SICK_AFTER:
            self._tried_at = now
        return True

    def release(self) -> None:
        """Give the channel back; the token is spent."""
        self.channels = max(0, self.channels - 1)

    def adopt(self) -> None:
        """Count a channel that was found in use, whatever the limit."""
        self.channels += 1

    def _allowed(self, now: float) -> int:
        """Calls that may be started as far as refusals go."""
        if self._refused < _SICK_AFTER:
            return self.limits.max_channels
        if now < self._rests_until:
            return 0
        if self._tried_at is None:
            return 1
        if now < self._tried_at + _REFUSED_WITHIN_S:
            return 0
        # Whoever was tried has been dialed, though their call may go on for long.
        self._refused, self._rest_s = 0, _SICK_S
        return self.limits.max_channels

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(self._depth, self._tokens + (now - self._at) * self.limits.max_calls_per_second)
        if self._at is None or now > self._at:
            self._at = now


class Trunks:
    """All trunks of all servers."""

    def __init__(self, limits: Iterable[TrunkLimits]) -> None:
        self._trunks: dict[ServerName, dict[TrunkName, Trunk]] = {}
        for limit in limits:
            self._trunks.setdefault(limit.server, {})[limit.name] = Trunk(limit)
        self._shut: set[ServerName] = set()

    def shut(self, server: ServerName) -> None:
        """No call is started on this server, over whichever trunk, until `open`: it is about to stop."""
        self._shut.add(server)

    def open(self, server: ServerName) -> None:
        """It takes calls, as all do from the beginning."""
        self._shut.discard(server)

    def available(self, servers: Iterable[ServerName], preferred: Sequence[TrunkName], now: float) -> int:
        """Calls that may be started at `now` over these servers."""
        return sum(trunk.available(now) for server in servers for trunk in self._usable(server, preferred))

    def lines(self, server: ServerName, preferred: Sequence[TrunkName], now: float) -> int:
        """Calls that a server may have at once, whether there are any or not; none over trunks that rest."""
        usable = self._usable(server, preferred)
        return sum(trunk.limits.max_channels for trunk in usable if not trunk.rests(now))

    def ways(
        self, servers: Iterable[ServerName], preferred: Sequence[TrunkName], now: float
    ) -> Iterator[tuple[ServerName, TrunkName]]:
        """Trunks over which some call may be started at `now`."""
        for server in servers:
            for trunk in self._usable(server, preferred):
                if trunk.available(now):
                    yield server, trunk.limits.name

    def choices(self, server: ServerName, preferred: Sequence[TrunkName], phone: Phone, now: float) -> list[Trunk]:
        """Trunks over which the number can be called now, the best first.

        Preferred ones in their order; without preference the cheapest for the number, then the least used. One that is
        nearly full comes behind the others, and one whose carrier is at fault last of all.
        """
        usable = [trunk for trunk in self._usable(server, preferred) if trunk.takes(phone) and trunk.available(now)]
        if len(usable) < 2:
            return usable
        if preferred:
            return sorted(usable, key=lambda trunk: trunk.sick(now))

        def burden(trunk: Trunk) -> tuple[bool, bool, int, float]:
            rate, used = trunk.rate(phone), trunk.channels / trunk.limits.max_channels
            return trunk.sick(now), used >= _NEARLY_FULL, 0 if rate is None else rate.cost_micros(60.0), used

        return sorted(usable, key=burden)

    def lack_rate(self, server: ServerName, preferred: Sequence[TrunkName], phone: Phone) -> bool:
        """Whether no carrier of the trunks has a rate for the number, so that waiting for a free one is of no use."""
        usable = self._usable(server, preferred)
        return bool(usable) and not any(trunk.takes(phone) for trunk in usable)

    def rate(self, server: ServerName, name: TrunkName | None, phone: Phone) -> Rate | None:
        """What a call to the number costs over a trunk, where that is known."""
        trunk = self._trunks.get(server, {}).get(name) if name is not None else None
        return None if trunk is None else trunk.rate(phone)

    def ended(self, server: ServerName, name: TrunkName | None, outcome: Outcome, now: float) -> None:
        """A call over a trunk ended like this."""
        trunk = self._trunks.get(server, {}).get(name) if name is not None else None
        if trunk is not None:
            trunk.ended(outcome, now)

    def adopt(self, server: ServerName) -> TrunkName | None:
        """Count a channel that an earlier process left in use, where the server has but one trunk it can be of."""
        trunks = self._trunks.get(server, {})
        if len(trunks) != 1:
            return None
        ((name, trunk),) = trunks.items()
        trunk.adopt()
        return name

    def release(self, server: ServerName, name: TrunkName) -> None:
        """Give a channel back."""
        trunk = self._trunks.get(server, {}).get(name)
        if trunk is not None:
            trunk.release()

    def channels(self) -> dict[tuple[ServerName, TrunkName], int]:
        """Channels in use, by server and trunk."""
        return {(s, t): trunk.channels for s, trunks in self._trunks.items() for t, trunk in trunks.items()}

    def _usable(self, server: ServerName, preferred: Sequence[TrunkName]) -> list[Trunk]:
        trunks = self._trunks.get(server, {}) if server not in self._shut else {}
        if not preferred:
            return list(trunks.values())
        return [trunks[name] for name in preferred if name in trunks]
