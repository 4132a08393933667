"""Everything real around the nodes of one scenario: Valkey, a database, carrier, CRM, workers, and proxies between.

Each part is a process of its own and can be killed and started again; the CRM is a thread of this one. `Site` has the
hands of an operator and of a CRM, and remembers what it was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import redis

from benchmarks.chaos.carrier import Carrier
from benchmarks.chaos.crm import FailingCrm
from benchmarks.chaos.failover import Standby
from benchmarks.chaos.lab import Lab
from benchmarks.chaos.proxy import FaultyProxy
from benchmarks.chaos.telephony import Telephony
from benchmarks.import_list import postgres
from benchmarks.processes import ROOT, Command, ServeProcess, wait_for
from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.errors import DialerError
from dialer.queues.connection import connect_blocking
from dialer.queues.embedded import EmbeddedServer
from dialer.simulation import OPEN_RULES
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.schema import upgrade

CAMPAIGN: Final = "chaos"
#: A message of the CRM that Redis does not take is written again after this.
_AGAIN_S: Final = 0.05
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a scenario needs around it."""

    contacts: int
    nodes: int = 1
    #: Of each node.
    agents: int = 6
    #: Of all trunks of a node together.
    calls_per_s: float = 40.0
    seed: int = 1
    #: URL of an empty database; "sqlite": a file; "postgres": a server of its own.
    database: str = "sqlite"
    #: What the nodes reach through a proxy: redis, ami, database.
    proxied: frozenset[str] = frozenset()
    #: Whether a replica and Sentinels stand by, through which nodes find their Redis.
    standby: bool = False
    #: Whether workers deliver results to the CRM, and the share of requests that the CRM fails.
    delivers: bool = False
    crm_fails: float = 0.0
    #: How often it fails one result, at most: 5, 30 and 120 seconds lie between the tries.
    crm_fails_at_most: int = 3
    #: Whether the CRM closes every talk with a code.
    closes: bool = False
    #: Settings of the campaign besides.
    campaign: tuple[tuple[str, object], ...] = ()
    #: Interpreter's arguments of a node in place of ``-m dialer.cli``.
    launcher: tuple[str, ...] = ("-m", "dialer.cli")
    #: Nodes are called this and 1, 2, ...: one that shares its Asterisk needs a name of its own.
    node_name: str = "n"
    #: Folder of the node's database; None: beside everything else.
    database_folder: Path | None = None
    #: Of what nodes and worker run in the beginning, and of what made the tables.
    sources: Path = ROOT


@dataclass(slots=True)
class Asked:
    """What the CRM asked for and was acknowledged."""

    #: Contacts by their place in the list.
    pushed: set[int] = field(default_factory=set)
    #: When each was withdrawn (unix seconds, after the acknowledgement).
    withdrawn: dict[int, float] = field(default_factory=dict)
    #: Codes for talks: id of the message -> call.
    codes: dict[str, str] = field(default_factory=dict)


