"""Chaos: what must hold whatever dies, by scenarios with names.

    python -m benchmarks.chaos                              # all scenarios, one after the other
    python -m benchmarks.chaos node_killed ami_cut --seed 7
    python -m benchmarks.chaos --minutes 60                 # whatever there is dies, for an hour
    python -m benchmarks.chaos --real [ami_cut ...]     # on the real Asterisk of scripts/asterisk-lab
    python -m benchmarks.chaos [--real] --list

Exit code 0 where every invariant held in every scenario that could be run. `--keep` leaves logs and databases of a
scenario that failed where they are.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.chaos import real
from benchmarks.chaos.lab import Labs
from benchmarks.chaos.runner import Outcome, run
from benchmarks.chaos.scenarios import SCENARIOS, Scenario
from scripts.lab.layout import default_directory


def table(outcomes: list[Outcome], scenarios: Mapping[str, Scenario] = SCENARIOS) -> str:
    """Outcomes as they stand in docs/reliability.md."""
    lines = [
        "| scenario | what goes wrong | dialed | withdrawn | results | in flight true again after | all held |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in outcomes:
        held = f"not run: {one.skipped}" if one.skipped else "yes" if one.kept else "**no**"
        lines.append(
            f"| `{one.name}` | {scenarios[one.name].says} | {one.dialed} | {one.withdrawn} | {one.results:,} "
            f"| {one.healed_s} s | {held} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run scenarios; 0 where everything held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0.0, help="repeat everything_killed, each with the next seed")
    parser.add_argument(
        "--real", action="store_true", help="on the real Asterisk of scripts/asterisk-lab, in a lab of its own"
    )
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scenarios = real.SCENARIOS if options.real else SCENARIOS
    if options.list:
        print("\n".join(f"{name:20} {scenario.says}" for name, scenario in scenarios.items()))
        return 0
    if unknown := [name for name in options.names if name not in scenarios]:
        parser.error(f"no such scenario: {', '.join(unknown)}; --list says which there are")
    # However it is ended, nodes and servers must not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcomes: list[Outcome] = []
    with ExitStack() as ends:
        labs = ends.enter_context(Labs(default_directory()).running()) if options.real else None
        for name, seed in _turns(options.names or list(scenarios), options.seed, options.minutes):
            outcome = run(name, seed, keep=options.keep, lab=labs.next() if labs else None)
            outcomes.append(outcome)
            said = "not run" if outcome.skipped else "held" if outcome.kept else json.dumps(outcome.problems, indent=2)
            print(f"{name} (seed {seed}, {outcome.seconds} s): {said}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2))
    print(table(outcomes, scenarios))
    return int(not all(one.kept for one in outcomes))


def _turns(names: list[str], seed: int, minutes: float) -> list[tuple[str, int]] | _Repeated:
    return _Repeated(seed, minutes) if minutes else [(name, seed) for name in names]


class _Repeated:
    """everything_killed again and again, until the time is over."""

    def __init__(self, seed: int, minutes: float) -> None:
        self._seed = seed
        self._until = time.monotonic() + 60 * minutes

    def __iter__(self) -> _Repeated:
        return self

    def __next__(self) -> tuple[str, int]:
        if time.monotonic() > self._until:
            raise StopIteration
        self._seed += 1
        return "everything_killed", self._seed - 1


if __name__ == "__main__":
    sys.exit(main())
