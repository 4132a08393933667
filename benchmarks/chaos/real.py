"""The scenarios of the telephone on a real Asterisk: `python -m benchmarks.chaos --real`.

Asterisk is the one of the lab, and so are the carrier and the agents' phones; all else is as in the other scenarios.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from benchmarks.chaos.proxy import Disturbance
from benchmarks.chaos.rig import CAMPAIGN, Plan
from benchmarks.chaos.scenarios import (
    Scenario,
    Scene,
    kill_asterisk,
    kill_asterisk_once,
    kill_node_once,
    kill_nodes,
    kill_valkey_once,
    kill_worker_once,
)

_ROUNDS: Final = 3


# ---- Asterisk


def restart_asterisk(scene: Scene) -> None:
    """`core restart now` on its command line, in the middle of talks."""
    lab = scene.site.lab
    for _ in range(_ROUNDS):
        scene.calls()
        with scene.fault():
            lab.restart()


def restart_when_convenient(scene: Scene) -> None:
    """`core restart gracefully`: no new call is taken, those that there are go on, and it is called off again."""
    for _ in range(2):
        scene.calls()
        with scene.fault(), scene.site.lab.shutting_down():
            scene.wait(3.0, 6.0)


def reload_everything(scene: Scene) -> None:
    """An operator reloads the dialplan, the phones and trunks, and all modules, in the middle of everything."""
    for command in ("dialplan reload", "module reload res_pjsip.so", "manager reload", "module reload", "rtp reload"):
        scene.calls(5, 15)
        with scene.fault():
            scene.site.lab.cli(command)


# ---- the way to it


def cut_ami(scene: Scene) -> None:
    """The connection is reset in the middle of what Asterisk says, calls go on."""
    for _ in range(2 * _ROUNDS):
        scene.calls(5, 20)
        with scene.fault():
            scene.site.proxies["ami"].cut_in(scene.random.randint(1, 3_000))
            scene.wait(0.1, 0.5)


def stall_ami(scene: Scene) -> None:
    """The network to AMI swallows everything, either way, calls go on; then all of it comes at once."""
    for _ in range(2):
        scene.calls()
        with scene.fault():
            scene.site.proxies["ami"].stall()
            scene.wait(4.0, 12.0)
            scene.site.proxies["ami"].resume()


def disturb_events(scene: Scene) -> None:
    """Events come twice, late, and in another order."""
    scene.calls()
    with scene.fault():
        scene.site.proxies["ami"].disturb(Disturbance(duplicate_every=2, late_s=0.3, random=scene.random))
        scene.calls(60, 100)
        scene.site.proxies["ami"].disturb(None)


# ---- nodes


def move_agents(scene: Scene) -> None:
    """One of two nodes dies and stays away, and its agents sign in at the other, their phones still in their rooms."""
    scene.calls()
    # Wherever they have asked, agents are at home where others of their campaign are.
    dies, stays = sorted(scene.site.nodes, key=lambda node: len(node.at_home()), reverse=True)
    agents = dies.at_home()
    with scene.fault():
        scene.site.kill(dies)
        scene.wait(6.0, 8.0)
        for agent in agents:
            stays.api.post(f"/agents/{agent}/sign-in", {"phone": agent, "campaigns": [CAMPAIGN]})
    scene.calls(60, 80)


# ---- what is behind it


def stop_carrier(scene: Scene) -> None:
    """The carrier stands still for some seconds: it takes calls and says not a word, and then it goes on."""
    lab = scene.site.lab
    for _ in range(2):
        scene.calls()
        with scene.fault():
            pid = lab.pid("carrier")
            os.kill(pid, signal.SIGSTOP)
            scene.wait(4.0, 7.0)
            os.kill(pid, signal.SIGCONT)


def kill_carrier(scene: Scene) -> None:
    """The carrier dies with all its calls, without a word, and comes back; agents who hear nothing hang up."""
    lab = scene.site.lab
    for _ in range(2):
        scene.calls()
        with scene.fault():
            silent = lab.channels()
            lab.kill_part("carrier")
            scene.wait(2.0, 4.0)
            lab.start()
            _hang_up(scene, silent)


def _hang_up(scene: Scene, silent: set[str]) -> None:
    """Whoever talks in one of these calls hangs up."""
    for node in scene.site.nodes:
        for row in node.api.get("/agents")["items"]:
            if row["state"] == "talking" and row["call"] in silent:
                node.api.post(f"/agents/{row['id']}/hangup")


def drop_phones(scene: Scene) -> None:
    """All agents' phones hang up and leave at once, and are back after a while."""
    lab = scene.site.lab
    for unregister in (True, False):
        scene.calls()
        with scene.fault():
            lab.hang_phones_up(unregister=unregister)
            scene.wait(1.0, 3.0)
            lab.register_phones()
        for node in scene.site.nodes:
            node.sign_in(scene.site.plan.agents, CAMPAIGN)


# ---- everything


def kill_everything(scene: Scene, rounds: int = 8) -> None:
    """Whatever there is dies, one after the other, in any order."""
    ways = (kill_valkey_once, kill_node_once, kill_asterisk_once, kill_worker_once, _cut_once)
    for _ in range(rounds):
        scene.calls(5, 30)
        with scene.fault():
            scene.random.choice(ways)(scene)


def _cut_once(scene: Scene) -> None:
    scene.site.proxies["ami"].cut_in(scene.random.randint(1, 3_000))


_PLAN: Final = Plan(contacts=200, agents=8, proxied=frozenset({"ami"}), campaign=(("ring_timeout_s", 15.0),))

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "asterisk_killed": Scenario(
        says="Asterisk is killed and comes back, three times", disturb=kill_asterisk, plan=_PLAN
    ),
    "asterisk_restarted": Scenario(says="`core restart now`, three times", disturb=restart_asterisk, plan=_PLAN),
    "asterisk_drained": Scenario(
        says="`core restart gracefully` for 5 s, and called off, twice", disturb=restart_when_convenient, plan=_PLAN
    ),
    "modules_reloaded": Scenario(
        says="dialplan, trunks, AMI's own settings and all modules are reloaded", disturb=reload_everything, plan=_PLAN
    ),
    "ami_cut": Scenario(says="AMI is cut in the middle of an event, six times", disturb=cut_ami, plan=_PLAN),
    "ami_stalls": Scenario(says="AMI neither reads nor speaks for 4 to 12 s, twice", disturb=stall_ami, plan=_PLAN),
    "events_disturbed": Scenario(
        says="every second event comes twice, all up to 0.3 s late and in any order", disturb=disturb_events, plan=_PLAN
    ),
    "node_killed": Scenario(
        says="a node is killed in talks and comes back, three times", disturb=kill_nodes, plan=_PLAN
    ),
    "agents_move": Scenario(
        says="one of two nodes dies, and its agents sign in at the other",
        disturb=move_agents,
        plan=replace(_PLAN, contacts=260, nodes=2, agents=5, database="postgres"),
    ),
    "carrier_stops": Scenario(says="the carrier stands still for 5 s, twice", disturb=stop_carrier, plan=_PLAN),
    "carrier_killed": Scenario(says="the carrier dies and comes back, twice", disturb=kill_carrier, plan=_PLAN),
    "phones_vanish": Scenario(says="all agents' phones hang up at once, twice", disturb=drop_phones, plan=_PLAN),
    "everything_killed": Scenario(
        says="node, worker, Valkey, Asterisk and AMI die in any order",
        disturb=kill_everything,
        plan=replace(_PLAN, contacts=300, delivers=True, crm_fails=0.1, crm_fails_at_most=1),
    ),
}
