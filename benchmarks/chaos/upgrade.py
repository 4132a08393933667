"""The upgrade drill: nodes and worker of an earlier release are exchanged for this one's, while a list is called.

    scripts/upgrade-drill --from REF        # of this repository
    scripts/upgrade-drill --sources FOLDER  # unpacked, with its `dialer` and `workers` in it

Two nodes and a worker of the earlier release call a list on their own tables. Then, as docs/operations.md says: the
tables are upgraded under them, the worker is exchanged, one node is stopped in peace and the other is killed, and each
comes back as this release. In between the releases work side by side: each hands requests about the other's agents on
to it, takes over its campaign's settings and closes its calls with codes. What must hold is what must hold after any
fault.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.chaos.codes import all_answered, codes
from benchmarks.chaos.rig import CAMPAIGN, Plan, Site
from benchmarks.chaos.scenarios import Scenario, Scene
from benchmarks.processes import ROOT, ServeProcess, wait_for
from dialer.cli.client import ApiError

#: At so many calls a second of each node there are some left when all is exchanged.
_CONTACTS: Final = 1_000
_CALLS_PER_S: Final = 4.0
#: Releases up to the one with tables 0026 refuse a code for a call of a node of which they have not heard yet.
_CODES_AFTER_S: Final = 2.0
#: Within this they have written down what they have told.
_RECORDED_S: Final = 2.0
#: What no node may say of another release's messages, or of anything.
_WRONG: Final = re.compile(r"^\S+ \[(error|critical)\b.*|^Traceback .*|.*\banother version\b.*", re.MULTILINE)
_ORDER_S: Final = 60.0


def drill(sources: Path) -> Scenario:
    """The drill from those sources on, as a scenario."""
    plan = Plan(
        contacts=_CONTACTS,
        nodes=2,
        agents=4,
        calls_per_s=_CALLS_PER_S,
        database="postgres",
        delivers=True,
        crm_fails=0.05,
        crm_fails_at_most=1,
        sources=sources,
    )
    return Scenario(says="nodes and worker of an earlier release are exchanged one by one", disturb=exchange, plan=plan)


def exchange(scene: Scene) -> None:
    """All of the upgrade, and side by side in between.

    Raises:
        RuntimeError: something that must work beside another release does not.
    """
    site = scene.site
    first, second = site.nodes
    with _codes(site):
        scene.calls(30, 50)
        site.upgrade_database()
        # Nodes and worker go on with tables that are newer than they are.
        scene.calls(30, 50)
        _work_together(site)
        site.worker.stop()
        site.worker.sources = ROOT
        site.worker.start()
        scene.calls(30, 50)
    with scene.fault():
        first.stop()
        _come_back(site, first)
    with _codes(site):
        scene.calls(30, 50)
        _work_together(site)
    with scene.fault():
        site.kill(second)
        _come_back(site, second)
    with _codes(site):
        _work_together(site)
        if not site.waiting():
            raise RuntimeError("the list was through before all was exchanged: nothing was shown")
        scene.calls(30, 50)
    for node in site.nodes:
        if wrong := [found.group() for found in _WRONG.finditer(node.said())]:
            raise RuntimeError("\n".join((f"{node.name} said:", *wrong[:10])))


@contextmanager
def _codes(site: Site) -> Iterator[None]:
    """Meanwhile talks are closed with codes, all of which are on record in the end.

    While no node ends: releases up to the one with tables 0026 acknowledge a code before it is on record, and some of
    them refuse one for a call of a node that has just ended.
    """
    with codes(site, _CODES_AFTER_S):
        yield
    wait_for(lambda: all_answered(site), "codes of all talks that were closed", timeout_s=60)
    time.sleep(_RECORDED_S)


def _come_back(site: Site, node: ServeProcess) -> None:
    node.sources = ROOT
    node.start()
    node.wait_up()
    wait_for(lambda: _ready(node), f"{node.name} ready")
    node.sign_in(site.plan.agents, CAMPAIGN)


def _ready(node: ServeProcess) -> bool:
    """Whether a node that has just begun says that it can do all its work."""
    try:
        with urllib.request.urlopen(f"{node.api.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _work_together(site: Site) -> None:
    """Each node is asked for an agent of the other, and takes over what was changed at the other.

    Raises:
        RuntimeError: it does not.
    """
    for asked, home in (site.nodes, site.nodes[::-1]):
        agent = _agent_of(home)
        _order(asked, home, agent, "pause", {"code": "drill"}, lambda state: state == "paused")
        _order(asked, home, agent, "ready", None, lambda state: state != "paused")
        for order, state in (("pause", "paused"), ("start", "running")):
            asked.api.post(f"/campaigns/{CAMPAIGN}/{order}")
            wait_for(lambda: _campaign(home)["live"]["state"] == state, f"{home.name} to {order} as {asked.name}")  # noqa: B023
        lines = _campaign(home)["settings"]["max_lines_per_agent"] - 1
        asked.api.patch(f"/campaigns/{CAMPAIGN}", {"max_lines_per_agent": lines})
        wait_for(lambda: _campaign(home)["settings"]["max_lines_per_agent"] == lines, f"settings at {home.name}")  # noqa: B023


def _agent_of(node: ServeProcess) -> str:
    """Somebody who is at home there, wherever they were signed in.

    Raises:
        RuntimeError: nobody is.
    """
    at_home = node.at_home()
    if not at_home:
        found = [(row["id"], row["node"], row["state"]) for row in node.api.get("/agents")["items"]]
        raise RuntimeError(f"nobody is at home at {node.name}: {found}")
    return at_home[0]


def _order(
    asked: ServeProcess, home: ServeProcess, agent: str, order: str, body: object, carried_out: Callable[[str], bool]
) -> None:
    """An order about an agent at another node than theirs, which may have to wait for the end of a talk.

    Raises:
        RuntimeError: it is refused, or nothing comes of it.
    """
    state, said = "", ""

    def taken() -> bool:
        nonlocal said
        try:
            asked.api.post(f"/agents/{agent}/{order}", body)
        except ApiError as error:
            said = str(error)
            return False
        return True

    def done() -> bool:
        nonlocal state
        state = str(home.api.get(f"/agents/{agent}")["state"])
        return carried_out(state)

    try:
        wait_for(taken, f"{order} of {agent} at {home.name} through {asked.name}", timeout_s=_ORDER_S)
        wait_for(done, f"{order} of {agent} at {home.name}", timeout_s=_ORDER_S)
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {state} {said}") from error


def _campaign(node: ServeProcess) -> Any:
    return node.api.get(f"/campaigns/{CAMPAIGN}")
