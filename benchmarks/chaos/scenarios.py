"""The scenarios by name: what is around the nodes, what goes wrong, and what that takes away by its nature."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.chaos.invariants import Allowed
from benchmarks.chaos.rig import CAMPAIGN, Plan, Site
from benchmarks.chaos.skewed import NAME, Skew
from benchmarks.chaos.watch import Watch
from benchmarks.processes import wait_for
from dialer.intake.jobs import WEBHOOKS

#: Times that something happens in one scenario.
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a scenario has in its hands."""

    site: Site
    watch: Watch
    #: Of the seed: the same moments every time, as far as processes can be told.
    random: random.Random

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Around what is wrong: until its end nobody asks whether the books agree."""
        self.watch.fault_begins()
        try:
            yield
        finally:
            self.watch.fault_is_over()

    def calls(self, least: int = 10, most: int = 40) -> None:
        """Let some calls begin."""
        self.site.until_dialed(self.random.randint(least, most))

    def wait(self, least_s: float, most_s: float) -> None:
        """Let some time pass."""
        time.sleep(self.random.uniform(least_s, most_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One of them."""

    #: For the table, in a sentence.
    says: str
    disturb: Callable[[Scene], None]
    plan: Plan = field(default_factory=lambda: Plan(contacts=300))
    allowed: Allowed = field(default_factory=Allowed)
    #: A small file system of its own for the database, or for Valkey, is mounted there, which only root may.
    mounts: bool = False


# ---- processes that die


def kill_nodes(scene: Scene) -> None:
    """SIGKILL in the middle of everything, and a start after a moment."""
    for _ in range(_ROUNDS):
        scene.calls()
        node = scene.random.choice(scene.site.nodes)
        with scene.fault():
            scene.site.kill(node)
            scene.wait(0.0, 1.0)
            scene.site.bring_back(node)


def kill_nodes_at_codes(scene: Scene) -> None:
    """SIGKILL to one of two within moments of a code that the CRM sent, and a start."""
    for _ in range(2 * _ROUNDS):
        before = len(scene.site.asked.codes)
        wait_for(lambda: len(scene.site.asked.codes) > before, "another code")  # noqa: B023
        scene.wait(0.0, 0.05)
        node = scene.random.choice(scene.site.nodes)
        with scene.fault():
            scene.site.kill(node)
            scene.site.bring_back(node)


def kill_node_for_good(scene: Scene) -> None:
    """One of two dies in the middle of its calls and stays away: the other takes them over."""
    scene.calls()
    with scene.fault():
        scene.site.kill(scene.site.nodes[1])
    scene.calls(60, 80)


def freeze_node(scene: Scene) -> None:
    """One of two is stopped for longer than its heartbeat holds, and goes on as if nothing had been."""
    for _ in range(2):
        scene.calls()
        frozen = scene.random.choice(scene.site.nodes)
        with scene.fault():
            frozen.signal(signal.SIGSTOP)
            scene.wait(7.0, 9.0)
            frozen.signal(signal.SIGCONT)


def kill_workers(scene: Scene) -> None:
    """The worker dies again and again while it delivers."""
    for _ in range(2 * _ROUNDS):
        scene.calls(5, 20)
        with scene.fault():
            scene.site.worker.kill()
            scene.site.worker.start()
        scene.wait(1.0, 3.0)


def poison_queue(scene: Scene) -> None:
    """Jobs that do not exist, cannot be read, name nothing, or kill whoever runs them."""
    client = scene.site.client
    scene.calls()
    with scene.fault():
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        jobs = {
            "poison-garbage": b"\x00\xffnot a job",
            "poison-unknown": json.dumps(["workers.jobs.nothing.at_all", None, [], {}]).encode(),
            "poison-deadly": json.dumps(["os.abort", None, [], {}]).encode(),
            "poison-endless": json.dumps(["time.sleep", None, [3_600], {}]).encode(),
        }
        for name, data in jobs.items():
            client.hset(
                f"rq:job:{name}",
                mapping={
                    "data": data,
                    "created_at": now,
                    "origin": WEBHOOKS,
                    "status": "queued",
                    "timeout": "3",
                },
            )
        for job in ("poison-missing", *jobs, b"\xff\xfe"):
            client.lpush(f"rq:queue:{WEBHOOKS}", job)
    scene.calls(60, 80)


