"""From the push of a hot lead to its originate, and from a result to the CRM's webhook, while a list is being called.

    python -m benchmarks.hot_lead [--leads 60] [--rate 8] [--json FILE]

Exchange, Valkey, `cadencia serve` and `cadencia worker` are processes of their own, as in `benchmarks.soak`. Leads come
one by one with the highest priority, on the stream of contacts; the originate is that of the exchange's ledger, which
it writes before it does anything else. A result's way runs from the moment that it tells of to the moment when the CRM
has read the request; those of the first seconds, in which the list is loaded, are not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.chaos.crm import FailingCrm
from benchmarks.chaos.rig import CAMPAIGN, Plan, Site
from benchmarks.processes import wait_for

WANTED_S: Final = 2.0
_PRIORITY: Final = 1_000
_BETWEEN_S: Final = 0.5
_SETTLING_S: Final = 5.0


class TimingCrm(FailingCrm):
    """A CRM that fails nothing and notes when it was told."""

    def __init__(self) -> None:
        super().__init__(0.0, 1, 0)
        #: Type of each result, when it happened and when it was told (unix seconds).
        self.told: list[tuple[str, float, float]] = []

    def _take(self, key: str, body: bytes) -> None:
        now = time.time()
        super()._take(key, body)
        result: dict[str, Any] = json.loads(body)
        self.told.append((result["type"], datetime.fromisoformat(result["at"]).timestamp(), now))


def measure(leads: int, rate: float) -> dict[str, list[float]]:
    """Seconds of every lead, and of every result."""
    folder = Path(tempfile.mkdtemp(prefix="cadencia-lead-"))
    listed = int(rate * (leads * _BETWEEN_S + 4 * _SETTLING_S))
    plan = Plan(contacts=listed, agents=10, calls_per_s=rate, delivers=True, campaign=(("max_attempts", 1),))
    try:
        site = Site(plan, folder)
        crm = site.crm = TimingCrm()
        with site:
            site.begin()
            time.sleep(_SETTLING_S)
            counted_from = time.time()
            pushed: dict[str, float] = {}
            for n in range(listed, listed + leads):
                lead = {"id": f"c{n}", "phones": [f"+{site.carrier.number(n)}"], "priority": _PRIORITY}
                message = json.dumps({"campaign": CAMPAIGN, "contacts": [lead]})
                pushed[site.carrier.number(n)] = time.time()
                site.client.xadd("cadencia:contacts", {"data": message})
                time.sleep(_BETWEEN_S)

            def originates() -> dict[str, float]:
                return {dialed.number: dialed.at for dialed in site.carrier.dialed() if dialed.number in pushed}

            wait_for(lambda: len(originates()) == leads, "the originate of every lead")
            dialed = originates()
            told = [then - at for _, at, then in tuple(crm.told) if at >= counted_from]
        return {
            "push to originate": [dialed[number] - at for number, at in pushed.items()],
            "result to webhook": told,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Print the table; 0 where every lead was dialed in time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=60)
    parser.add_argument("--rate", type=float, default=8.0, help="calls a second of the list, and so of everything")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.leads, options.rate)
    table = {
        what: {
            "count": len(seconds),
            **{f"p{p}_ms": round(1_000 * float(np.percentile(seconds, p)), 1) for p in (50, 99)},
        }
        for what, seconds in found.items()
    }
    print("| what | count | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    for what, row in table.items():
        print(f"| {what} | {row['count']} | {row['p50_ms']} | {row['p99_ms']} |")
    if options.json:
        options.json.write_text(json.dumps(table, indent=2))
    return int(max(found["push to originate"]) > WANTED_S)


if __name__ == "__main__":
    sys.exit(main())
