"""One scenario from nothing to its verdict."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.chaos import real
from benchmarks.chaos.codes import codes
from benchmarks.chaos.invariants import Allowed, Evidence, collect, judge
from benchmarks.chaos.lab import Lab
from benchmarks.chaos.rig import Site
from benchmarks.chaos.scenarios import SCENARIOS, Scenario, Scene, small_disk
from benchmarks.chaos.watch import Watch
from benchmarks.processes import wait_for

#: The CRM withdraws this share of the list while it is called, one every so many seconds.
_WITHDRAWN_SHARE: Final = 0.15
_WITHDRAW_EVERY_S: Final = 0.05
#: After the last call: results that failed once come again after five seconds, jobs of a dead worker after a minute.
_SETTLE_S: Final = 150.0
_LIST_S: Final = 240.0
_DISK_MB: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one scenario came to."""

    name: str
    seed: int
    #: By the name of each invariant that did not hold, what was wrong.
    problems: dict[str, list[str]] = field(default_factory=dict)
    #: Why it could not be run; empty: it was.
    skipped: str = ""
    dialed: int = 0
    withdrawn: int = 0
    abandoned: int = 0
    results: int = 0
    healed_s: float = 0.0
    seconds: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether every invariant held."""
        return not self.problems


def run(name: str, seed: int, *, keep: bool = False, lab: Lab | None = None) -> Outcome:
    """Run a scenario.

    Args:
        name: of `SCENARIOS`, or of those of the real Asterisk.
        seed: of its moments, and of whoever is called.
        keep: leave the folder with logs and databases where it is, if an invariant did not hold.
        lab: the real Asterisk.
    """
    return play(name, (SCENARIOS if lab is None else real.SCENARIOS)[name], seed, keep=keep, lab=lab)


def play(name: str, scenario: Scenario, seed: int, *, keep: bool = False, lab: Lab | None = None) -> Outcome:
    """The same with a scenario that is given."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    begun = time.monotonic()
    outcome = Outcome(name=name, seed=seed)
    try:
        with ExitStack() as ends:
            plan = replace(scenario.plan, seed=seed)
            if scenario.mounts:
                try:
                    disk = ends.enter_context(small_disk(_DISK_MB))
                except PermissionError as error:
                    return replace(outcome, skipped=str(error))
                if name == "valkey_disk_full":
                    (folder / "redis").symlink_to(disk)
                else:
                    plan = replace(plan, database_folder=disk)
            site = ends.enter_context(Site(plan, folder, lab))
            watch = ends.enter_context(Watch(site))
            seen, problems = _play(scenario, site, watch, seed)
        outcome = replace(
            outcome,
            problems={check: wrong for check, wrong in problems.items() if wrong},
            dialed=len(seen.dialed),
            withdrawn=len(seen.withdrawn),
            abandoned=sum(row["outcome"] == "abandoned" for row in seen.attempts),
            results=len(seen.results),
            healed_s=round(seen.worst_s, 1),
            seconds=round(time.monotonic() - begun, 1),
        )
    except RuntimeError as error:
        outcome = replace(outcome, problems={"it went on": [str(error)]}, seconds=round(time.monotonic() - begun, 1))
    finally:
        if not (keep and outcome.problems):
            shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _play(scenario: Scenario, site: Site, watch: Watch, seed: int) -> tuple[Evidence, dict[str, list[str]]]:
    site.begin()
    with withdrawals(site, seed + 1), codes(site) if site.plan.closes else nullcontext():
        scenario.disturb(Scene(site=site, watch=watch, random=random.Random(seed)))
        watch.fault_is_over()
    return settle(site, watch, scenario.allowed)


@contextmanager
def withdrawals(site: Site, seed: int) -> Iterator[None]:
    """Meanwhile the CRM withdraws contacts who may be called at any moment, or were, and some far back in the list."""
    over = threading.Event()
    crm = threading.Thread(target=_withdraw, args=(site, random.Random(seed), over), name="withdraws", daemon=True)
    crm.start()
    try:
        yield
    finally:
        over.set()
        crm.join(30)


def settle(site: Site, watch: Watch, allowed: Allowed) -> tuple[Evidence, dict[str, list[str]]]:
    """Let the list come to its end, and judge; what comes late is waited for."""
    wait_for(lambda: site.at_rest() and watch.settled(), "the end of the list", timeout_s=_LIST_S)
    until = time.monotonic() + _SETTLE_S
    while True:
        site.supervise()
        seen = collect(site, watch.worst_s, watch.worst_call)
        problems = judge(seen, allowed)
        if not any(problems.values()) or time.monotonic() > until:
            return seen, problems
        time.sleep(0.5)


def _withdraw(site: Site, chance: random.Random, over: threading.Event) -> None:
    contacts = sorted(site.asked.pushed)
    most = int(len(contacts) * _WITHDRAWN_SHARE)
    while len(site.asked.withdrawn) < most and not over.wait(_WITHDRAW_EVERY_S):
        near = site.dialed() + len(site.asked.withdrawn)
        place = min(int(chance.triangular(near, len(contacts), near + 10)), len(contacts) - 1)
        if contacts[place] not in site.asked.withdrawn:
            site.withdraw([contacts[place]])