# ---- Redis


def kill_valkey(scene: Scene) -> None:
    """Valkey is killed and comes back with its file."""
    for _ in range(_ROUNDS):
        scene.calls()
        with scene.fault():
            scene.site.valkey.kill()
            scene.wait(0.0, 1.5)
            scene.site.valkey.start()


def empty_valkey(scene: Scene) -> None:
    """Valkey comes back with nothing."""
    scene.calls(40, 60)
    with scene.fault():
        scene.site.valkey.kill()
        shutil.rmtree(scene.site.valkey.directory / "appendonlydir")
        scene.site.valkey.start()


def set_valkey_back(scene: Scene) -> None:
    """A fail-over to what was true some seconds ago."""
    kept = scene.site.folder / "old"
    scene.calls()
    shutil.copytree(scene.site.valkey.directory / "appendonlydir", kept)
    scene.calls(40, 60)
    with scene.fault():
        scene.site.valkey.kill()
        shutil.rmtree(scene.site.valkey.directory / "appendonlydir")
        shutil.move(kept, scene.site.valkey.directory / "appendonlydir")
        scene.site.valkey.start()


def fail_over(scene: Scene) -> None:
    """The master dies for good, and the Sentinels promote its replica, which may lack the last writes."""
    scene.calls(40, 60)
    standby = scene.site.standby
    assert standby is not None, "the plan has one"
    with scene.fault():
        scene.site.valkey.kill()
        wait_for(lambda: standby.promoted, "the replica as master")
    scene.calls(40, 60)


def slow_valkey(scene: Scene) -> None:
    """Redis answers late: first by less than the gate's lease, then by more."""
    for delay_s in (0.005, 0.02, 0.2):
        scene.calls()
        with scene.fault():
            scene.site.proxies["redis"].delay(delay_s)
            scene.wait(3.0, 5.0)
            scene.site.proxies["redis"].delay(0.0)


def stall_valkey(scene: Scene) -> None:
    """The network to Redis swallows everything for longer than anybody waits, and then hands it all over."""
    for _ in range(2):
        scene.calls()
        with scene.fault():
            scene.site.proxies["redis"].stall()
            scene.wait(6.0, 8.0)
            scene.site.proxies["redis"].resume()


def cut_valkey(scene: Scene) -> None:
    """Connections to Redis are reset in the middle of its answers."""
    for _ in range(4 * _ROUNDS):
        scene.calls(2, 10)
        with scene.fault():
            scene.site.proxies["redis"].cut_in(scene.random.randint(1, 3_000))
            scene.wait(0.05, 0.3)


def fill_valkey(scene: Scene) -> None:
    """Redis has no memory left and refuses every write; nothing is evicted."""
    for _ in range(2):
        scene.calls()
        with scene.fault():
            scene.site.client.config_set("maxmemory", "1mb")
            scene.wait(3.0, 5.0)
            scene.site.client.config_set("maxmemory", "0")


def fill_valkeys_disk(scene: Scene) -> None:
    """The disk under Redis' file is full: it ends, and is started again when there is room."""
    scene.calls()
    with scene.fault():
        _fill(scene.site.valkey.directory)
        deadline = time.monotonic() + 20.0
        while scene.site.valkey.pid is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        scene.wait(1.0, 2.0)
        _make_room(scene.site.valkey.directory)
        if scene.site.valkey.pid is None:
            scene.site.valkey.start()


# ---- the database


def take_database_away(scene: Scene) -> None:
    """PostgreSQL resets every connection and takes none."""
    scene.calls()
    with scene.fault():
        scene.site.proxies["database"].refuse()
        scene.wait(10.0, 15.0)
        scene.site.proxies["database"].accept()