class Site:
    """One scenario's parts; use as a context.

    Args:
        plan: what there is.
        folder: for everything; its path must be short, since sockets are in it.
        carrier: in place of an embedded exchange.
    """

    def __init__(self, plan: Plan, folder: Path, carrier: Telephony | None = None) -> None:
        self.plan = plan
        self.folder = folder
        self.asked = Asked()
        self.valkey = EmbeddedServer(folder / "redis")
        self.carrier = carrier or Carrier(folder, plan.seed)
        self.crm = FailingCrm(plan.crm_fails, plan.seed, plan.crm_fails_at_most)
        self.proxies: dict[str, FaultyProxy] = {}
        self.nodes: list[ServeProcess] = []
        self.database_url = ""
        self.standby: Standby | None = None
        self._settings = ""
        self._ends = ExitStack()
        self._client: Any = None
        #: Numbers of calls that have been told to begin, and where in the results the next may stand.
        self._called: dict[str, str] = {}
        self._told_to = "-"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _start(self) -> None:
        plan, ends = self.plan, self._ends
        if plan.database == "sqlite":
            self.database_url = f"sqlite:///{(plan.database_folder or self.folder) / 'cadencia.db'}"
        else:
            given = "embedded" if plan.database == "postgres" else plan.database
            self.database_url = ends.enter_context(postgres(given, self.folder))
        self.upgrade_database(plan.sources)
        asyncio.run(self._make_campaign())
        ends.enter_context(self.crm)
        self.valkey.start()
        ends.callback(self.valkey.stop)
        if plan.standby:
            self.standby = ends.enter_context(Standby(self.valkey, self.folder))
        self.carrier.start()
        ends.callback(self.carrier.stop)
        self._settings = self._toml()
        settings = self.folder / "worker.toml"
        settings.write_text(f'node = "worker"\ndata_dir = "{self.folder / "w"}"\n{self._settings}', encoding="utf-8")
        arguments = ["-m", "dialer.cli", "worker", "--config", str(settings)]
        self.worker = Command(self.folder, "worker", arguments, sources=plan.sources)
        ends.callback(self.worker.kill)
        if plan.delivers:
            self.worker.start()
        for k in range(plan.nodes):
            phones = self.carrier.phones(k, plan.agents)
            name = f"{plan.node_name}{k + 1}"
            node = ServeProcess(self.folder, name, self._settings, plan.launcher, phones, plan.sources)
            self.nodes.append(node)
            ends.callback(node.kill)
            node.start()
            # One after the other: a file of SQLite is made by the first.
            node.wait_up()

    def upgrade_database(self, sources: Path = ROOT) -> None:
        """`cadencia db upgrade` of those sources.

        Raises:
            RuntimeError: it does not.
        """
        if sources == ROOT:
            upgrade(self.database_url)
            return
        environ = {**os.environ, "PYTHONPATH": str(sources), "CADENCIA_DATABASE__URL": self.database_url}
        command = [sys.executable, "-m", "dialer.cli", "db", "upgrade"]
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the tables of {sources} cannot be made: {done.stdout}{done.stderr}")

    async def _make_campaign(self) -> None:
        """It runs from the beginning, so that every node that starts has it."""
        settings = {
            "id": CAMPAIGN,
            "method": "ratio",
            "ratio": 3.0,
            "max_lines_per_agent": 20,
            "wrapup_limit_s": 0.05,
            "max_attempts": 1,
            **dict(self.plan.campaign),
        }
        database = Database(self.database_url)
        try:
            await Campaigns(database).create(parse_campaign(settings), time.time(), CampaignState.RUNNING)
        finally:
            await database.close()

    def _toml(self) -> str:
        plan = self.plan
        ports = {"ami": self.carrier.port, "redis": self._redis_port}
        for name in plan.proxied & set(ports):
            proxy = self._ends.enter_context(FaultyProxy("127.0.0.1", ports[name]))
            self.proxies[name] = proxy
            ports[name] = proxy.port
        database = self.database_url
        if "database" in plan.proxied:
            host, port, rebuilt = _postgres_address(database)
            self.proxies["database"] = self._ends.enter_context(FaultyProxy(host, port))
            database = rebuilt(self.proxies["database"].port)
        login = self.valkey.tcp_url.rpartition("@")[0]
        redis_url = f"{login}@127.0.0.1:{ports['redis']}/0" if self.standby is None else self.standby.url
        webhooks = f'[[webhooks]]\nurl = "{self.crm.url}"\nsecret = "a secret"\ntimeout_s = 1.0\n'
        return f"""
[database]
url = "{database}"
[redis]
url = "{redis_url}"
[compliance]
rules = "{OPEN_RULES}"
[api]
port = 0
[outbound]
internal = ["127.0.0.0/8"]
[ami]
reconnect_min_s = 0.05
reconnect_max_s = 0.5
{webhooks if plan.delivers else ""}
[[asterisk]]
name = "pbx"
port = {ports["ami"]}
secret = "{self.carrier.secret}"
[[asterisk.trunks]]
name = "carrier"
max_channels = 2000
max_calls_per_second = {plan.calls_per_s}
"""

    @property
    def _redis_port(self) -> int:
        return int(self.valkey.tcp_url.rpartition(":")[2].partition("/")[0])

    # ---- the CRM

    @property
    def client(self) -> Any:
        """A client of Valkey that no proxy disturbs; it gets an answer or an error within two seconds."""
        if self._client is None:
            url = self.valkey.url if self.standby is None else self.standby.url
            self._client = connect_blocking(url, protocol=2, socket_timeout=2.0)
        return self._client

    def until_acknowledged(self, write: Callable[[], Any]) -> Any:
        """Write again and again until Redis has taken it."""
        while True:
            try:
                return write()
            except (redis.RedisError, OSError):
                time.sleep(_AGAIN_S)

    def push(self, count: int) -> None:
        """The next contacts of the list."""
        first = len(self.asked.pushed)
        for start in range(first, first + count, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, first + count))
            contacts = [{"id": f"c{n}", "phones": [f"+{self.carrier.number(n)}"]} for n in numbers]
            message = json.dumps({"campaign": CAMPAIGN, "contacts": contacts})
            self._tell("contacts", message)
            self.asked.pushed.update(numbers)

    def _tell(self, stream: str, message: str) -> None:
        self.until_acknowledged(lambda: self.client.xadd(f"cadencia:{stream}", {"data": message}))

    def withdraw(self, numbers: Sequence[int]) -> None:
        """Remove contacts, or forbid to call their numbers, by turns."""
        for n in numbers:
            phone = f"+{self.carrier.number(n)}"
            stream, message = (
                ("removals", {"id": f"m{n}", "campaign": CAMPAIGN, "contact": f"c{n}"}),
                ("removals", {"id": f"m{n}", "campaign": "*", "phone": phone}),
                ("dnc", {"id": f"m{n}", "op": "add", "phone": phone, "scope": "*"}),
            )[n % 3]
            self._tell(stream, json.dumps(message))
            self.asked.withdrawn[n] = time.time()

    def close(self, call: str, code: str) -> None:
        """Close a talk with a code."""
        name = f"code-{call}"
        self._tell("dispositions", json.dumps({"id": name, "call": call, "code": code}))
        self.asked.codes[name] = call

    # ---- the operator

    def begin(self) -> None:
        """Push the list, and let the agents come to their desks: from now on it is called."""
        self.push(self.plan.contacts - len(self.asked.pushed))
        wait_for(lambda: self.waiting() >= self.plan.contacts, f"{self.plan.contacts} contacts in the hopper")
        for node in self.nodes:
            node.sign_in(self.plan.agents, CAMPAIGN)

    def waiting(self) -> int:
        """How many contacts can be called now or later."""

        def counted() -> int:
            return sum(self.client.zcard(f"cadencia:{name}:{CAMPAIGN}") for name in ("ready", "later", "reserved"))

        return int(self.until_acknowledged(counted))

    def at_rest(self) -> bool:
        """Whether nobody is left to be called, and nobody is being called."""
        self.supervise()

        def asked() -> bool:
            client = self.client
            return not client.zcard(f"cadencia:ready:{CAMPAIGN}") and not client.hlen("cadencia:live")

        return bool(self.until_acknowledged(asked)) and not self.in_flight()

    def in_flight(self) -> set[str]:
        """Numbers that are being called or talking, as the switch has it; a call that nobody knows stands by its id.

        Raises:
            OSError: the switch does not answer.
        """
        found = self.carrier.channels()
        if any(not one.isdigit() and one not in self._called for one in found):
            self._learn()
        return {self._called.get(one, one) for one in found}

    def _learn(self) -> None:
        """Read on in the stream of results: which call is to which number."""
        entries: Any = self.client.xrange("cadencia:results", min=self._told_to)
        for entry, fields in entries:
            result = json.loads(fields[b"data"])
            if result["type"] == "call.started":
                self._called[result["call"]] = result["phone"].removeprefix("+")
            self._told_to = f"({entry.decode()}"

    def kill(self, node: ServeProcess) -> None:
        """A crash."""
        node.kill()

    def bring_back(self, node: ServeProcess) -> None:
        """Start it again, with its agents."""
        node.start()
        node.wait_up()
        node.sign_in(self.plan.agents, CAMPAIGN)
        self._call_back(node)

    def _call_back(self, node: ServeProcess) -> None:
        """Whoever was at a desk of the node that died signs in again too: agents may be elsewhere than they asked."""
        running = [each for each in self.nodes if each.pid is not None]
        everybody = {agent for each in running for agent in each.agents(self.plan.agents)}

        def all_in() -> bool:
            missing = everybody - node.signed_in()
            for agent in sorted(missing):
                with suppress(DialerError):
                    node.api.post(f"/agents/{agent}/sign-in", {"phone": agent, "campaigns": [CAMPAIGN]})
            return not missing

        wait_for(all_in, "every agent at a desk")

    def supervise(self) -> None:
        """Start a worker again that has ended: RQ's does where Redis goes away in the middle of its books.

        As the service manager does, for whom that is an end like any other. A node must never end by itself.
        """
        if self.plan.delivers and self.worker.pid is None:
            self.worker.start()

    @property
    def lab(self) -> Lab:
        """The lab, where it is what calls."""
        assert isinstance(self.carrier, Lab), "this is the embedded exchange"
        return self.carrier

    @property
    def exchange(self) -> Carrier:
        """The embedded exchange, with faults on demand, where it is what calls."""
        assert isinstance(self.carrier, Carrier), "the real Asterisk takes no such orders"
        return self.carrier

    def dialed(self) -> int:
        """Calls that reached the carrier so far."""
        return self.carrier.count()

    def until_dialed(self, count: int, what: str = "") -> None:
        """Let so many more calls begin, or the list come to its end."""
        goal = min(self.dialed() + count, len(self.asked.pushed) - len(self.asked.withdrawn))

        def reached() -> bool:
            self.supervise()
            return self.dialed() >= goal or not self.waiting()

        try:
            wait_for(reached, f"{goal} calls {what}")
        except RuntimeError as error:
            raise RuntimeError("\n".join((str(error), *self._why_not()))) from error

    def _why_not(self) -> list[str]:
        """What is known where nobody is called although somebody could be."""
        counts = {name: self.client.zcard(f"cadencia:{name}:{CAMPAIGN}") for name in ("ready", "later", "reserved")}
        told = [f"dialed {self.dialed()}, {counts}"]
        for node in self.nodes:
            for asked in ("/agents", f"/campaigns/{CAMPAIGN}"):
                try:
                    told.append(f"{node.name} {asked}: {node.api.get(asked)}")
                except DialerError as error:
                    told.append(f"{node.name} {asked}: {error}")
            told += node.said().splitlines()[-40:]
        return told


def _postgres_address(url: str) -> tuple[str, int, Callable[[int], str]]:
    """Host and port of a PostgreSQL server, and the URL by which it is reached through another port."""
    from sqlalchemy import make_url

    parsed = make_url(url)
    host, port = parsed.host or str(parsed.query.get("host", "127.0.0.1")), parsed.port or 5432
    query = {key: value for key, value in parsed.query.items() if key != "host"}
    return (
        host,
        port,
        lambda other: parsed.set(host="127.0.0.1", port=other, query=query).render_as_string(hide_password=False),
    )
