"""Call starts per second on a real Asterisk, and the dialer's CPU per call against Asterisk's own in the same run.

    scripts/asterisk-lab up
    .venv/bin/python benchmarks/real_rate.py --rates 25 50 100 150
    .venv/bin/python benchmarks/real_rate.py --mix campaign --agents 60 --rates 5 10 15 20

Each step runs `cadencia serve` with the trunk limited to a rate. The mix "short" is the hardest for the dialer: callees
who are busy, do not exist, refuse or answer for a moment, so that Asterisk has next to nothing to do for a call.
"campaign" has the callees of a real list, who ring, and answer, and talk with agents. "delay" is from the hand-over of
the originate to the INVITE's arrival at the carrier, by the carrier's own log: where it grows, Asterisk queues. SIPp's
log has milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.real_list import command, node, write_list
from benchmarks.stack import cpu_s
from scripts.lab import ledger, plan, servers
from scripts.lab.layout import DEFAULT_PORT_BASE, Layout, default_directory

_SHORT: tuple[dict[str, Any], ...] = (
    *({"kind": plan.Kind.BUSY, "ring_s": ring} for ring in (0.2, 0.5, 1.0)),
    {"kind": plan.Kind.INVALID},
    {"kind": plan.Kind.DECLINE, "ring_s": 0.5},
    {"kind": plan.Kind.UNAVAILABLE},
    *({"kind": plan.Kind.BUSY, "ring_s": ring} for ring in (0.2, 0.5)),
    {"kind": plan.Kind.INVALID},
    {"kind": plan.Kind.ANSWER, "ring_s": 0.5, "talk_s": 0.7},
)


def children_of(pid: int) -> list[int]:
    """Processes that `pid` started (the embedded Valkey)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def callees_of(mix: str, count: int, first_serial: int) -> list[plan.Callee]:
    """Whom a step calls."""
    if mix == "campaign":
        return list(plan.mixed(count, first_serial=first_serial))
    return [plan.callee(plan.number(serial=first_serial + i, **_SHORT[i % len(_SHORT)])) for i in range(count)]


def step(layout: Layout, mix: str, rate: float, seconds: float, agents: int, first_serial: int) -> dict[str, Any]:
    """One rate."""
    callees = callees_of(mix, int(rate * (seconds + 10)), first_serial)
    with tempfile.TemporaryDirectory(prefix="cadencia-rate-") as name:
        folder = Path(name)
        write_list(folder / "list.csv", callees)
        settings = folder / "campaign.toml"
        settings.write_text(
            'method = "ratio"\nratio = 20.0\nring_timeout_s = 15.0\nwrapup_limit_s = 0.1\nmax_attempts = 1\n'
            "max_lines_per_agent = 100.0\n",
            encoding="utf-8",
        )
        since = time.time()
        with node(folder, layout, cps=rate, channels=2_000) as (config, api):
            command(config, "campaign", "create", "real", "--file", str(settings))
            command(config, "list", "load", "real", str(folder / "list.csv"))
            for number in range(1, agents + 1):
                agent = f"agent{number:02d}"
                command(config, "agents", "sign-in", agent, "--phone", agent, "--campaign", "real")
            command(config, "campaign", "start", "real")
            time.sleep(3.0)
            dialer = api.pid
            asterisk = servers.status(layout)["parts"]["dialer"]
            pids = {"dialer": [dialer], "valkey": children_of(dialer), "asterisk": [asterisk]}
            before = {part: sum(map(cpu_s, found)) for part, found in pids.items()}
            begun, started = time.monotonic(), api.get("/live")["campaigns"][0]["today"]["started"]
            time.sleep(seconds)
            spent = {part: sum(map(cpu_s, found)) - before[part] for part, found in pids.items()}
            calls = api.get("/live")["campaigns"][0]["today"]["started"] - started
            took = time.monotonic() - begun
            command(config, "campaign", "stop", "real")
            time.sleep(2.0)
            ended: list[dict[str, Any]] = []
            cursor = None
            while True:
                page = api.get("/calls", campaign="real", cursor=cursor, limit=500)
                ended += page["items"]
                cursor = page["next_cursor"]
                if not cursor:
                    break
        invited = {call.number: call.invited_at for call in ledger.read(layout, since=since)}
    delays = sorted(
        invited[call["phone"][1:]] - datetime.fromisoformat(call["started_at"]).timestamp()
        for call in ended
        if call["phone"][1:] in invited
    )
    return {
        "limit_per_s": rate,
        "calls_per_s": round(calls / took, 1),
        "delay_p50_ms": round(1_000 * delays[len(delays) // 2], 1),
        "delay_p95_ms": round(1_000 * delays[int(len(delays) * 0.95)], 1),
        "asterisk_ms_per_call": round(1_000 * spent["asterisk"] / calls, 2),
        "dialer_ms_per_call": round(1_000 * spent["dialer"] / calls, 2),
        "valkey_ms_per_call": round(1_000 * spent["valkey"] / calls, 2),
        "dialer_against_asterisk": round(spent["dialer"] / spent["asterisk"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", choices=("short", "campaign"), default="short")
    parser.add_argument("--rates", type=float, nargs="+", default=[25.0, 50.0, 100.0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    directory = Path(os.environ.get("CADENCIA_LAB_DIR", default_directory())).absolute()
    layout = Layout(directory, int(os.environ.get("CADENCIA_LAB_PORT_BASE", DEFAULT_PORT_BASE)))
    rows = []
    serial = int(time.time()) % 50_000
    for rate in arguments.rates:
        rows.append(step(layout, arguments.mix, rate, arguments.seconds, arguments.agents, serial))
        serial += 10_000
        if len(rows) == 1:
            print("| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0]))
        print("| " + " | ".join(str(value) for value in rows[-1].values()) + " |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
