"""What caps need of the past, in a few bytes a key: the form in which a gate can keep it.

A ledger belongs to one key of one list of key parts: all calls to +34600111222, or to person 17 about account 4. All
rules that count by these parts read it. An entry is eight bytes, big endian: second of the start (four, rounded up),
seconds until its end (two, rounded up), facts (two). Rounding up makes a ledger forbid a second longer, perhaps, than
`caps.evaluate`, never shorter; by calendar days, a call of the last second of a day counts for the next one.

Only what can still forbid something is kept: of the calls that a rule counts, as many of the newest as its maximum, and
those for no longer than its window.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from dialer.compliance.calendar import DAY_S
from dialer.compliance.caps import Blocked, Call, CapVerdict, Facts, Moment, Subject, blocked_by, filter_of
from dialer.compliance.rules import Basis, CapRule, CooldownRule, KeyPart, Span

ENTRY_BYTES: Final = 8
_ENTRY: Final = struct.Struct(">IHH")
_MAX_SECONDS: Final = 2**16 - 1

Key = tuple[KeyPart, ...]


class Ledger:
    """The entries of one key, oldest first."""

    __slots__ = ("_entries",)

    def __init__(self, packed: bytes = b"") -> None:
        """Read what `pack` made.

        Raises:
            ValueError: the bytes are no whole number of entries.
        """
        if len(packed) % ENTRY_BYTES:
            raise ValueError(f"{len(packed)} bytes are no ledger: an entry takes {ENTRY_BYTES}")
        self._entries: list[tuple[int, int, int]] = list(_ENTRY.iter_unpack(packed))

    def __len__(self) -> int:
        return len(self._entries)

    def pack(self) -> bytes:
        """The bytes to keep."""
        return b"".join(_ENTRY.pack(*entry) for entry in self._entries)

    @property
    def moments(self) -> list[Moment]:
        """The calls that are kept."""
        return [Moment(at, at + lasted, Facts(facts)) for at, lasted, facts in self._entries]

    def add(self, at: float, facts: Facts, *, over_at: float | None = None) -> None:
        """Enter a call that started at `at`; a permit enters one that is `Facts.UNDER_WAY`."""
        self._entries.append(entry_of(at, facts, over_at))
        self._entries.sort()

    def finish(self, at: float, facts: Facts, *, over_at: float) -> None:
        """Say what became of the call that started at `at`; enters it where it is not known."""
        self.take_back(at)
        self.add(at, facts, over_at=over_at)

    def take_back(self, at: float) -> None:
        """The call reserved at `at` was never dialed."""
        with suppress(ValueError):
            self._entries.remove(entry_of(at, Facts.UNDER_WAY, None))

    def merge(self, other: Ledger) -> None:
        """Enter the calls of `other` that are not here; equal ones as often as the ledger has them that has more."""
        self._entries = sorted((Counter(self._entries) | Counter(other._entries)).elements())

    def refuse(self, at: float, *, over_at: float) -> None:
        """The person of the call that started at `at` does not want to be called: known after its end, often."""
        start = entry_of(at, Facts.REFUSED, over_at)[0]
        for i, (began, lasted, facts) in enumerate(self._entries):
            if began == start and not facts & Facts.UNDER_WAY:
                self._entries[i] = (began, lasted, facts | Facts.REFUSED)
                return
        self.add(at, Facts.REFUSED, over_at=over_at)

    def count(self, at: float, facts: Facts, *, over_at: float) -> None:
        """Enter what was not seen when it happened; the same twice is once."""
        if facts == Facts.REFUSED:
            self.refuse(at, over_at=over_at)
            return
        start, lasted, _ = entry_of(at, facts, over_at)
        if not any((e[0], e[1]) == (start, lasted) and e[2] & facts == facts for e in self._entries):
            self.add(at, facts, over_at=over_at)

    def prune(self, rules: Sequence[CapRule | CooldownRule], now: float) -> None:
        """Forget what none of `rules` can ask about any more; they are all rules that count by this ledger's key."""
        kept: set[int] = set()
        for rule in rules:
            wanted = filter_of(rule)
            # One under way may turn out not to count: it must not push out one that does.
            newest = [i for i, e in enumerate(self._entries) if Facts(e[2]) in wanted and not e[2] & Facts.UNDER_WAY]
            if isinstance(rule, CooldownRule):
                newest = [max(newest, key=lambda i: self._entries[i][0] + self._entries[i][1])] if newest else []
            else:
                newest = newest[-rule.maximum :]
            limit = keep_s(rule)
            kept |= {i for i in newest if now < self._entries[i][0] + self._entries[i][1] + limit}
        # A call under way is kept until it is known what becomes of it.
        self._entries = [e for i, e in enumerate(self._entries) if i in kept or e[2] & Facts.UNDER_WAY]

    def expires_at(self, rules: Sequence[CapRule | CooldownRule]) -> float:
        """When the whole ledger can be forgotten; infinite: a cap counts for good."""
        latest = 0.0
        for rule in rules:
            wanted = filter_of(rule)
            ends = [at + lasted for at, lasted, facts in self._entries if Facts(facts) in wanted]
            latest = max(latest, max(ends, default=0.0) + keep_s(rule))
        return latest


