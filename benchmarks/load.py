"""A full floor for an hour: 1,000 agents and 3,000 calls in flight through the whole stack, paced by `predictive`.

    make load                                                     # an hour
    .venv/bin/python -m benchmarks.load --minutes 5 --agents 200  # a look

Exchange, Valkey, `cadencia serve` and `cadencia worker` are processes of their own. The list goes in through the API
and the worker; agents sign in through the API, and a CRM that listens to the node's server-sent events closes each of
their calls with a code when the agent has wrapped up. Every minute a line is sampled: calls in flight, memory of every
process, the event loop's lag (from the node's own metric), abandonment. The verdict at the end:

memory         of the node: what a line through the samples of the last three quarters grows in an hour, and how sure
loop lag       the bucket of the node's histogram that holds the 99th percentile, over the minutes after the first ten
abandonment    of live answers, since the start
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from benchmarks.import_list import postgres
from benchmarks.processes import Command, ServeProcess
from benchmarks.stack import cpu_s, rss_mb
from dialer.campaigns import parse_campaign
from dialer.client.aio import AsyncClient
from dialer.client.wire import get, send
from dialer.core.campaign import CampaignState
from dialer.queues.embedded import EmbeddedServer
from dialer.simulation import OPEN_RULES
from dialer.simulation.distributions import LogNormal
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import REALISTIC
from dialer.simulation.world import AgentProfile, Profile, Reaction, World
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.schema import upgrade

CAMPAIGN: Final = "load"
#: Ringing of real calls, of which half are never answered, and talks so short that a thousand agents keep three
#: thousand calls in flight.
PROFILE: Final[Profile] = replace(
    REALISTIC,
    name="load",
    mix={
        Reaction.PERSON: 0.2,
        Reaction.HASTY: 0.02,
        Reaction.MACHINE: 0.05,
        Reaction.NO_ANSWER: 0.5,
        Reaction.BUSY: 0.1,
        Reaction.UNAVAILABLE: 0.05,
        Reaction.INVALID: 0.05,
        Reaction.REJECTED: 0.02,
        Reaction.SILENT: 0.01,
    },
    talk=LogNormal(22.0, 0.9),
    agents=AgentProfile(wrapup=LogNormal(6.0, 0.5)),
    objects=0.0,
    by_hour=(),
)
WANTED: Final = {"lag_p99_s": 0.02, "abandonment": 0.03}
_SECRET_VARIABLE: Final = "CADENCIA_EXCHANGE_SECRET"
_SAMPLE_S: Final = 60.0
#: Settling: filling queues, learning, caches. Not counted for lag and memory.
_SETTLING_SHARE: Final = 0.25
_SETTLING_AT_MOST_S: Final = 600.0
_SIGN_IN_AT_ONCE: Final = 20
_BACK_AT_THE_PHONE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one look at the floor showed."""

    #: Seconds since the campaign was started.
    at_s: float
    started: int
    in_flight: int
    idle_agents: int
    live_answers: int
    abandoned: int
    occupancy: float
    rss_mb: Mapping[str, float]
    cpu_s: Mapping[str, float]
    #: Cumulative counts of the node's lag histogram, by upper bound in seconds.
    lag: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What an hour came to."""

    agents: int
    minutes: float
    calls: int = 0
    calls_per_s: float = 0.0
    in_flight_mean: float = 0.0
    in_flight_most: int = 0
    live_answers: int = 0
    abandoned: int = 0
    abandonment: float = 0.0
    occupancy: float = 0.0
    #: Seconds, median and 99th percentile: from the end of a call to its event at the CRM, and from the CRM's
    #: disposition to the answer.
    told_s: tuple[float, float] = (0.0, 0.0)
    closed_s: tuple[float, float] = (0.0, 0.0)
    disposed: int = 0
    refused_dispositions: int = 0
    #: The 99th percentile lies in this bucket: above the first, at most the second.
    lag_p99_s: tuple[float, float] = (0.0, 0.0)
    #: Share of wake-ups that came later than 20 ms.
    late_share: float = 0.0
    #: By process: first and last counted sample, growth in an hour with its standard error.
    memory_mb: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    cpu_share: dict[str, float] = field(default_factory=dict)
    cpu_ms_per_call: dict[str, float] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether lag and abandonment are within what is wanted."""
        return self.lag_p99_s[1] <= WANTED["lag_p99_s"] and self.abandonment <= WANTED["abandonment"]


