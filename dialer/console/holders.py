"""Whose doing something was, as people read it: records name a user or the id of a key, and a key has a label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dialer.api.key_ports import KeyBook
from dialer.api.ports import Clock
from dialer.console.texts import Texts
from dialer.errors import RetryableError

#: Labels never change; a key made since the last look has none yet.
_LOOK_EVERY_S: Final = 5.0
_BY_NAME: Final = frozenset({"user", "agent"})


class Holders:
    """The labels of keys; other people's are not among those that a tenant sees.

    Args:
        book: where they stand; None: no key has one here.
        clock: the one clock.
    """

    def __init__(self, book: KeyBook | None, clock: Clock) -> None:
        self._book: Final = book
        self._clock: Final = clock
        self._labels: dict[str, str] = {}
        self._looked_at: float | None = None

    async def look(self, named: Iterable[str] = ()) -> None:
        """Learn of new keys: every few seconds, and at once where `named` has one without a label.

        Where the book is out of reach, what is known stays.
        """
        now = self._clock.now()
        strangers = any(who.startswith("key:") and not self.label(who) for who in named)
        lately = self._looked_at is not None and now - self._looked_at < _LOOK_EVERY_S
        if self._book is None or (lately and not strangers):
            return
        self._looked_at = now
        try:
            self._labels = {key.id: key.name for key in await self._book.all()}
        except RetryableError:
            return

    def label(self, who: str) -> str:
        """The label of a key, ``key:4f2a…`` on record; empty: it is none, or not known."""
        kind, _, id = who.partition(":")
        return self._labels.get(id, "") if kind == "key" else ""

    def words(self, texts: Texts, who: str) -> str:
        """``user:marta`` is marta, ``key:4f2a…`` is its label or a key; what somebody wrote by hand stays."""
        kind, _, name = who.partition(":")
        if kind == "key":
            label = self.label(who)
            return texts("holder.key", label=label) if label else texts("holder.some_key")
        return name if kind in _BY_NAME and name else who