def keep_s(rule: CapRule | CooldownRule) -> float:
    """How long after its end a call may still count."""
    if isinstance(rule, CooldownRule):
        return rule.duration_s
    match rule.span:
        case Span.ROLLING:
            return rule.length
        case Span.CALENDAR_DAYS:
            # A day in which clocks go back has twenty-five hours; where they were moved by a day, forty-eight.
            return (rule.length + 1) * DAY_S
        case Span.EVER:
            return math.inf


def worst_entries(rules: Iterable[CapRule | CooldownRule]) -> int:
    """The most entries that a pruned ledger has, calls under way aside."""
    return sum(1 if isinstance(rule, CooldownRule) else rule.maximum for rule in rules)


def by_key(rules: Iterable[CapRule | CooldownRule]) -> dict[Key, list[CapRule | CooldownRule]]:
    """Rules by the key parts that they count by: one ledger for each."""
    grouped: dict[Key, list[CapRule | CooldownRule]] = {}
    for rule in rules:
        grouped.setdefault(rule.key, []).append(rule)
    return grouped


def evaluate_ledgers(
    ledgers: Mapping[Key, Ledger],
    rules: Iterable[CapRule | CooldownRule],
    now: float,
    *,
    zones: Sequence[str] = ("UTC",),
    bases: frozenset[Basis] = frozenset(),
    agent_reserved: bool = False,
) -> CapVerdict:
    """What `caps.evaluate` says of the whole history, from the ledgers of one subject."""
    blocked: list[Blocked] = []
    for rule in rules:
        moments = ledgers[rule.key].moments if rule.key in ledgers else []
        found = blocked_by(rule, moments, now, zones=zones, bases=bases, agent_reserved=agent_reserved)
        if found is not None:
            blocked.append(found)
    return CapVerdict(blocked=tuple(blocked))


def ledgers_of(
    history: Iterable[Call], subject: Subject, rules: Sequence[CapRule | CooldownRule], now: float
) -> dict[Key, Ledger]:
    """The ledgers of one subject, from its whole history: what a rebuild loads."""
    calls = sorted(history, key=lambda call: call.at)
    ledgers: dict[Key, Ledger] = {}
    for key, own in by_key(rules).items():
        ledger = ledgers[key] = Ledger()
        for call in calls:
            if call.subject.key(key) == subject.key(key):
                ledger.add(call.at, call.facts, over_at=call.over_at)
        ledger.prune(own, now)
    return ledgers


def entry_of(at: float, facts: Facts, over_at: float | None) -> tuple[int, int, int]:
    """Start, seconds until the end, and facts of a call, as a ledger has them."""
    start = math.ceil(at)
    lasted = 0 if over_at is None else max(0, math.ceil(over_at) - start)
    if lasted > _MAX_SECONDS:
        # A talk of more than eighteen hours is kept as one that began later: its end counts.
        start, lasted = start + lasted - _MAX_SECONDS, _MAX_SECONDS
    return start, lasted, int(facts)
