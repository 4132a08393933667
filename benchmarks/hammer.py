"""The promise under the hammer: removals and do-not-call entries against two nodes at full speed that are killed.

    nice -n 10 .venv/bin/python -m benchmarks.hammer --entries 1000000 --json hammer.json     # goes on where it stopped
    .venv/bin/python -m benchmarks.hammer --entries 6000 --sabotage early                     # must be found out

Each run starts a Valkey with an append-only file, the embedded exchange and two `cadencia serve` on one PostgreSQL, and
withdraws every contact of a list that both nodes are calling: by contact, by number, by do-not-call entry, for the
campaign and everywhere, most on the streams and some through the API. Nodes are killed (SIGKILL) at random moments and
started again, and so is Valkey. Nobody may be dialed once the write of their removal has been answered.

The verdict comes from the ledger of the exchange (`benchmarks.hammer_ledger`): an originate that stands behind the
acknowledgement of its contact's withdrawal is late. Besides, the moments at which the nodes say that they handed a call
over (`call.started`) are compared with those of the acknowledgements. Races are close where the dial was read within
10 ms before or after the acknowledgement: the more of them, the more would be found if the gate were wrong.

--sabotage early    the CRM says that it was answered 0.1 s before it writes
--sabotage open     the nodes do not hold back other clients' writes between check and hand-over (redis.strict_gate)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis

from benchmarks.hammer_crm import CAMPAIGN, Orders, digits, form, place_of, withdraw_all
from benchmarks.hammer_ledger import Entries, keep_ledger, read_entries
from benchmarks.import_list import postgres
from benchmarks.processes import ServeProcess, wait_for
from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.queues.embedded import EmbeddedServer
from dialer.simulation import OPEN_RULES
from dialer.storage import schema
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database

CLOSE_S: Final = 0.010
#: By which the clocks of two processes may differ: each is anchored once, when its process begins.
STAMPS_AGREE_S: Final = 0.001
_PUSHED_AT_ONCE: Final = 1_000
#: Lines for each agent at a desk who waits.
_RATIO: Final = 20.0
_READY: Final = f"cadencia:ready:{CAMPAIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run."""

    entries: int
    #: Of each node. Few: a node with many idle ones asks the gate for a hundred contacts at once, and their originates
    #: take so long that few of them go out close to an acknowledgement.
    agents: int = 3
    #: Mean seconds between two kills of a node, 0: none; and when in the course of the entries Valkey is killed.
    kill_every_s: float = 20.0
    kill_valkey_at: tuple[float, ...] = (0.4,)
    #: At least so many kills of nodes, however short the run.
    kills_at: tuple[float, ...] = ()
    rest_share: float = 0.03
    dialed_share: float = 0.2
    seed: int = 1
    sabotage: str = ""
    nodes: int = 2
    #: An empty database, for several nodes PostgreSQL; empty: a server of the run's own.
    database_url: str = ""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What one run, or several together, came to."""

    entries: int = 0
    dialed: int = 0
    #: Dialed after the acknowledgement: by the exchange's ledger, and by the nodes' own stamps.
    late: int = 0
    late_by_stamps: int = 0
    dialed_twice: int = 0
    close_before: int = 0
    close_after: int = 0
    by_rest: int = 0
    retries: int = 0
    kills_of_nodes: int = 0
    kills_of_valkey: int = 0
    seconds: float = 0.0
    #: Calls whose hand-over the node has told, and calls that were hung up because of the withdrawal.
    told: int = 0
    cancelled: int = 0
    #: Seconds from an acknowledgement until the ledger knows of it, the worst 99th percentile of the runs.
    fence_p99_s: float = 0.0
    #: Longest time in which a write to Redis, and one through the API, was not answered, for whatever reason.
    longest_write_s: float = 0.0
    longest_rest_s: float = 0.0
    forms: dict[str, int] = field(default_factory=dict)
    dialed_by_form: dict[str, int] = field(default_factory=dict)

    def add(self, other: Verdict) -> None:
        """Take another run in."""
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            if isinstance(value, dict):
                setattr(self, name, dict(Counter(mine) + Counter(value)))
            else:
                worst = name in {"fence_p99_s", "longest_write_s", "longest_rest_s"}
                setattr(self, name, max(mine, value) if worst else mine + value)

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.late == 0 and self.late_by_stamps == 0 and self.dialed_twice == 0


def settings(plan: Plan, *, database: str, server: EmbeddedServer, port: int, secret: str) -> str:
    """Of a node, as TOML."""
    return f"""
