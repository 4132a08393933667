"""Agents of one campaign on several Asterisk servers: one pacer for all, one for each server, or all on one server.

    python -m benchmarks.pacing_servers [--hours 4] [--seeds 8] [--floors NAME ...] [--json FILE] [--days-file FILE]

Somebody who answers can only be given to an agent on the server of their call. "one pacer" hears of all agents and
calls, and each call is placed where most agents are free for it; with "one for each" a pacer hears of its own server
alone, and its calls are placed there; "one server" has the same agents together, which is what the others can be
measured by. The n-th call meets the n-th person whatever the arrangement. "idle s" are seconds without work before each
talk; "over" counts days above 3.0 %; "gain" is the occupancy against "one pacer", each day against the same day, with
the interval over seeds. Occupancy and abandonment belong together: who abandons more may be busier.

A centre has several campaigns on its servers, each server paced by itself. Its agents sign in one after the other, in
an order drawn for each day: "fewest first" each goes where fewest agents are, "with colleagues" as the dialer has it
(`dialer.core.placement`), and "gain" is against the former.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial

import numpy as np

from benchmarks import pacing_jobs as jobs
from dialer.core.ids import ServerName
from dialer.core.placement import Place, choose_server
from pacing import Pacer, build
from pacing.callees import Callee, source
from pacing.floor import Floor, Shift, Steps

FLOORS: dict[str, tuple[int, ...]] = {
    "2 x 10 agents": (10, 10),
    "2 x 3 agents": (3, 3),
    "16 and 4 agents": (16, 4),
    "4 x 10 agents": (10, 10, 10, 10),
}
#: How many servers there are, and how many agents each campaign has.
CENTRES: dict[str, tuple[int, tuple[int, ...]]] = {"8 campaigns on 3": (3, (6, 8, 10, 12, 15, 20, 30, 40))}
#: Channels of a server: enough.
LINES = 10_000
ANSWER = 0.25
DECIDE_EVERY_S = 0.5
_HALF_HOUR_S = 1_800.0


class Arrangement(StrEnum):
    """Who paces whom."""

    ONE_PACER = "one pacer"
    ONE_FOR_EACH = "one for each"
    ONE_SERVER = "one server"


class SignIn(StrEnum):
    """Where agents of a centre go."""

    FEWEST_FIRST = "fewest first"
    WITH_COLLEAGUES = "with colleagues"


class Centre:
    """Agents on servers, and the pacers that call for them.

    Args:
        agents: How many each server has.
        shared: One pacer for all servers.
        floor: The people called.
        seed: The same for every arrangement that is compared.
    """

    def __init__(self, agents: Sequence[int], *, shared: bool, floor: Floor, seed: int) -> None:
        self._agents = agents
        self._servers = range(len(agents))
        self._callees = source(floor, np.random.SeedSequence(seed).spawn(1)[0], None)
        self._end_s = floor.hours * 3_600.0
        self._within_s = floor.connect_within_s
        self._pacers: list[Pacer] = [
            build("predictive", ring_timeout_s=26.0, connect_within_s=self._within_s)
            for _ in (range(1) if shared else self._servers)
        ]
        self._free = [deque((server, number) for number in range(count)) for server, count in enumerate(agents)]
        self._waiting: list[dict[int, Callee]] = [{} for _ in self._servers]
        self._unanswered: Counter[int] = Counter()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._made = 0
        self._slices = Counter[int](), Counter[int]()
        self._busy_s = 0.0
        self._answered = self._abandoned = self._talks = self._dialed = 0
        for server, its in enumerate(self._free):
            for agent in its:
                self._pacer(server).agent_changed(0.0, agent, "idle")

    def day(self) -> jobs.Result:
        """Play it to its end."""
        decide_at = 0.0
        while True:
            due = self._events[0][0] if self._events else math.inf
            if min(due, decide_at) >= self._end_s:
                break
            if decide_at < due:
                self._decide(decide_at)
                decide_at += DECIDE_EVERY_S
                continue
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        answered, abandoned = self._slices
        staffed_s = sum(self._agents) * self._end_s
        return {
            "busy_s": self._busy_s,
            "staffed_s": staffed_s,
            "answered": self._answered,
            "abandoned": self._abandoned,
            "dialed": self._dialed,
            "talks": self._talks,
            "worst_half_hour": max(
                (abandoned[at] / count for at, count in answered.items() if count >= 100), default=0.0
            ),
        }

    def _pacer(self, server: int) -> Pacer:
        return self._pacers[server if len(self._pacers) > 1 else 0]

    def _decide(self, now: float) -> None:
        for server, pacer in enumerate(self._pacers):
            wished = pacer.decide(now).dial
            free = [len(self._free[name]) - len(self._waiting[name]) for name in self._servers]
            for _ in range(wished):
                self._start(now, server if len(self._pacers) > 1 else self._best(free))

    def _best(self, free: Sequence[int]) -> int:
        """Where most agents are free for one more call, beside those that ring already."""
        return min(self._servers, key=lambda name: (self._unanswered[name] + 1 - free[name]) / self._agents[name])

    def _start(self, now: float, server: int) -> None:
        callee = self._callees.call(now)
        assert callee is not None, "the list has no end"
        call = self._dialed
        self._dialed += 1
        self._unanswered[server] += 1
        self._pacer(server).call_started(now, call)
        self._at(now + callee.after_s, partial(self._resolved, server, call, callee))

    def _resolved(self, server: int, call: int, callee: Callee, now: float) -> None:
        self._unanswered[server] -= 1
        if callee.outcome is not None:
            self._pacer(server).call_ended(now, call, callee.outcome)
            return
        self._answered += 1
        self._slices[0][int(now // _HALF_HOUR_S)] += 1
        self._pacer(server).call_answered(now, call)
        if self._free[server]:
            self._talk(now, call, callee, self._free[server].popleft())
        else:
            self._waiting[server][call] = callee
            self._at(now + self._within_s, partial(self._gave_up, server, call))

    def _gave_up(self, server: int, call: int, now: float) -> None:
        if self._waiting[server].pop(call, None) is not None:
            self._abandoned += 1
            self._slices[1][int(now // _HALF_HOUR_S)] += 1
            self._pacer(server).call_abandoned(now, call)

    def _talk(self, now: float, call: int, callee: Callee, agent: tuple[int, int]) -> None:
        pacer = self._pacer(agent[0])
        pacer.agent_changed(now, agent, "talking")
        pacer.call_connected(now, call, agent)
        self._talks += 1
        self._busy_s += max(0.0, min(callee.talk_s + callee.wrapup_s, self._end_s - now))
        self._at(now + callee.talk_s, partial(self._hung_up, agent, callee.wrapup_s))

    def _hung_up(self, agent: tuple[int, int], wrapup_s: float, now: float) -> None:
        self._pacer(agent[0]).agent_changed(now, agent, "wrapup")
        self._at(now + wrapup_s, partial(self._ready, agent))

    def _ready(self, agent: tuple[int, int], now: float) -> None:
        server = agent[0]
        self._pacer(server).agent_changed(now, agent, "idle")
        if self._waiting[server]:
            call = next(iter(self._waiting[server]))
            self._talk(now, call, self._waiting[server].pop(call), agent)
        else:
            self._free[server].append(agent)

    def _at(self, when: float, happen: Callable[[float], None]) -> None:
        self._made += 1
        heapq.heappush(self._events, (when, self._made, happen))


def one_day(job: tuple[str, str, float, int]) -> jobs.Result:
    """A day of one floor in one arrangement, with one seed."""
    name, arrangement, hours, seed = job
    agents = FLOORS[name]
    if arrangement == Arrangement.ONE_SERVER:
        agents = (sum(agents),)
    people = Floor(shifts=(Shift(agents=sum(agents)),), answer=Steps(ANSWER), hours=hours)
    return Centre(agents, shared=arrangement == Arrangement.ONE_PACER, floor=people, seed=seed).day()


def placed(servers: int, campaigns: Sequence[int], sign_in: SignIn, seed: int) -> list[tuple[int, ...]]:
    """How many agents each campaign has on each server that has any of them."""
    agents = [campaign for campaign, count in enumerate(campaigns) for _ in range(count)]
    there = [Counter[ServerName]() for _ in campaigns]
    names = [ServerName(f"pbx{number}") for number in range(servers)]
    for campaign in np.random.default_rng(seed).permutation(agents):
        chosen = choose_server(
            [
                Place(
                    server=name,
                    weight=1.0,
                    agents=sum(its[name] for its in there),
                    colleagues=there[campaign][name] if sign_in is SignIn.WITH_COLLEAGUES else 0,
                    lines=LINES,
                    campaign_lines=LINES,
                )
                for name in names
            ]
        )
        assert chosen is not None
        there[campaign][chosen] += 1
    return [tuple(its.values()) for its in there]


def one_centre_day(job: tuple[str, str, float, int]) -> jobs.Result:
    """A day of all campaigns of a centre, with one seed."""
    name, sign_in, hours, seed = job
    servers, campaigns = CENTRES[name]
    days = []
    for number, agents in enumerate(placed(servers, campaigns, SignIn(sign_in), seed)):
        people = Floor(shifts=(Shift(agents=sum(agents)),), answer=Steps(ANSWER), hours=hours)
        days.append(Centre(agents, shared=False, floor=people, seed=1_000 * number + seed).day())
    whole: jobs.Result = {key: sum(day[key] for day in days) for key in days[0]}
    return whole | {"worst_half_hour": max(day["worst_half_hour"] for day in days)}


def _rows(name: str, measured: Mapping[str, Sequence[jobs.Result]]) -> list[jobs.Result]:
    """A row for each arrangement, compared with the first."""
    before = next(iter(measured.values()))
    rows = []
    for each, its in measured.items():
        gains = [jobs.occupancy([a]) - jobs.occupancy([b]) for a, b in zip(its, before, strict=True)]
        rows.append(
            {
                "floor": name,
                "paced by": each,
                "occupancy": round(jobs.occupancy(its), 4),
                "abandoned %": round(100.0 * jobs.abandonment(its), 2),
                "idle s": round(_idle_s(its), 1),
                "gain": round(sum(gains) / len(gains), 4),
                "+-": round(jobs.half_width(gains), 4),
                "over": sum(jobs.abandonment([day]) > 0.03 for day in its),
                "worst half hour %": round(100.0 * max(day["worst_half_hour"] for day in its), 1),
            }
        )
    return rows


def _idle_s(days: Sequence[jobs.Result]) -> float:
    return float(sum(day["staffed_s"] - day["busy_s"] for day in days) / max(1, sum(day["talks"] for day in days)))


def main() -> None:
    arguments = jobs.common_options("One pacer for all servers of a campaign, or one for each.")
    arguments.add_argument("--hours", type=float, default=4.0)
    arguments.add_argument("--seeds", type=int, default=8)
    arguments.add_argument("--floors", nargs="+", choices=[*FLOORS, *CENTRES], default=[*FLOORS, *CENTRES])
    options = arguments.parse_args()
    seeds = range(1, options.seeds + 1)
    rows = []
    for names, kinds, work in ((FLOORS, Arrangement, one_day), (CENTRES, SignIn, one_centre_day)):
        asked = [name for name in options.floors if name in names]
        todo = [(name, kind.value, options.hours, seed) for name in asked for kind in kinds for seed in seeds]
        days = iter(jobs.run(work, todo, processes=options.processes, days_file=options.days_file))
        for name in asked:
            rows += _rows(name, {kind.value: [next(days) for _ in seeds] for kind in kinds})
    jobs.show(rows)
    jobs.write(options.json, settings={"hours": options.hours, "seeds": options.seeds}, rows=rows)


if __name__ == "__main__":
    main()
