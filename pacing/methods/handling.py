"""When a busy agent is free again: the rest of the talk, then the wrap-up."""

from __future__ import annotations

import numpy as np

from pacing.estimators.durations import EDGES_S, MIDDLES_S, DurationModel, Fork
from pacing.intervals import FloatArray
from pacing.methods.parts import ALL_PARTS, Parts

# Nothing further ahead than this is asked.
_HORIZON_S = 120


def whole_seconds(horizon_s: float) -> FloatArray:
    """The seconds ahead for which tables up to this horizon are made."""
    return np.arange(int(np.ceil(min(horizon_s, _HORIZON_S))) + 2, dtype=np.float64)


class Handling:
    """Tables of the chance to be free by a horizon, by time spent talking or in wrap-up.

    Args:
        talk, wrapup: How long agents are busy.
        after_talk: Shares "idle", "wrapup", "away" of the agents whose talk ends.
        after_wrapup: Shares "idle", "away" of the agents whose wrap-up ends.
        horizon_s: The furthest that will be asked, in seconds.
        parts: Parts in use.
    """

    def __init__(
        self,
        *,
        talk: DurationModel,
        wrapup: DurationModel,
        after_talk: Fork,
        after_wrapup: Fork,
        horizon_s: float,
        parts: Parts = ALL_PARTS,
    ) -> None:
        self._seconds = seconds = whole_seconds(horizon_s)
        back = after_wrapup.share("idle")
        wrapped_fresh = back * (1.0 - wrapup.survival(seconds))
        self._wrapping = back * (1.0 - wrapup.remaining(seconds))
        # A talk that ends between s and s+1 seconds from now leaves x - s - 1/2 for the wrap-up.
        lag = seconds[None, :] - seconds[:-1, None] - 0.5
        if parts.convolution:
            through_wrapup = np.interp(lag, seconds, wrapped_fresh)
        else:
            through_wrapup = np.where(lag >= wrapup.mean_s, back, 0.0)
        free_if_ended = np.where(lag > 0.0, after_talk.share("idle") + after_talk.share("wrapup") * through_wrapup, 0.0)
        remaining = talk.remaining(seconds)
        self._talking = (remaining[:, :-1] - remaining[:, 1:]) @ free_if_ended
        fresh = talk.survival(seconds)
        self._handled = (fresh[:-1] - fresh[1:]) @ free_if_ended

        # How frequent each age is among the talks and wrap-ups that run at any moment.
        widths = np.diff(EDGES_S)
        self.talking_ages: FloatArray = widths * talk.survival(MIDDLES_S)
        self.wrapping_ages: FloatArray = widths * wrapup.survival(MIDDLES_S)

    def talking_by(self, by_s: FloatArray) -> FloatArray:
        """Chance that an agent in each bin of talk time is free within each horizon, shape (bins, horizons)."""
        return self._columns(self._talking, by_s)

    def wrapping_by(self, by_s: FloatArray) -> FloatArray:
        """Chance that an agent in each bin of wrap-up time is free within each horizon, shape (bins, horizons)."""
        return self._columns(self._wrapping, by_s)

    def occupied_after(self, lag_s: FloatArray) -> FloatArray:
        """Chance that an agent whose talk began so long ago is not free yet."""
        return 1.0 - np.interp(lag_s, self._seconds, self._handled)

    def _columns(self, table: FloatArray, by_s: FloatArray) -> FloatArray:
        """The columns of a table by whole seconds at moments between them, linearly."""
        left = np.minimum(by_s.astype(np.int64), len(self._seconds) - 2)
        part = np.minimum(by_s - left, 1.0)
        return table[:, left] * (1.0 - part) + table[:, left + 1] * part