[database]
url = "{database}"
[redis]
url = "{server.url}"
strict_gate = {"false" if plan.sabotage == "open" else "true"}
[compliance]
rules = "{OPEN_RULES}"
[api]
port = 0
[ami]
reconnect_min_s = 0.05
reconnect_max_s = 0.2
[[asterisk]]
name = "pbx"
port = {port}
secret = "{secret}"
[[asterisk.trunks]]
name = "carrier"
max_channels = 10000
max_calls_per_second = 2000.0
"""


class Run:
    """One Valkey, one exchange, one CRM and two nodes."""

    def __init__(self, plan: Plan, folder: Path, database_url: str) -> None:
        self._plan = plan
        self._folder = folder
        self._database_url = database_url
        self._random = random.Random(plan.seed)
        self._context = multiprocessing.get_context("spawn")
        #: Originates so far, the contact of the last one, and contacts withdrawn.
        self._progress = self._context.RawArray("q", 3)
        self._server = EmbeddedServer(folder / "redis")
        self._nodes: list[ServeProcess] = []
        self._verdict = Verdict(entries=plan.entries)

    def __call__(self) -> Verdict:
        """From nothing to the verdict."""
        secret = secrets.token_urlsafe(12)
        asyncio.run(self._prepare_record())
        self._server.start()
        port, over = self._context.Pipe()
        ledger = self._context.Process(target=keep_ledger, args=(secret, self._folder, over, self._progress))
        crm: Any = None
        try:
            ledger.start()
            over.close()
            address = port.recv()
            text = settings(self._plan, database=self._database_url, server=self._server, port=address, secret=secret)
            self._nodes = [ServeProcess(self._folder, f"n{k + 1}", text) for k in range(self._plan.nodes)]
            for node in self._nodes:
                node.start()
            self._load()
            for node in self._nodes:
                node.wait_up()
            orders = Orders(
                redis_url=self._server.url,
                nodes=tuple(node.known for node in self._nodes),
                folder=self._folder,
                entries=self._plan.entries,
                rest_share=self._plan.rest_share,
                dialed_share=self._plan.dialed_share,
                seed=self._plan.seed,
                early=self._plan.sabotage == "early",
            )
            crm = self._context.Process(target=withdraw_all, args=(orders, self._progress))
            crm.start()
            wait_for((self._folder / "writing").exists, "the CRM", crm.is_alive)
            for node in self._nodes:
                node.sign_in(self._plan.agents, CAMPAIGN)
            begun = time.monotonic()
            self._disturb(crm)
            crm.join()
            if crm.exitcode != 0:
                raise RuntimeError("the CRM has failed")
            self._verdict.seconds = time.monotonic() - begun
            for node in self._nodes:
                node.stop()
            started = self._told()
        finally:
            for node in self._nodes:
                node.kill()
            if crm is not None and crm.is_alive():
                crm.kill()
            port.close()
            ledger.join(30)
            self._server.stop()
        return self._judge(read_entries(self._folder / "ledger.npz"), started)

    # ---- before

    async def _prepare_record(self) -> None:
        database = Database(self._database_url)
        await schema.migrate(database)
        campaign = parse_campaign(
            {
                "id": CAMPAIGN,
                "method": "ratio",
                "ratio": _RATIO,
                "max_lines": 20_000,
                "max_lines_per_agent": 100,
                "max_attempts": 1,
            }
        )
        await Campaigns(database).create(campaign, time.time(), CampaignState.RUNNING)
        await database.close()

    def _load(self) -> None:
        """The list, as a CRM pushes it; it is taken in while no agent is there."""
        client = self._client()
        for start in range(0, self._plan.entries, _PUSHED_AT_ONCE):
            contacts = [
                {"id": f"c{n}", "phones": [f"+{digits(n)}"]}
                for n in range(start, min(start + _PUSHED_AT_ONCE, self._plan.entries))
            ]
            client.xadd("cadencia:contacts", {"data": json.dumps({"campaign": CAMPAIGN, "contacts": contacts})})
        there = 0
        while there < self._plan.entries:
            # Patience begins anew with each that comes.
            wait_for(partial(self._more_than, client, there), "contacts in the hopper")
            there = int(client.zcard(_READY))
        client.close()

    @staticmethod
    def _more_than(client: redis.Redis, there: int) -> bool:
        return int(client.zcard(_READY)) > there

    # ---- while it runs

    def _disturb(self, crm: Any) -> None:
        """Kill nodes and Valkey at their moments until the CRM is done."""
        plan = self._plan
        node_at, valkey_at = list(plan.kills_at), list(plan.kill_valkey_at)
        next_kill = self._next_kill()
        while crm.is_alive():
            time.sleep(0.005)
            done = self._progress[2] / plan.entries
            if (node_at and done >= node_at[0]) or time.monotonic() >= next_kill:
                node_at = node_at[1:]
                self._kill_node()
                next_kill = self._next_kill()
            if valkey_at and done >= valkey_at[0]:
                valkey_at = valkey_at[1:]
                self._server.kill()
                self._server.start()
                self._verdict.kills_of_valkey += 1

    def _next_kill(self) -> float:
        if self._plan.kill_every_s <= 0:
            return float("inf")
        return time.monotonic() + self._random.uniform(0.5, 1.5) * self._plan.kill_every_s

    def _kill_node(self) -> None:
        node = self._random.choice(self._nodes)
        node.kill()
        self._verdict.kills_of_nodes += 1
        node.start()
        node.wait_up()
        node.sign_in(self._plan.agents, CAMPAIGN)

    # ---- afterwards

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self._server.url, protocol=2)

    def _told(self) -> dict[int, float]:
        """When the nodes say that they handed calls over: digits -> unix seconds; and what the CRM was told besides."""
        client: Any = self._client()
        started, last = dict[int, float](), "-"
        while rows := client.xrange("cadencia:results", min=last, count=10_000):
            for _, fields in rows:
                result = json.loads(fields[b"data"])
                if result["type"] == "call.started":
                    at = datetime.fromisoformat(result["at"]).timestamp()
                    started[int(result["phone"][1:])] = at
                elif result["type"] == "call.ended":
                    self._verdict.cancelled += result["outcome"] == "cancelled"
            last = f"({rows[-1][0].decode()}"
        client.close()
        return started

    def _judge(self, ledger: Entries, started: dict[int, float]) -> Verdict:
        verdict, plan = self._verdict, self._plan
        with np.load(self._folder / "answered.npz") as kept:
            answered = {name: kept[name] for name in kept.files}
        seen: set[int] = set()
        for position, number in enumerate(ledger.numbers):
            n = place_of(int(number))
            verdict.dialed_twice += n in seen
            seen.add(n)
            verdict.late += bool(position >= ledger.before[answered["fence"][n]])
            ahead_s = float(answered["at"][n] - ledger.at[position])
            verdict.close_before += 0.0 <= ahead_s <= CLOSE_S
            verdict.close_after += -CLOSE_S <= ahead_s < 0.0
            told = started.get(int(number))
            if told is not None:
                verdict.told += 1
                verdict.late_by_stamps += bool(told > answered["wall"][n] + STAMPS_AGREE_S)
        verdict.dialed = len(ledger.numbers)
        verdict.forms = dict(Counter(form(n) for n in range(plan.entries)))
        verdict.dialed_by_form = dict(Counter(form(place_of(int(number))) for number in ledger.numbers))
        verdict.by_rest, verdict.retries = int(answered["by_rest"]), int(answered["retries"])
        verdict.longest_write_s = float(answered["longest_s"])
        verdict.longest_rest_s = float(answered["longest_rest_s"])
        moments = np.unique(np.stack([answered["fence"].astype(float), answered["at"]]), axis=1)
        verdict.fence_p99_s = float(np.percentile(ledger.fenced_at - moments[1], 99))
        return verdict


def hammer(plan: Plan) -> Verdict:
    """One run, in a folder of its own that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cadencia-hammer-"))
    try:
        with postgres(plan.database_url or "embedded", folder) as database_url:
            return Run(plan, folder, database_url)()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---- the command


