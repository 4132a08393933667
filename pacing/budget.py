"""The abandonment budget of the legal windows.

Of n live answers in a window, `limit * n` may be abandoned. What is left of that is a budget: it grows with every
answer and shrinks by one with every person abandoned. While it is spent, nothing may be risked
(`pacing.methods.spending` says when, for the first answers of a window earn but parts of a person); so the limit holds
because the dialer cannot spend what it does not have, not because a forecast was right. Several windows may count at
once: the tightest governs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pacing.legal_window import LegalWindow

# A rolling window is kept in this many pieces.
_PIECES = 60
# At most this many counts of the past are kept apart; the rest is added to the last of them.
_MOST_HELD = 400


@dataclass(slots=True)
class _Piece:
    begins: float
    ends: float
    answers: int = 0
    abandoned: int = 0


class WindowCount:
    """Answers and abandoned calls of one window.

    Args:
        window: The rule.
        limit: Largest share abandoned where the window has none of its own.
    """

    def __init__(self, window: LegalWindow, limit: float) -> None:
        self.name = window.name
        self.limit = limit if window.limit is None else window.limit
        self.answers = 0
        self.abandoned = 0
        self._length_s = math.inf if window.length_s is None else window.length_s
        self._piece_s = self._length_s / _PIECES
        self._resets = deque(window.resets_at)
        self._pieces: deque[_Piece] = deque()
        for held in window.held:
            self.answers += held.answers
            self.abandoned += held.abandoned
            at = math.nan if held.at is None else held.at
            if self._pieces and len(self._pieces) >= _MOST_HELD:
                last = self._pieces[-1]
                last.answers += held.answers
                last.abandoned += held.abandoned
                last.ends = at
            else:
                self._pieces.append(_Piece(at, at, held.answers, held.abandoned))
        self._undated = any(held.at is None for held in window.held)

    def answered(self, now: float) -> None:
        """A live person answered."""
        self.answers += 1
        self._piece(now).answers += 1

    def abandon(self, now: float) -> None:
        """One who answered found nobody in time."""
        self.abandoned += 1
        self._piece(now).abandoned += 1

    def expire(self, now: float) -> None:
        """Drop what counts no longer."""
        if self._undated:
            self._date(now)
        while self._resets and now >= self._resets[0]:
            self._resets.popleft()
            self._pieces.clear()
            self.answers = self.abandoned = 0
        while self._pieces and now - self._pieces[0].ends > self._length_s:
            old = self._pieces.popleft()
            self.answers -= old.answers
            self.abandoned -= old.abandoned

    def left(self, now: float) -> float:
        """People who may still be abandoned; negative when the limit is exceeded.

        Of a piece that has left the window in part, it is not known who counts still: the worse of all and nobody is
        taken.
        """
        left = self.limit * self.answers - self.abandoned
        if self._pieces and now - self._pieces[0].begins > self._length_s:
            old = self._pieces[0]
            left = min(left, self.limit * (self.answers - old.answers) - (self.abandoned - old.abandoned))
        return left

    @property
    def rate(self) -> float:
        """Share of answers abandoned; 0 with no answers."""
        return self.abandoned / self.answers if self.answers else 0.0

    def _date(self, now: float) -> None:
        """Counts of an unknown time count from now on."""
        for piece in self._pieces:
            piece.begins = now if math.isnan(piece.begins) else piece.begins
            piece.ends = now if math.isnan(piece.ends) else piece.ends
        self._undated = False

    def _piece(self, now: float) -> _Piece:
        if self._undated:
            self._date(now)
        pieces = self._pieces
        if not pieces or (now - pieces[-1].begins >= self._piece_s and self._length_s < math.inf):
            pieces.append(_Piece(now, now))
        pieces[-1].ends = max(pieces[-1].ends, now)
        return pieces[-1]


class AbandonmentBudget:
    """All windows of a campaign; what the tightest allows.

    Args:
        windows: At least one.
        limit: Largest share abandoned where a window has none of its own.
    """

    def __init__(self, windows: Sequence[LegalWindow], limit: float) -> None:
        self.windows = tuple(WindowCount(window, limit) for window in windows)
        self.tightest = self.windows[0]
        self.left = 0.0
        # The same of each window, in their order.
        self.left_of_each: list[float] = []
        self._weigh(-math.inf)

    @property
    def limit(self) -> float:
        """The limit of the window that governs."""
        return self.tightest.limit

    def answered(self, now: float) -> None:
        """A live person answered."""
        for window in self.windows:
            window.answered(now)
        self._weigh(now)

    def abandon(self, now: float) -> None:
        """One who answered found nobody in time."""
        for window in self.windows:
            window.abandon(now)
        self._weigh(now)

    def expire(self, now: float) -> None:
        """Drop what counts no longer, and see which window governs: the one with the fewest people left."""
        for window in self.windows:
            window.expire(now)
        self._weigh(now)

    def _weigh(self, now: float) -> None:
        self.left_of_each = [window.left(now) for window in self.windows]
        self.left = min(self.left_of_each)
        self.tightest = self.windows[self.left_of_each.index(self.left)]
