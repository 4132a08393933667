"""A soak of the whole stack: a list is called, and a CRM that fails a tenth of the time gets every result once.

    nice -n 10 .venv/bin/python -m benchmarks.soak --calls 50000 [--postgres URL | embedded] [--fail 0.1] [--json FILE]

Exchange, Valkey, `cadencia serve` and `cadencia worker` are processes of their own; the CRM is an HTTP server that
refuses, is silent, or hangs up in the middle (`benchmarks.chaos.crm`). Every call of the list has its results on the
stream ``cadencia:results``; each of them must have arrived at the CRM under its key, unchanged, and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.chaos.rig import Plan, Site
from benchmarks.processes import wait_for
from dialer.crm.webhooks import delivery_id
from dialer.queues.result_keys import result_key

#: How long a single result may take: three failures, each followed by its delay, beside the work of a queue.
_PATIENCE_S: Final = 1_800.0


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What a soak came to."""

    calls: int
    results: int = 0
    #: Of these, not arrived; arrived with another body; arrived, and on no stream.
    missing: int = 0
    changed: int = 0
    unknown: int = 0
    #: Calls without exactly one end, in the order of the CRM's taking, or whose end came before their start.
    disordered: int = 0
    requests: int = 0
    failed: int = 0
    #: Heard again after they had been taken: the key told the CRM.
    repeated: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    calls_s: float = 0.0
    seconds: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether every result arrived exactly once by its key."""
        return not (self.missing or self.changed or self.unknown or self.disordered) and self.results > 0


def soak(
    calls: int, *, fail: float, seed: int, database: str = "sqlite", agents: int = 30, fails_at_most: int = 3
) -> Verdict:
    """Run one, in a folder of its own that is gone afterwards.

    Args:
        calls: contacts of the list, each called once.
        fail: share of the CRM's requests that fail.
        seed: of people and failures.
        database: "sqlite", "postgres" for a server of its own, or a URL.
        agents: at their desks.
        fails_at_most: how often the CRM fails one result.
    """
    folder = Path(tempfile.mkdtemp(prefix="cadencia-soak-"))
    plan = Plan(
        contacts=calls,
        agents=agents,
        calls_per_s=200.0,
        seed=seed,
        database=database,
        delivers=True,
        crm_fails=fail,
        crm_fails_at_most=fails_at_most,
        campaign=(("max_lines_per_agent", 10), ("ratio", 4.0)),
    )
    try:
        with Site(plan, folder) as site:
            return _run(site)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(site: Site) -> Verdict:
    calls = site.plan.contacts
    verdict = Verdict(calls=calls)
    begun = time.monotonic()
    site.begin()
    stream = _Stream(site)
    wait_for(lambda: stream.ended() >= calls, f"the end of {calls} calls", timeout_s=_PATIENCE_S + calls / 5)
    verdict.calls_s = time.monotonic() - begun
    taken = site.crm.taken
    wait_for(
        lambda: stream.all_in(taken),
        "the last result",
        timeout_s=_PATIENCE_S + calls / 20,
    )
    verdict.seconds = time.monotonic() - begun
    verdict.results = len(stream.results)
    verdict.missing = sum(key not in taken for key in stream.results)
    verdict.changed = sum(taken.get(key, digest) != digest for key, digest in stream.results.items())
    verdict.unknown = sum(key not in stream.results for key in taken)
    started = stream.calls
    for call in started:
        types = site.crm.by_call.get(call, [])
        ends, starts = types.count("call.ended"), types.count("call.started")
        in_order = types[:1] == ["call.started"] and "call.ended" in types
        verdict.disordered += not (ends == 1 and starts == 1 and in_order)
    verdict.disordered += len(started) != calls
    verdict.requests = site.crm.heard.total()
    verdict.failed = site.crm.failures.total()
    verdict.failures = dict(sorted(site.crm.failures.items()))
    verdict.repeated = site.crm.repeated
    return verdict


class _Stream:
    """What the dialer has told on its stream so far."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._last = "-"
        self.results: dict[str, bytes] = {}
        self.calls: set[str] = set()
        self._ended = 0

    def ended(self) -> int:
        """Calls that have ended."""
        rows: Any = self._site.client.xrange("cadencia:results", min=self._last, count=5_000)
        for entry, fields in rows:
            data = fields[b"data"]
            self._last = f"({entry.decode()}"
            self.results[delivery_id(result_key(data), self._site.crm.url)] = hashlib.sha256(data).digest()
            result = json.loads(data)
            self._ended += result["type"] == "call.ended"
            if result["type"] == "call.started":
                self.calls.add(result["call"])
        return self._ended

    def all_in(self, taken: dict[str, bytes]) -> bool:
        """Whether the CRM has everything."""
        self.ended()
        return len(taken) >= len(self.results) and all(key in taken for key in self.results)


def _table(verdict: Verdict) -> str:
    rows = [
        ("calls", f"{verdict.calls:,} in {verdict.calls_s:,.0f} s"),
        ("results", f"{verdict.results:,} in {verdict.seconds:,.0f} s"),
        ("requests to the CRM", f"{verdict.requests:,}"),
        *((f"failed: {way}", f"{count:,}") for way, count in verdict.failures.items()),
        ("heard again after it was taken, and known by its key", f"{verdict.repeated:,}"),
        ("MISSING", f"{verdict.missing:,}"),
        ("changed on the way", f"{verdict.changed:,}"),
        ("of no result", f"{verdict.unknown:,}"),
        ("calls without exactly one start and one end, in this order", f"{verdict.disordered:,}"),
    ]
    return "\n".join(("| what | figure |", "| --- | --- |", *(f"| {what} | {figure} |" for what, figure in rows)))


def main() -> int:
    """Run one; 0 where every result arrived exactly once by its key."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--fail", type=float, default=0.1, help="share of the CRM's requests that fail")
    parser.add_argument("--agents", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", default="", help="URL of an empty database, or embedded; else SQLite")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    database = {"": "sqlite", "embedded": "postgres"}.get(options.postgres, options.postgres)
    verdict = soak(options.calls, fail=options.fail, seed=options.seed, database=database, agents=options.agents)
    print(_table(verdict))
    if options.json:
        options.json.write_text(json.dumps(asdict(verdict), indent=2))
    return int(not verdict.kept)


if __name__ == "__main__":
    sys.exit(main())