def stall_database(scene: Scene) -> None:
    """The network to PostgreSQL swallows everything."""
    scene.calls()
    with scene.fault():
        scene.site.proxies["database"].stall()
        scene.wait(10.0, 15.0)
        scene.site.proxies["database"].resume()


def lock_database(scene: Scene) -> None:
    """Another process keeps SQLite's file for longer than anybody waits."""
    scene.calls()
    path = scene.site.database_url.removeprefix("sqlite:///")
    with scene.fault():
        other = sqlite3.connect(path, isolation_level=None, timeout=60.0)
        other.execute("BEGIN EXCLUSIVE")
        scene.wait(11.0, 14.0)
        other.execute("ROLLBACK")
        other.close()


def fill_disk(scene: Scene) -> None:
    """The disk under the database is full."""
    folder = scene.site.plan.database_folder
    assert folder is not None
    scene.calls()
    with scene.fault():
        _fill(folder)
        scene.wait(6.0, 10.0)
        _make_room(folder)


def _fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        for size in (65_536, 512):
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(size))


def _make_room(folder: Path) -> None:
    (folder / "ballast").unlink()


# ---- Asterisk and what is behind it


def kill_asterisk(scene: Scene) -> None:
    """Asterisk is killed with all its channels, and comes back."""
    for _ in range(_ROUNDS):
        scene.calls()
        with scene.fault():
            scene.site.carrier.kill()
            scene.wait(0.0, 2.0)
            scene.site.carrier.start()


def cut_ami(scene: Scene) -> None:
    """The manager connection ends in the middle of an event, calls go on."""
    for _ in range(2 * _ROUNDS):
        scene.calls(5, 20)
        with scene.fault():
            scene.site.exchange.order("cut")
            scene.wait(0.1, 0.5)


def stall_ami(scene: Scene) -> None:
    """The manager neither reads nor speaks for a while, calls go on; then all of it comes at once."""
    for _ in range(2):
        scene.calls()
        with scene.fault():
            scene.site.exchange.order("stall")
            scene.wait(4.0, 12.0)
            scene.site.exchange.order("resume")


def disturb_events(scene: Scene) -> None:
    """Events come twice, late, and in another order."""
    scene.calls()
    with scene.fault():
        scene.site.exchange.faults(duplicate_every=2, reorder_s=0.3)
        scene.calls(60, 100)
        scene.site.exchange.faults(duplicate_every=0, reorder_s=0.0)


def black_hole(scene: Scene) -> None:
    """The carrier takes every call and never says a word."""
    scene.calls()
    scene.site.exchange.faults(silent_trunks=["*"])
    scene.wait(4.0, 6.0)
    scene.site.exchange.faults(silent_trunks=[])
    scene.calls()


def drop_phones(scene: Scene) -> None:
    """All agents' phones are gone at once, and cannot be reached for a while."""
    for _ in range(2):
        scene.calls()
        with scene.fault():
            phones = [phone for node in scene.site.nodes for phone in node.agents(scene.site.plan.agents)]
            scene.site.exchange.faults(dead_phones=phones)
            scene.site.exchange.order("phones fall")
            scene.wait(1.0, 3.0)
            scene.site.exchange.faults(dead_phones=[])
        for node in scene.site.nodes:
            node.sign_in(scene.site.plan.agents, CAMPAIGN)


# ---- time


def jump_clock(scene: Scene) -> None:
    """The system's clock of a node jumps by an hour, forth and back; then the node starts again in the past."""
    skew = Skew(scene.site.folder / NAME)
    (node,) = scene.site.nodes
    for seconds in (3_600.0, -3_600.0, 20.0, -20.0):
        scene.calls(10, 20)
        skew.set(seconds)
    scene.calls()
    with scene.fault():
        skew.set(-3_600.0)
        scene.site.kill(node)
        scene.site.bring_back(node)
    scene.calls()
    with scene.fault():
        skew.set(3_600.0)
        scene.site.kill(node)
        scene.site.bring_back(node)


