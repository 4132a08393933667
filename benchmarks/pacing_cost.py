"""Time per decision and per event as the floor grows, and how it grows.

    python -m benchmarks.pacing_cost [--agents 10 100 1000 5000] [--decisions 400] [--method predictive] [--json FILE]

Each floor is first brought to a steady state by a simulated twenty minutes; then the pacer alone is timed, with the
same events going on between decisions. Process CPU time of one core; the median says what a decision costs, the 99th
percentile includes the learning that is done every few seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from pacing import Decision, Pacer, build
from pacing.floor import Floor, Shift, Steps
from pacing.simulate import simulate


class Timed:
    """A pacer that notes how long another takes."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self.decisions_s: list[float] = []
        self.events_s = 0.0
        self.events = 0

    def _event(self, tell: Callable[..., None], *arguments: object) -> None:
        began = time.process_time()
        tell(*arguments)
        self.events_s += time.process_time() - began
        self.events += 1

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        self._event(self._pacer.agent_changed, now, agent, state)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        self._event(self._pacer.agent_leaving, now, agent, leaving, at)

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self._event(self._pacer.call_started, now, call, segment)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self._event(self._pacer.call_ended, now, call, outcome)

    def call_answered(self, now: float, call: Hashable) -> None:
        self._event(self._pacer.call_answered, now, call)

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        self._event(self._pacer.call_connected, now, call, agent)

    def call_abandoned(self, now: float, call: Hashable) -> None:
        self._event(self._pacer.call_abandoned, now, call)

    def decide(self, now: float) -> Decision:
        began = time.process_time()
        decision = self._pacer.decide(now)
        self.decisions_s.append(time.process_time() - began)
        return decision

    def snapshot(self) -> dict[str, object]:
        return self._pacer.snapshot()


def measure(method: str, agents: int, decisions: int) -> dict[str, Any]:
    """One row of the table."""
    minutes = 20.0 + decisions / 120.0
    floor = Floor(shifts=(Shift(agents=agents),), answer=Steps(0.25), hours=minutes / 60.0)
    timed = Timed(build(method, ring_timeout_s=26.0))
    day = simulate(floor, timed, seed=1, decide_every_s=0.5)
    last = sorted(timed.decisions_s[-decisions:])
    return {
        "agents": agents,
        "calls in flight, most": day.most_in_flight,
        "decision median us": round(1e6 * statistics.median(last)),
        "decision p99 us": round(1e6 * last[int(0.99 * len(last))]),
        "event mean us": round(1e6 * timed.events_s / max(timed.events, 1), 1),
        "events/s": round(timed.events / timed.events_s) if timed.events_s else 0,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time per pacing decision and per event.")
    arguments.add_argument("--agents", type=int, nargs="+", default=[10, 100, 1_000, 5_000])
    arguments.add_argument("--decisions", type=int, default=400)
    arguments.add_argument("--method", default="predictive")
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    rows = [measure(options.method, agents, options.decisions) for agents in options.agents]
    print(" | ".join(rows[0]))
    for row in rows:
        print(" | ".join(str(value) for value in row.values()))
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps({"machine": machine, "method": options.method, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