def _table(total: Verdict) -> str:
    rows = [
        ("removals and do-not-call entries", f"{total.entries:,}"),
        ("of them through the API", f"{total.by_rest:,}"),
        ("originates in the exchange's ledger", f"{total.dialed:,}"),
        ("dial read within 10 ms before the acknowledgement", f"{total.close_before:,}"),
        ("dial read within 10 ms after it, but sent before", f"{total.close_after - total.late:,}"),
        ("ringing calls hung up", f"{total.cancelled:,}"),
        ("nodes killed and started again", f"{total.kills_of_nodes:,}"),
        ("Valkey killed and started again", f"{total.kills_of_valkey:,}"),
        ("writes repeated, not having been answered", f"{total.retries:,}"),
        ("longest time without an answer of Redis", f"{total.longest_write_s:.2f} s"),
        ("the same of the API, with both nodes killed now and then", f"{total.longest_rest_s:.2f} s"),
        ("acknowledgement to its place in the ledger, p99", f"{1_000 * total.fence_p99_s:.1f} ms"),
        ("hand-overs compared by the nodes' stamps", f"{total.told:,}"),
        ("seconds", f"{total.seconds:,.0f}"),
        *(
            (f"dialed / withdrawn as {name}", f"{total.dialed_by_form.get(name, 0):,} / {n:,}")
            for name, n in total.forms.items()
        ),
        ("DIALED AFTER THE ACKNOWLEDGEMENT, by the ledger", f"{total.late:,}"),
        ("the same by the nodes' stamps", f"{total.late_by_stamps:,}"),
        ("dialed twice", f"{total.dialed_twice:,}"),
    ]
    return "\n".join(("| what | figure |", "| --- | --- |", *(f"| {what} | {figure} |" for what, figure in rows)))