# ---- the exchange, a process of its own


async def _serve_exchange(seed: int) -> None:
    exchange = Exchange(World(PROFILE, seed), secret=os.environ[_SECRET_VARIABLE], port=0)
    async with exchange:
        sys.stdout.write(f"{exchange.port}\n")
        sys.stdout.flush()
        # Whoever started it holds the other end.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def _exchange(seed: int, secret: str) -> Iterator[tuple[int, int]]:
    """Its process and port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", "--exchange", "--seed", str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, _SECRET_VARIABLE: secret, "PYTHONASYNCIODEBUG": ""},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


# ---- agents and their CRM


class Crm:
    """Closes agents' calls with codes, as long after their ends as the agents wrap up."""

    def __init__(self, client: AsyncClient, world: World) -> None:
        self._client = client
        self._world = world
        self._closing: set[asyncio.Task[None]] = set()
        self.disposed = 0
        self.refused: Counter[str] = Counter()
        #: Seconds from the end of a call to its event, and from a request that closes a call to its answer.
        self.told_s: list[float] = []
        self.closed_s: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async for event in self._client.events(types="call.ended"):
                agent, call = event.data.get("agent"), event.data.get("call")
                if agent is not None and call is not None:
                    self.told_s.append(time.time() - datetime.fromisoformat(event.data["at"]).timestamp())
                    task = asyncio.ensure_future(self._close(str(call), str(agent)))
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
        finally:
            for task in self._closing:
                task.cancel()

    async def _close(self, call: str, agent: str) -> None:
        u = self._world.uniforms("wrap-up", call)
        await asyncio.sleep(self._world.profile.agents.wrapup.at(u[0]))
        code = "SALE" if u[1] < 0.15 else "NO_SALE"
        asked = time.perf_counter()
        try:
            await self._client.request(send("POST", "/dispositions", {"call": call, "code": code, "agent": agent}))
            self.closed_s.append(time.perf_counter() - asked)
            self.disposed += 1
        except Exception as error:  # an hour is not thrown away for one answer; it is counted
            self.refused[str(error)[:200]] += 1


