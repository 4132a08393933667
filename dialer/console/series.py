"""The last day of each campaign in samples, for the charts: bounded, pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from dialer.projections.live_rows import CampaignRow, LiveSnapshot

EVERY_S: Final = 10.0
_DAY: Final = int(86_400 / EVERY_S)
#: Points of a chart, at most: a screen shows no more.
_POINTS: Final = 720
_CAMPAIGNS: Final = 200


class Sample(Struct, frozen=True, array_like=True):
    """One campaign at one moment; ratios are percentages."""

    at: float
    occupancy: float | None
    abandonment: float
    answer_rate: float | None
    in_flight: int
    talking: int
    idle: int


class Chart(Struct, frozen=True):
    """Columns for a chart, all of one length; `at` in unix seconds."""

    at: list[float]
    occupancy: list[float | None]
    abandonment: list[float]
    answer_rate: list[float | None]
    in_flight: list[int]
    talking: list[int]
    idle: list[int]
    max_abandonment: float


class Series:
    """Samples of all campaigns."""

    def __init__(self) -> None:
        self._samples: Final[dict[str, deque[Sample]]] = {}
        self._limits: Final[dict[str, float]] = {}

    def add(self, snapshot: LiveSnapshot) -> None:
        """Take a sample of every campaign, and forget those that are gone."""
        rows = {row.id: row for row in snapshot.campaigns[:_CAMPAIGNS]}
        for gone in self._samples.keys() - rows.keys():
            del self._samples[gone], self._limits[gone]
        for id, row in rows.items():
            self._samples.setdefault(id, deque(maxlen=_DAY)).append(_sample(snapshot.at, row))
            self._limits[id] = row.abandonment.max_ratio

    def chart(self, campaign: str, seconds: float) -> Chart:
        """The last so many seconds of a campaign; of an unknown one, nothing."""
        samples = self._samples.get(campaign, deque())
        since = samples[-1].at - seconds if samples else 0.0
        found = [sample for sample in samples if sample.at > since]
        step = -(-len(found) // _POINTS) or 1
        # From the end, so that the latest is always there.
        shown = found[::-1][::step][::-1]
        return Chart(
            at=[s.at for s in shown],
            occupancy=[s.occupancy for s in shown],
            abandonment=[s.abandonment for s in shown],
            answer_rate=[s.answer_rate for s in shown],
            in_flight=[s.in_flight for s in shown],
            talking=[s.talking for s in shown],
            idle=[s.idle for s in shown],
            max_abandonment=round(100 * self._limits.get(campaign, 0.0), 2),
        )


def _sample(at: float, row: CampaignRow) -> Sample:
    return Sample(
        at=round(at, 1),
        occupancy=_percent(row.occupancy),
        abandonment=_percent(row.abandonment.day_ratio) or 0.0,
        answer_rate=_percent(row.answer_rate),
        in_flight=sum(row.calls.get(state, 0) for state in ("dialing", "ringing", "answered", "waiting")),
        talking=row.agents.get("talking", 0),
        idle=row.agents.get("idle", 0),
    )


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else round(100 * ratio, 2)
