"""Days on record made by the simulator: every call of a floor, as a switch would have written it down."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pacing import Decision, build
from pacing.contract import Pacer
from pacing.floor import Floor
from pacing.replaying import CallRow
from pacing.simulate import Day, simulate

MORNING = datetime(2026, 11, 20, 9, tzinfo=UTC).timestamp()


class _Recorder:
    """Lets a pacer do its work, and writes down what it is told."""

    def __init__(self, pacer: Pacer, begins_s: float) -> None:
        self._pacer = pacer
        self._begins_s = begins_s
        self._calls: dict[Hashable, dict[str, float | str]] = {}
        self._talking: dict[Hashable, Hashable] = {}
        self._wrapping: dict[Hashable, Hashable] = {}

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        if state != "talking":
            call = self._talking.pop(agent, None)
            if call is not None:
                self._calls[call]["end"] = now
                if state == "wrapup":
                    self._wrapping[agent] = call
                else:
                    self._calls[call]["wrapup"] = 0.0
            elif (wrapped := self._wrapping.pop(agent, None)) is not None:
                self._calls[wrapped]["wrapup"] = now - float(self._calls[wrapped]["end"])
        self._pacer.agent_changed(now, agent, state)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        self._pacer.agent_leaving(now, agent, leaving, at)

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self._calls[call] = {"start": now}
        self._pacer.call_started(now, call, segment)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self._calls[call] |= {"end": now, "outcome": "hung_up" if "answer" in self._calls[call] else str(outcome)}
        self._pacer.call_ended(now, call, outcome)

    def call_answered(self, now: float, call: Hashable) -> None:
        self._calls[call]["answer"] = now
        self._pacer.call_answered(now, call)

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        self._calls[call] |= {"connect": now, "outcome": "connected", "agent": f"agent {agent}"}
        self._talking[agent] = call
        self._pacer.call_connected(now, call, agent)

    def call_abandoned(self, now: float, call: Hashable) -> None:
        self._calls[call] |= {"end": now, "outcome": "abandoned"}
        self._pacer.call_abandoned(now, call)

    def decide(self, now: float) -> Decision:
        return self._pacer.decide(now)

    def snapshot(self) -> dict[str, object]:
        return self._pacer.snapshot()

    def rows(self, *, wrapup: bool) -> list[CallRow]:
        """Calls that had ended when the day did."""

        def moment(call: dict[str, float | str], name: str) -> float | None:
            return self._begins_s + float(call[name]) if name in call else None

        return [
            CallRow(
                start_s=self._begins_s + float(call["start"]),
                answer_s=moment(call, "answer"),
                end_s=self._begins_s + float(call["end"]),
                outcome=str(call["outcome"]),
                agent=str(call.get("agent", "")),
                connect_s=moment(call, "connect"),
                wrapup_s=float(call["wrapup"]) if wrapup and "wrapup" in call else None,
            )
            for call in self._calls.values()
            if "end" in call
        ]


def recorded_day(
    floor: Floor, method: str, *, seed: int = 1, wrapup: bool = True, begins_s: float = MORNING, **settings: object
) -> tuple[list[CallRow], Day]:
    """The calls of one simulated day, and what came of it."""
    recorder = _Recorder(build(method, **settings), begins_s)
    day = simulate(floor, recorder, seed=seed, decide_every_s=1.0)
    return recorder.rows(wrapup=wrapup), day


def write_calls(path: Path, rows: Sequence[CallRow], *, iso: bool = True) -> Path:
    """The rows as a CSV file, moments as RFC 3339 or unix seconds."""

    def shown(at: float | None) -> str:
        if at is None:
            return ""
        return datetime.fromtimestamp(at, UTC).isoformat() if iso else f"{at:.3f}"

    lines = ["start,answer,end,outcome,agent,connect,wrapup"]
    lines += [
        ",".join(
            [
                shown(row.start_s),
                shown(row.answer_s),
                shown(row.end_s),
                row.outcome,
                row.agent,
                shown(row.connect_s),
                "" if row.wrapup_s is None else f"{row.wrapup_s:.3f}",
            ]
        )
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
