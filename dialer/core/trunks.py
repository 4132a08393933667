"""Limits of the ways out: channels at once, and calls per second by a token bucket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dialer.core.ids import ServerName, TrunkName


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkLimits:
    """What one trunk of one server bears."""

    server: ServerName
    name: TrunkName
    max_channels: int
    max_calls_per_second: float


class Trunk:
    """One trunk in use.

    The bucket holds at most half a second of the rate, and at least one call: a burst that fills it is what the
    carrier agreed to, a longer one is not.
    """

    __slots__ = ("_at", "_tokens", "channels", "limits")

    def __init__(self, limits: TrunkLimits) -> None:
        self.limits = limits
        self.channels = 0
        self._tokens = self._depth
        self._at: float | None = None

    @property
    def _depth(self) -> float:
        return max(1.0, self.limits.max_calls_per_second / 2)

    def available(self, now: float) -> int:
        """Calls that may be started at `now`."""
        self._refill(now)
        return max(0, min(self.limits.max_channels - self.channels, int(self._tokens + 1e-9)))

    def take(self, now: float) -> bool:
        """Use one channel and one token, if there are any."""
        if self.available(now) < 1:
            return False
        self._tokens -= 1.0
        self.channels += 1
        return True

    def release(self) -> None:
        """Give the channel back; the token is spent."""
        self.channels = max(0, self.channels - 1)

    def adopt(self) -> None:
        """Count a channel that was found in use, whatever the limit."""
        self.channels += 1

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

    def available(self, servers: Iterable[ServerName], preferred: Sequence[TrunkName], now: float) -> int:
        """Calls that may be started at `now` over these servers."""
        return sum(trunk.available(now) for server in servers for trunk in self._usable(server, preferred))

    def take(self, server: ServerName, preferred: Sequence[TrunkName], now: float) -> TrunkName | None:
        """Take a channel of the first preferred trunk that has one; without preference, of the least used."""
        usable = self._usable(server, preferred)
        if not preferred:
            usable = sorted(usable, key=lambda trunk: trunk.channels / trunk.limits.max_channels)
        for trunk in usable:
            if trunk.take(now):
                return trunk.limits.name
        return None

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
        trunks = self._trunks.get(server, {})
        if not preferred:
            return list(trunks.values())
        return [trunks[name] for name in preferred if name in trunks]