async def _sign_in(client: AsyncClient, agents: int) -> None:
    gate = asyncio.Semaphore(_SIGN_IN_AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            body = {"phone": name, "campaigns": [CAMPAIGN]}
            await client.request(send("POST", f"/agents/{name}/sign-in", body))

    await asyncio.gather(*(one(f"a{number:04d}") for number in range(agents)))


async def _pick_up_again(client: AsyncClient) -> None:
    """Whose phone was lost picks it up again, as somebody at a desk would."""
    while True:
        await asyncio.sleep(_BACK_AT_THE_PHONE_S)
        for agent in (await client.request(get("/agents")))["items"]:
            if agent["state"] == "lost":
                body = {"phone": agent["id"], "campaigns": [CAMPAIGN]}
                await client.request(send("POST", f"/agents/{agent['id']}/sign-in", body))


async def _load_list(client: AsyncClient, folder: Path, contacts: int) -> None:
    path = folder / "list.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("id,phone,name\n")
        file.writelines(f"c{n},+34{600_000_000 + n},Contact {n}\n" for n in range(contacts))
    told = await client.upload(CAMPAIGN, path)
    while told["state"] in {"waiting", "running"}:
        await asyncio.sleep(1.0)
        told = await client.list_import(told["id"])
    if told["state"] != "done":
        raise RuntimeError(f"the list was not taken: {told}")


# ---- looking


class Watch:
    """Looks at the floor and at the processes."""

    def __init__(self, client: AsyncClient, metrics: aiohttp.ClientSession, pids: Mapping[str, int]) -> None:
        self._client = client
        self._metrics = metrics
        self._pids = pids
        self.samples: list[Sample] = []

    async def look(self, at_s: float) -> Sample:
        """One sample."""
        live = await self._client.request(get("/live"))
        (row,) = (row for row in live["campaigns"] if row["id"] == CAMPAIGN)
        kept = row["abandonment"]
        sample = Sample(
            at_s=round(at_s, 1),
            started=row["today"]["started"],
            in_flight=sum(row["calls"].values()),
            idle_agents=row["agents"].get("idle", 0),
            live_answers=kept["day_live_answers"],
            abandoned=kept["day_abandoned"],
            occupancy=row["occupancy"] or 0.0,
            rss_mb={name: round(rss_mb(pid), 1) for name, pid in self._pids.items()},
            cpu_s={name: cpu_s(pid) for name, pid in self._pids.items()},
            lag=await self._lag(),
        )
        self.samples.append(sample)
        return sample

    async def _lag(self) -> dict[str, float]:
        async with self._metrics.get("/metrics") as answer:
            text = await answer.text()
        start = 'cadencia_event_loop_lag_seconds_bucket{le="'
        rows = (line.removeprefix(start) for line in text.splitlines() if line.startswith(start))
        return {bound: float(count) for bound, _, count in (row.partition('"} ') for row in rows)}


def judge(samples: list[Sample], agents: int, minutes: float) -> Verdict:
    """The verdict on samples in the order of time."""
    settled = min(_SETTLING_AT_MOST_S, _SETTLING_SHARE * samples[-1].at_s)
    counted = [sample for sample in samples if sample.at_s >= settled]
    first, last = counted[0], counted[-1]
    seconds = last.at_s - first.at_s
    calls = last.started - first.started
    verdict = Verdict(
        agents=agents,
        minutes=minutes,
        calls=last.started,
        calls_per_s=round(calls / seconds, 1),
        in_flight_mean=round(float(np.mean([sample.in_flight for sample in counted])), 1),
        in_flight_most=max(sample.in_flight for sample in counted),
        live_answers=last.live_answers,
        abandoned=last.abandoned,
        abandonment=round(last.abandoned / max(1, last.live_answers), 5),
        occupancy=round(float(np.mean([sample.occupancy for sample in counted])), 4),
    )
    late = {float(bound): last.lag[bound] - first.lag[bound] for bound in last.lag}
    total = late[float("inf")]
    below = 0.0
    for bound in sorted(late):
        if late[bound] >= 0.99 * total:
            verdict.lag_p99_s = (below, bound)
            break
        below = bound
    verdict.late_share = round(1.0 - late[0.02] / total, 5)
    for name in last.rss_mb:
        memory = np.array([sample.rss_mb[name] for sample in counted])
        hours = np.array([sample.at_s for sample in counted]) / 3_600
        growth, error = _slope(hours, memory)
        verdict.memory_mb[name] = (float(memory[0]), float(memory[-1]), round(growth, 2), round(error, 2))
        spent = last.cpu_s[name] - first.cpu_s[name]
        verdict.cpu_share[name] = round(spent / seconds, 3)
        verdict.cpu_ms_per_call[name] = round(1_000 * spent / max(1, calls), 3)
    return verdict


def _spread(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    if not seconds:
        return 0.0, 0.0
    median, late = np.percentile(seconds, [50, 99])
    return round(float(median), 4), round(float(late), 4)


def _slope(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Of the least-squares line, with its standard error (neighbouring samples taken as independent)."""
    dx, dy = x - x.mean(), y - y.mean()
    if len(x) < 3 or not float(dx @ dx):
        return 0.0, 0.0
    slope = float(dx @ dy / (dx @ dx))
    rest = dy - slope * dx
    return slope, float(np.sqrt(rest @ rest / (len(x) - 2) / (dx @ dx)))


# ---- one run


async def _make_campaign(database_url: str) -> None:
    campaign = parse_campaign(
        {
            "id": CAMPAIGN,
            "method": "predictive",
            "max_lines": 20_000,
            "max_attempts": 1,
            "wrapup_limit_s": 120.0,
        }
    )
    database = Database(database_url)
    try:
        await Campaigns(database).create(campaign, time.time(), CampaignState.STOPPED)
    finally:
        await database.close()


def _toml(database_url: str, redis_url: str, ami_port: int, secret: str) -> str:
    return f"""
[database]
url = "{database_url}"
[redis]
url = "{redis_url}"
[compliance]
rules = "{OPEN_RULES}"
[api]
port = 0
open_metrics = true
requests_per_s = 2000.0
[[asterisk]]
name = "pbx"
port = {ami_port}
secret = "{secret}"
[[asterisk.trunks]]
name = "carrier"
max_channels = 20000
max_calls_per_second = 250.0
"""


async def _drive(node: ServeProcess, pids: Mapping[str, int], options: argparse.Namespace, folder: Path) -> Verdict:
    found = json.loads(node.known.read_text(encoding="utf-8"))
    seconds = 60.0 * options.minutes
    async with (
        AsyncClient(found["api_url"], found["api_key"]) as client,
        aiohttp.ClientSession(found["api_url"]) as metrics,
    ):
        watch = Watch(client, metrics, pids)
        # Four calls for each that is answered, answers as often as the agents can take them: with room to spare.
        contacts = options.contacts or int((seconds + 120.0) * options.agents * 0.16) + 5_000
        await _load_list(client, folder, contacts)
        crm = Crm(client, World(PROFILE, options.seed))
        working = [asyncio.ensure_future(crm.run())]
        await _sign_in(client, options.agents)
        working.append(asyncio.ensure_future(_pick_up_again(client)))
        await client.order(CAMPAIGN, "start")
        began = time.monotonic()
        try:
            while (passed := time.monotonic() - began) < seconds:
                await asyncio.sleep(min(_SAMPLE_S, max(5.0, seconds / 20), seconds - passed))
                sample = await watch.look(time.monotonic() - began)
                _say(sample)
                print(
                    f"          told {_spread(crm.told_s[-1000:])} s, closed {_spread(crm.closed_s[-1000:])} s",
                    flush=True,
                )
                for task in working:
                    if task.done():
                        task.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        verdict = judge(watch.samples, options.agents, options.minutes)
        verdict.told_s, verdict.closed_s = _spread(crm.told_s), _spread(crm.closed_s)
        verdict.disposed, verdict.refused_dispositions = crm.disposed, crm.refused.total()
        for why, count in crm.refused.most_common(5):
            print(f"not closed: {count} times {why}", flush=True)
        if options.samples:
            options.samples.write_text(json.dumps([asdict(sample) for sample in watch.samples]))
        return verdict


def _say(sample: Sample) -> None:
    ratio = sample.abandoned / max(1, sample.live_answers)
    memory = ", ".join(f"{name} {mb:.0f}" for name, mb in sample.rss_mb.items())
    print(
        f"{sample.at_s:6.0f} s: {sample.started} calls, {sample.in_flight} in flight, {sample.idle_agents} idle, "
        f"occupancy {sample.occupancy:.3f}, {sample.abandoned}/{sample.live_answers} lost ({ratio:.2%}), MB: {memory}",
        flush=True,
    )


def run(options: argparse.Namespace) -> Verdict:
    """Start everything, and drive it."""
    secret = secrets.token_urlsafe(12)
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="cadencia-load-")))
        url = f"sqlite:///{folder / 'cadencia.db'}"
        if options.postgres:
            url = ends.enter_context(postgres(options.postgres, folder))
        upgrade(url)
        asyncio.run(_make_campaign(url))
        valkey = EmbeddedServer(folder / "redis")
        valkey.start()
        ends.callback(valkey.stop)
        exchange, port = ends.enter_context(_exchange(options.seed, secret))
        settings = _toml(url, valkey.tcp_url, port, secret)
        node = ServeProcess(folder, "n1", settings)
        ends.callback(node.stop)
        node.start()
        node.wait_up()
        home = folder / "worker.toml"
        home.write_text(f'node = "worker"\ndata_dir = "{node.config.parent / "var"}"\n{settings}', encoding="utf-8")
        worker = Command(folder, "worker", ["-m", "dialer.cli", "worker", "--config", str(home)])
        ends.callback(worker.stop)
        worker.start()
        assert node.pid is not None
        assert worker.pid is not None
        assert valkey.pid is not None
        pids = {"node": node.pid, "exchange": exchange, "valkey": valkey.pid, "worker": worker.pid}
        return asyncio.run(_drive(node, pids, options, folder))


def _table(verdict: Verdict) -> str:
    rows = [(key, value) for key, value in asdict(verdict).items() if not isinstance(value, dict)]
    rows += [
        (f"{key} {name}", value)
        for key in ("memory_mb", "cpu_share", "cpu_ms_per_call")
        for name, value in asdict(verdict)[key].items()
    ]
    return "\n".join(("| what | figure |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows)))


def main() -> int:
    """Run one; 0 where lag and abandonment are within what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--agents", type=int, default=1_000)
    parser.add_argument("--contacts", type=int, default=0, help="0: enough for so many minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", default="", help="URL of an empty database, or embedded; else SQLite")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--samples", type=Path, help="every minute's figures, as JSON")
    parser.add_argument("--exchange", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.exchange:
        asyncio.run(_serve_exchange(options.seed))
        return 0
    verdict = run(options)
    print(_table(verdict))
    if options.json:
        options.json.write_text(json.dumps(asdict(verdict), indent=2))
    return int(not verdict.kept)


if __name__ == "__main__":
    sys.exit(main())