def clocks_apart(scene: Scene) -> None:
    """Of two nodes one is half a minute ahead: each must let the other live."""
    first, second = scene.site.nodes
    skew = Skew(scene.site.folder / NAME)
    scene.calls()
    with scene.fault():
        scene.site.kill(second)
        skew.set(30.0)
        scene.site.bring_back(second)
    scene.calls(60, 80)
    with scene.fault():
        scene.site.kill(first)
    scene.calls(20, 40)


# ---- everything


def kill_everything(scene: Scene, rounds: int = 8) -> None:
    """Whatever there is dies, one after the other, in any order."""
    ways = (kill_valkey_once, kill_node_once, kill_asterisk_once, kill_worker_once)
    for _ in range(rounds):
        scene.calls(5, 30)
        with scene.fault():
            scene.random.choice(ways)(scene)


def kill_valkey_once(scene: Scene) -> None:
    """One crash of Valkey."""
    scene.site.valkey.kill()
    scene.wait(0.0, 0.5)
    scene.site.valkey.start()


def kill_node_once(scene: Scene) -> None:
    """One crash of a node."""
    node = scene.random.choice(scene.site.nodes)
    scene.site.kill(node)
    scene.site.bring_back(node)


def kill_asterisk_once(scene: Scene) -> None:
    """One crash of Asterisk."""
    scene.site.carrier.kill()
    scene.wait(0.0, 0.5)
    scene.site.carrier.start()


def kill_worker_once(scene: Scene) -> None:
    """One crash of the worker."""
    scene.site.worker.kill()
    scene.site.worker.start()


