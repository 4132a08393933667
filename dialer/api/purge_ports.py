"""Who is not to be called: removals, do-not-call entries, and people who are to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.core.ids import Phone


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotCallEntry:
    """A number, or all that begin alike, on a do-not-call list."""

    scope: str
    #: E.164, or the beginning of numbers and a *.
    phone: str
    reason: str
    expires_at: float | None
    source: str = ""
    who: str = ""
    #: Unix seconds since which it holds.
    at: float | None = None


class Purges(Protocol):
    """Removals and do-not-call entries: written to the same streams that a CRM writes to."""

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to ``cadencia:removals``; from the return on, no later originate calls what they name."""

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to ``cadencia:dnc``, with the same promise."""

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to ``cadencia:callbacks``; what becomes of each is told on the results stream."""

    async def listed(self, phone: Phone) -> Sequence[DoNotCallEntry]:
        """The do-not-call entries of a number, in every scope, also by one of its beginnings."""

    async def entries(
        self, scope: str | None, after: tuple[str, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[DoNotCallEntry]:
        """Up to `limit` entries of a scope, a tenant or all, by (scope, phone), those behind `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedPerson:
    """What an erasure came to."""

    #: Numbers that nobody calls any more, and numbers that the erased contacts had besides, which stay.
    numbers: int
    others: int
    #: Rows changed or deleted, by table.
    rows: Mapping[str, int]


class Erasures(Protocol):
    """People who are to be forgotten (`dialer.runtime.erasing.NodeErasures`)."""

    async def erase(self, phones: Sequence[Phone], *, who: str, all_numbers: bool) -> ErasedPerson:
        """Erase whoever has these numbers. From the return on nobody calls or takes them in; can be repeated.

        Raises:
            InputError: the settings have no key under which they would be remembered.
        """
