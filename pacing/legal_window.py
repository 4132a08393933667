"""A legal window: over what time abandonment counts, and what of it is past already."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

_LONGEST_S = 366 * 86_400.0
_SHORTEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Answers counted before the pacer was built.

    Attributes:
        answers: Live answers.
        abandoned: Of these, how many were abandoned.
        at: When they were counted, on the pacer's clock; for the counts of a day, its end. None: not known, they count
            as if from the moment that the pacer is first told of anything.
    """

    answers: int
    abandoned: int
    at: float | None = None

    def __post_init__(self) -> None:
        if not ((self.at is None or math.isfinite(self.at)) and 0 <= self.abandoned <= self.answers):
            raise ValueError(f"held counts need a finite moment and 0 <= abandoned <= answers, not {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalWindow:
    """One rule about abandonment.

    Three kinds: with `length_s` it rolls (30 successive days, 24 hours); with `resets_at` it starts afresh at given
    moments (a calendar month: the pacer knows no calendar and is told when each month ends); with neither it counts
    since the campaign began.

    Attributes:
        name: For explanations: "30 days", "November", "this campaign".
        limit: Largest share of answers abandoned; None: that of the campaign.
        length_s: Length of a rolling window.
        resets_at: Moments at which it starts afresh, in order. After the last one it counts on, so give enough of them.
        held: What it holds already, in order of time; counts of an unknown time go last.
    """

    name: str
    limit: float | None = None
    length_s: float | None = None
    resets_at: tuple[float, ...] = ()
    held: tuple[Held, ...] = ()

    def __post_init__(self) -> None:
        if self.limit is not None and not 0.0 <= self.limit <= 1.0:
            raise ValueError(f"window {self.name!r}: limit must be between 0 and 1, not {self.limit}")
        if self.length_s is not None and not _SHORTEST_S <= self.length_s <= _LONGEST_S:
            raise ValueError(
                f"window {self.name!r}: length_s must be between {_SHORTEST_S:g} and {_LONGEST_S:g}, "
                f"not {self.length_s}"
            )
        if self.length_s is not None and self.resets_at:
            raise ValueError(f"window {self.name!r} either rolls (length_s) or starts afresh (resets_at), not both")
        if not all(math.isfinite(moment) for moment in self.resets_at):
            raise ValueError(f"window {self.name!r}: resets_at must be finite moments")
        if any(later <= earlier for earlier, later in pairwise(self.resets_at)):
            raise ValueError(f"window {self.name!r}: resets_at must be in order of time")
        moments = [held.at for held in self.held if held.at is not None]
        if any(later < earlier for earlier, later in pairwise(moments)):
            raise ValueError(f"window {self.name!r}: held must be in order of time")
