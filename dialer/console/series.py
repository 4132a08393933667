"""The last day of each campaign, and of all of them together, in samples for the charts: bounded, pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from dialer.core.tenants import INSTALLATION, tenant_of
from dialer.projections.live_rows import AgentRow, CampaignRow, LiveSnapshot

EVERY_S: Final = 10.0
#: The last hour is kept as it was sampled, the day more coarsely: a screen shows no more.
_HOUR: Final = int(3_600 / EVERY_S)
_COARSE: Final = 12
_DAY: Final = int(86_400 / EVERY_S / _COARSE)
_CAMPAIGNS: Final = 200
#: Calls a minute are those of the last minute, or of the time between two points where that is longer.
_MINUTE_S: Final = 60.0
_AT_WORK: Final = frozenset({"running", "draining"})
_FLYING: Final = ("dialing", "ringing", "answered", "waiting")


class Sample(Struct, frozen=True, array_like=True):
    """A campaign, or all of them, at one moment; ratios are percentages, `started` and `answered` counts of the day."""

    at: float
    occupancy: float | None
    abandonment: float
    answer_rate: float | None
    in_flight: int
    talking: int
    idle: int
    started: int
    answered: int


class Chart(Struct, frozen=True):
    """Columns for a chart, all of one length; `at` in unix seconds; `dialed` and `answered` are calls a minute."""

    at: list[float]
    occupancy: list[float | None]
    abandonment: list[float]
    answer_rate: list[float | None]
    in_flight: list[int]
    talking: list[int]
    idle: list[int]
    dialed: list[float | None]
    answered: list[float | None]
    #: Of several campaigns the lowest.
    max_abandonment: float


class Course:
    """The samples of one thing."""

    def __init__(self) -> None:
        self._hour: Final[deque[Sample]] = deque(maxlen=_HOUR)
        self._day: Final[deque[Sample]] = deque(maxlen=_DAY)
        self._taken = 0
        self.limit = 0.0

    def add(self, sample: Sample, limit: float) -> None:
        """Keep it; `limit`: the abandonment that is allowed, from 0 to 1."""
        if self._taken % _COARSE == 0:
            self._day.append(sample)
        self._taken += 1
        self._hour.append(sample)
        self.limit = limit

    def last(self, seconds: float) -> list[Sample]:
        """Samples of the last so many seconds, the latest at the end."""
        if not self._hour:
            return []
        latest = self._hour[-1]
        kept: Sequence[Sample] = self._hour
        if seconds > _HOUR * EVERY_S:
            kept = [*self._day, latest] if self._day[-1] is not latest else self._day
        return [sample for sample in kept if sample.at > latest.at - seconds]


class Series:
    """Samples of all campaigns, one by one and together."""

    def __init__(self) -> None:
        self._campaigns: Final[dict[str, Course]] = {}
        #: By tenant; the installation's is of everything.
        self._together: Final[dict[str, Course]] = {}

    def add(self, snapshot: LiveSnapshot) -> None:
        """Take a sample of everything, and forget campaigns that are gone."""
        rows = {row.id: row for row in snapshot.campaigns[:_CAMPAIGNS]}
        for gone in self._campaigns.keys() - rows.keys():
            del self._campaigns[gone]
        for id, row in rows.items():
            course = self._campaigns.setdefault(id, Course())
            course.add(_sample(snapshot.at, row), row.abandonment.max_ratio)
        tenants = {tenant_of(row.id) for row in snapshot.campaigns} | {INSTALLATION}
        for gone in self._together.keys() - tenants:
            del self._together[gone]
        for tenant in tenants:
            of = [row for row in snapshot.campaigns if tenant in (INSTALLATION, tenant_of(row.id))]
            agents = [row for row in snapshot.agents if tenant in (INSTALLATION, tenant_of(row.id))]
            occupancy = snapshot.occupancy if tenant == INSTALLATION else _occupancy(of)
            limit = min((row.abandonment.max_ratio for row in _at_work(of)), default=0.0)
            self._together.setdefault(tenant, Course()).add(_together(snapshot.at, of, agents, occupancy), limit)

    def chart(self, campaign: str, seconds: float) -> Chart:
        """The last so many seconds of a campaign; of an unknown one, nothing."""
        return _chart(self._campaigns.get(campaign, Course()), seconds)

    def together(self, tenant: str, seconds: float) -> Chart:
        """The same of all campaigns of a tenant; of the installation, of all there are."""
        return _chart(self._together.get(tenant, Course()), seconds)


def _chart(course: Course, seconds: float) -> Chart:
    shown = course.last(seconds)
    return Chart(
        at=[s.at for s in shown],
        occupancy=[s.occupancy for s in shown],
        abandonment=[s.abandonment for s in shown],
        answer_rate=[s.answer_rate for s in shown],
        in_flight=[s.in_flight for s in shown],
        talking=[s.talking for s in shown],
        idle=[s.idle for s in shown],
        dialed=_a_minute([(s.at, s.started) for s in shown]),
        answered=_a_minute([(s.at, s.answered) for s in shown]),
        max_abandonment=round(100 * course.limit, 2),
    )


def _a_minute(counts: Sequence[tuple[float, int]]) -> list[float | None]:
    """How fast a count of the day grew before each moment; None where that is not known, as after midnight."""
    found: list[float | None] = []
    first = 0
    for place, (at, count) in enumerate(counts):
        # The latest that is a minute old, but the one before at least.
        while first + 1 < place and at - counts[first + 1][0] >= _MINUTE_S:
            first += 1
        began, before = counts[first]
        grown = count - before
        found.append(None if at <= began or grown < 0 else round(grown / (at - began) * 60.0, 1))
    return found


def _sample(at: float, row: CampaignRow) -> Sample:
    return Sample(
        at=round(at, 1),
        occupancy=_percent(row.occupancy),
        abandonment=_percent(row.abandonment.day_ratio) or 0.0,
        answer_rate=_percent(row.answer_rate),
        in_flight=_flying(row),
        talking=row.agents.get("talking", 0),
        idle=row.agents.get("idle", 0),
        started=row.today.started,
        answered=row.today.answered,
    )


def _together(at: float, rows: Sequence[CampaignRow], agents: Iterable[AgentRow], occupancy: float | None) -> Sample:
    """An agent of several campaigns counts once; shares are weighed by what they are shares of."""
    lost = sum(row.abandonment.day_abandoned for row in rows)
    live = sum(row.abandonment.day_live_answers for row in rows)
    states = Counter(agent.state for agent in agents)
    return Sample(
        at=round(at, 1),
        occupancy=_percent(occupancy),
        abandonment=_percent(lost / live if live else 0.0) or 0.0,
        answer_rate=_percent(_weighed([(row.answer_rate, row.today.started) for row in rows])),
        in_flight=sum(map(_flying, rows)),
        talking=states["talking"],
        idle=states["idle"],
        started=sum(row.today.started for row in rows),
        answered=sum(row.today.answered for row in rows),
    )


def _at_work(rows: Sequence[CampaignRow]) -> Sequence[CampaignRow]:
    return [row for row in rows if row.state in _AT_WORK or row.abandonment.day_live_answers] or rows


def _flying(row: CampaignRow) -> int:
    return sum(row.calls.get(state, 0) for state in _FLYING)


def _occupancy(rows: Iterable[CampaignRow]) -> float | None:
    return _weighed([(row.occupancy, sum(row.agents.values())) for row in rows])


def _weighed(parts: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in parts if value is not None]
    weights = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / weights if weights else None


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else round(100 * ratio, 2)
