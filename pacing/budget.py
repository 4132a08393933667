"""The abandonment budget of a legal window.

Of n live answers in the window, `limit * n` may be abandoned. What is left of that is a budget: it grows with every
answer and shrinks by one with every person abandoned. While it is spent, nothing may be risked; so the limit holds
because the dialer cannot spend what it does not have, not because a forecast was right.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

# A rolling window is kept in this many pieces; the oldest is dropped whole, so the window is never longer than
# promised.
_PIECES = 60


@dataclass(slots=True)
class _Piece:
    begins: float
    answers: int = 0
    abandoned: int = 0


class AbandonmentBudget:
    """Counts answers and abandoned calls over a rolling window.

    Args:
        limit: Largest share of answers that may be abandoned.
        window_s: Length of the window; None never forgets.
        answers, abandoned: What the window holds already.
    """

    def __init__(self, *, limit: float, window_s: float | None, answers: int = 0, abandoned: int = 0) -> None:
        self.limit = limit
        self.answers = answers
        self.abandoned = abandoned
        self._piece_s = math.inf if window_s is None else window_s / _PIECES
        self._window_s = math.inf if window_s is None else window_s
        self._carried = (answers, abandoned)
        self._pieces: deque[_Piece] = deque()

    def answered(self, now: float) -> None:
        """A live person answered."""
        self.answers += 1
        self._piece(now).answers += 1

    def abandon(self, now: float) -> None:
        """One who answered found nobody in time."""
        self.abandoned += 1
        self._piece(now).abandoned += 1

    def expire(self, now: float) -> None:
        """Drop what is older than the window."""
        while self._pieces and now - self._pieces[0].begins > self._window_s:
            old = self._pieces.popleft()
            self.answers -= old.answers
            self.abandoned -= old.abandoned

    @property
    def left(self) -> float:
        """People who may still be abandoned; negative when the limit is exceeded."""
        return self.limit * self.answers - self.abandoned

    @property
    def rate(self) -> float:
        """Share of answers abandoned in the window; 0 with no answers."""
        return self.abandoned / self.answers if self.answers else 0.0

    def _piece(self, now: float) -> _Piece:
        if not self._pieces:
            piece = _Piece(now, *self._carried)
            self._carried = (0, 0)
            self._pieces.append(piece)
        elif now - self._pieces[-1].begins >= self._piece_s:
            self._pieces.append(_Piece(now))
        return self._pieces[-1]
