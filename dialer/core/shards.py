"""Shards: several Redis in one installation, each with the campaigns of one group. Pure.

Which shard a campaign belongs to follows from its name alone, as whose it is does (`dialer.core.tenants`): the settings
have names and beginnings of names for each shard, no two of which fit the same campaign, and one shard has ``*``, all
that fit nowhere else. Where the settings have no shards everything belongs to the one Redis, whose name is empty.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dialer.errors import ConfigError, InputError

#: Of the one Redis where there are no shards.
ALONE: Final = ""
#: All campaigns that fit nowhere else.
ELSE: Final = "*"
_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}|[A-Za-z0-9_-]{0,63}\*", re.ASCII)
#: A campaign, as opposed to everybody, all campaigns of a tenant, or an account.
_CAMPAIGN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of an installation, as seen by one of them."""

    #: The shard that this node or worker belongs to.
    own: str = ALONE
    #: Name -> the campaigns: names, beginnings of names with a *, or `ELSE`; in the order of the settings.
    table: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Name -> beginnings of the numbers that it alone calls, and it calls no others; where there are any.
    numbers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether there are any."""
        return bool(self.table)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them; where there are none, the one Redis."""
        return tuple(self.table) or (ALONE,)

    @property
    def first(self) -> bool:
        """Whether what is done once for all shards is for the nodes of the own one: it is for the first by name."""
        return not self.table or self.own == min(self.table)

    @property
    def others(self) -> tuple[str, ...]:
        """All but the own one."""
        return tuple(name for name in self.table if name != self.own)

    def of(self, campaign: str) -> str:
        """The shard that a campaign belongs to."""
        for name, patterns in self.table.items():
            if any(fits(pattern, campaign) for pattern in patterns if pattern != ELSE):
                return name
        return next((name for name, patterns in self.table.items() if ELSE in patterns), ALONE)

    def mine(self, campaign: str) -> bool:
        """Whether a campaign belongs to the own shard."""
        return not self.table or self.of(campaign) == self.own

    def concerned(self, scope: str) -> tuple[str, ...]:
        """Where a removal or do-not-call entry must hold: a campaign's in its shard, anything wider in all.

        Args:
            scope: a campaign, ``*``, all campaigns of a tenant (``acme--*``), or ``account:`` and an account.
        """
        return (self.of(scope),) if _CAMPAIGN.fullmatch(scope) else self.names

    def here(self, scope: str) -> bool:
        """Whether a removal or do-not-call entry must hold in the own shard."""
        return not self.table or self.own in self.concerned(scope)

    def may_call(self, shard: str, code: str) -> bool:
        """Whether a shard calls any number with this beginning."""
        own = self.numbers.get(shard)
        if own:
            return any(each.startswith(code) or code.startswith(each) for each in own)
        return not any(code.startswith(each) for its in self.numbers.values() for each in its)

    def share_numbers(self, one: str, other: str, code: str) -> bool:
        """Whether there may be a number with this beginning that both shards call."""
        return not self.numbers.get(one) and not self.numbers.get(other) and self.may_call(one, code)

    def called_elsewhere(self, phone: str) -> str:
        """Why another shard calls a number, if any does; empty: this one may."""
        if not self.numbers or self.may_call(self.own, phone):
            return ""
        return f"its numbers are not called from shard {self.own}"

    @property
    def fingerprint(self) -> str:
        """A word for the own shard and the table: where either is another, what Redis holds may lack something."""
        return f"{self.own} {hashlib.sha256(repr(self.as_rows()).encode()).hexdigest()[:16]}"

    def as_rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """The table in an order that does not depend on how it was written; numbers stand among the campaigns."""
        return sorted(
            (name, tuple(sorted((*patterns, *self.numbers.get(name, ()))))) for name, patterns in self.table.items()
        )


#: An installation without shards.
ONE_REDIS: Final = Shards()


def shards_of(
    own: str, table: Sequence[tuple[str, Sequence[str]]], numbers: Mapping[str, Sequence[str]] | None = None
) -> Shards:
    """The shards that the settings describe.

    Args:
        own: name of the own one.
        table: names, and the campaigns of each.
        numbers: beginnings of the numbers that each calls, of those that say so.

    Raises:
        ConfigError: says what is wrong with them.
    """
    if not table:
        if own:
            raise ConfigError(f"redis.shard is {own!r}, and there are no [[redis.shards]]: leave it out, or add them")
        return ONE_REDIS
    names = [name for name, _ in table]
    if len(set(names)) != len(names):
        raise ConfigError("two [[redis.shards]] have the same name; names must be unique")
    if own not in names:
        raise ConfigError(
            f"redis.shard is {own!r}: say which of the [[redis.shards]] this node belongs to ({', '.join(names)})"
        )
    wrong = next((each for _, patterns in table for each in patterns if _PATTERN.fullmatch(each) is None), None)
    if wrong is not None:
        raise ConfigError(
            f"redis.shards: campaigns has {wrong!r}; it may have names, beginnings such as north-*, and * in one shard"
        )
    everything = [name for name, patterns in table if ELSE in patterns]
    if len(everything) != 1:
        found = f"{' and '.join(everything)} have it" if everything else "none has it"
        raise ConfigError(f'redis.shards: one shard must have "*" among its campaigns, for all others; {found}')
    each = [(name, pattern) for name, patterns in table for pattern in patterns if pattern != ELSE]
    for place, (name, pattern) in enumerate(each):
        for other, its in each[place + 1 :]:
            if name != other and _overlap(pattern, its):
                raise ConfigError(
                    f"redis.shards: {pattern} of {name} and {its} of {other} fit the same campaigns; no two may"
                )
    claimed = [(name, start) for name, starts in (numbers or {}).items() for start in starts]
    for place, (name, start) in enumerate(claimed):
        for other, its in claimed[place + 1 :]:
            if name != other and (start.startswith(its) or its.startswith(start)):
                raise ConfigError(f"redis.shards: numbers {start} of {name} and {its} of {other} overlap; none may")
    return Shards(
        own=own,
        table={name: tuple(patterns) for name, patterns in table},
        numbers={name: tuple(starts) for name, starts in (numbers or {}).items() if starts},
    )


def not_here(shards: Shards, campaign: str) -> str:
    """Why something of a campaign cannot be done in the own shard; empty: it can."""
    if shards.mine(campaign):
        return ""
    return (
        f"campaign {campaign!r} belongs to shard {shards.of(campaign)}; this is shard {shards.own}: ask a node there, "
        "or write to its Redis"
    )


def check_here(shards: Shards, campaign: str) -> None:
    """Make sure that a campaign belongs to the own shard.

    Raises:
        InputError: it does not; says where it does.
    """
    problem = not_here(shards, campaign)
    if problem:
        raise InputError(
            f"campaign: {problem}",
            word="other_shard",
            code="campaign_of_shard",
            campaign=campaign,
            shard=shards.of(campaign),
            here=shards.own,
        )


def fits(pattern: str, campaign: str) -> bool:
    """Whether a name, or the beginning of names and a ``*``, is that of a campaign."""
    return campaign.startswith(pattern[:-1]) if pattern.endswith("*") else campaign == pattern


def _overlap(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if short.endswith("*"):
        return long.startswith(short[:-1])
    # Of one length and no beginnings, or a name and a longer beginning, which may still begin with all of the name.
    return fits(long, short)