def _kept(path: Path | None) -> list[Verdict]:
    """Runs of before."""
    if path is None or not path.exists():
        return []
    return [Verdict(**run) for run in json.loads(path.read_text())["runs"]]


def main() -> int:
    """Run until the entries are reached; 0 where the promise was kept (with --sabotage: where it was found broken)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000, help="in all runs together")
    parser.add_argument("--run", type=int, default=100_000, help="entries of one run")
    parser.add_argument("--agents", type=int, default=3, help="of each node")
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="S", help="seconds between kills of a node")
    parser.add_argument("--dialed-share", type=float, default=0.2, help="of the contacts, before their withdrawal")
    parser.add_argument("--sabotage", choices=("early", "open"), default="")
    parser.add_argument("--json", type=Path, help="the runs so far; what is there already counts")
    options = parser.parse_args()
    # However it is ended, nodes and servers must not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs = _kept(options.json)
    total = Verdict()
    for run in runs:
        total.add(run)
    while total.entries < options.entries:
        plan = Plan(
            entries=min(options.run, options.entries - total.entries),
            agents=options.agents,
            kill_every_s=options.kill_every,
            dialed_share=options.dialed_share,
            seed=len(runs) + 1,
            sabotage=options.sabotage,
        )
        runs.append(hammer(plan))
        total.add(runs[-1])
        if options.json:
            options.json.write_text(
                json.dumps({"runs": [asdict(run) for run in runs], "total": asdict(total)}, indent=2)
            )
        print(f"{total.entries:,} entries, {total.dialed:,} dialed, {total.late} late", file=sys.stderr, flush=True)
    print(_table(total))
    return int(total.kept is bool(options.sabotage))


if __name__ == "__main__":
    sys.exit(main())