_TWO: Final = Plan(contacts=400, nodes=2, agents=4, database="postgres")
_TOLD: Final = Plan(contacts=300, delivers=True, crm_fails=0.1, crm_fails_at_most=1)
_SKEWED: Final = ("-m", "benchmarks.chaos.skewed")

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "node_killed": Scenario(says="a node is killed and comes back, three times", disturb=kill_nodes),
    "two_nodes_killed": Scenario(
        says="two nodes, killed by turns", disturb=kill_nodes, plan=replace(_TWO, delivers=True)
    ),
    "codes_sent": Scenario(
        says="one of two nodes is killed, six times, within 50 ms of a code that the CRM sends for a talk",
        disturb=kill_nodes_at_codes,
        plan=replace(_TWO, contacts=1_200, calls_per_s=4.0, closes=True),
    ),
    "node_gone": Scenario(
        says="one of two nodes dies and stays away",
        disturb=kill_node_for_good,
        plan=_TWO,
        allowed=Allowed(phones_stay=True),
    ),
    "node_frozen": Scenario(says="one of two nodes stands still for 8 s, and goes on", disturb=freeze_node, plan=_TWO),
    "worker_killed": Scenario(says="the worker dies six times while it delivers", disturb=kill_workers, plan=_TOLD),
    "poisoned_job": Scenario(
        says="jobs that kill, hang, or cannot be read stand before the others",
        disturb=poison_queue,
        plan=replace(_TOLD, crm_fails=0.0),
    ),
    "valkey_killed": Scenario(says="Valkey is killed and comes back, three times", disturb=kill_valkey, plan=_TOLD),
    "valkey_emptied": Scenario(
        says="Valkey comes back with nothing", disturb=empty_valkey, plan=_TOLD, allowed=Allowed(memory_lost=True)
    ),
    "valkey_emptied_under_two": Scenario(
        says="Valkey comes back with nothing, under two nodes",
        disturb=empty_valkey,
        plan=_TWO,
        allowed=Allowed(memory_lost=True),
    ),
    "valkey_set_back": Scenario(
        says="Valkey comes back as it was some seconds ago",
        disturb=set_valkey_back,
        plan=_TOLD,
        allowed=Allowed(memory_lost=True),
    ),
    "valkey_set_back_under_two": Scenario(
        says="Valkey comes back as it was some seconds ago, under two nodes",
        disturb=set_valkey_back,
        plan=_TWO,
        allowed=Allowed(memory_lost=True),
    ),
    "valkey_fails_over": Scenario(
        says="Valkey's master dies, and Sentinels promote its replica, under two nodes",
        disturb=fail_over,
        plan=replace(_TWO, standby=True),
        allowed=Allowed(memory_lost=True),
    ),
    "valkey_slow": Scenario(
        says="Redis answers 10, 40 and 400 ms late",
        disturb=slow_valkey,
        plan=Plan(contacts=300, proxied=frozenset({"redis"})),
    ),
    "valkey_stalls": Scenario(
        says="the network to Redis swallows everything for 7 s, twice",
        disturb=stall_valkey,
        plan=Plan(contacts=300, proxied=frozenset({"redis"})),
    ),
    "valkey_cut": Scenario(
        says="connections to Redis are reset in the middle of answers, twelve times",
        disturb=cut_valkey,
        plan=Plan(contacts=300, proxied=frozenset({"redis"})),
    ),
    "valkey_full": Scenario(says="Redis is out of memory for 4 s, twice", disturb=fill_valkey, plan=_TOLD),
    "valkey_disk_full": Scenario(
        says="the disk under Redis' file is full", disturb=fill_valkeys_disk, plan=_TOLD, mounts=True
    ),
    "database_down": Scenario(
        says="PostgreSQL takes no connection for 12 s",
        disturb=take_database_away,
        plan=replace(_TWO, contacts=600, nodes=1, agents=6, proxied=frozenset({"database"})),
    ),
    "database_stalls": Scenario(
        says="the network to PostgreSQL swallows everything for 12 s",
        disturb=stall_database,
        plan=replace(_TWO, contacts=600, nodes=1, agents=6, proxied=frozenset({"database"})),
    ),
    "database_locked": Scenario(
        says="another process keeps SQLite's file for 12 s", disturb=lock_database, plan=replace(_TOLD, contacts=500)
    ),
    "disk_full": Scenario(
        says="the disk under SQLite's file is full for 8 s",
        disturb=fill_disk,
        plan=replace(_TOLD, contacts=500),
        mounts=True,
    ),
    "asterisk_killed": Scenario(says="Asterisk is killed and comes back, three times", disturb=kill_asterisk),
    "ami_cut": Scenario(says="AMI is cut in the middle of an event, six times", disturb=cut_ami),
    "ami_stalls": Scenario(says="AMI neither reads nor speaks for 4 to 12 s, twice", disturb=stall_ami),
    "events_disturbed": Scenario(
        says="every second event comes twice, all up to 0.3 s late and in any order", disturb=disturb_events
    ),
    "trunk_black_hole": Scenario(says="the carrier never answers for 5 s of calls", disturb=black_hole),
    "phones_vanish": Scenario(says="all agents' phones fall at once, twice", disturb=drop_phones),
    "clock_jumps": Scenario(
        says="the clock jumps by an hour, forth and back, also over restarts",
        disturb=jump_clock,
        plan=Plan(contacts=300, launcher=_SKEWED),
        allowed=Allowed(clocks_differ=True),
    ),
    "clocks_apart": Scenario(
        says="of two nodes one is 30 s ahead, and then the other dies",
        disturb=clocks_apart,
        plan=replace(_TWO, launcher=_SKEWED),
        allowed=Allowed(clocks_differ=True, phones_stay=True),
    ),
    "everything_killed": Scenario(
        says="node, worker, Valkey and Asterisk die in any order",
        disturb=kill_everything,
        plan=replace(_TOLD, contacts=400),
    ),
}


@contextmanager
def small_disk(size_mb: int) -> Iterator[Path]:
    """A file system of so many megabytes.

    Raises:
        PermissionError: only root may mount one.
    """
    folder = Path(tempfile.mkdtemp(prefix="cadencia-disk-"))
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode != 0:
            raise PermissionError(f"no small file system can be mounted here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=False)
    finally:
        folder.rmdir()
