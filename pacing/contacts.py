"""A list while it is being dialed: who is still to be called, for the first time or again, over one or several days."""

from __future__ import annotations

import heapq
import math

from pacing.contract import Outcome
from pacing.floor import ContactList

#: Nobody calls again where these came back: the person was reached, or there is no such number.
_FINAL = frozenset({None, Outcome.INVALID})


class ContactBook:
    """The state of one list; the same book goes from day to day.

    Args:
        contacts: The list at the beginning.
    """

    def __init__(self, contacts: ContactList) -> None:
        self._list = contacts
        self._fresh = contacts.contacts
        self._again: list[tuple[float, int]] = []
        self.attempts = 0
        self.reached = 0
        self.given_up = 0

    @property
    def left(self) -> int:
        """Contacts that have not been reached and may still be called."""
        return self._fresh + len(self._again)

    def next_at(self) -> float:
        """When somebody can be called: 0 for at once, infinity for never again."""
        if self._fresh:
            return 0.0
        return self._again[0][0] if self._again else math.inf

    def take(self, now: float) -> int | None:
        """The attempt number (from 1) of the contact to be called now; None: there is none at this moment.

        Whoever is to be called again comes first. Every contact taken is handed back with `ended`.
        """
        if self._again and self._again[0][0] <= now:
            attempt = heapq.heappop(self._again)[1] + 1
        elif self._fresh:
            self._fresh -= 1
            attempt = 1
        else:
            return None
        self.attempts += 1
        return attempt

    def ended(self, attempt: int, outcome: Outcome | None, at: float) -> None:
        """The contact's attempt ends at this moment in this way (None: a live person answered)."""
        if outcome is None:
            self.reached += 1
        elif outcome in _FINAL or attempt >= self._list.attempts:
            self.given_up += 1
        else:
            heapq.heappush(self._again, (at + self._list.retry_after_s, attempt))

    def new_day(self, passed_s: float = 86_400.0) -> None:
        """The next day begins, so many seconds after the last one began."""
        self._again = [(max(at - passed_s, 0.0), attempt) for at, attempt in self._again]
        heapq.heapify(self._again)
