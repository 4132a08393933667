"""Agents of one campaign on two Asterisk servers: people are called on the server whose agents are free for them."""

from __future__ import annotations

from pathlib import Path

from dialer.core.campaign import CampaignState
from dialer.core.events import AgentSignedIn
from dialer.core.ids import AgentId, ServerName
from dialer.core.outcome import Outcome
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Asterisk, Trunk
from dialer.simulation.exchange import Exchange
from dialer.simulation.world import World
from tests.e2e.floor import CAMPAIGN, QUICK, SECRET, Floor, person, phone, until

PEOPLE = range(60)


def exchange(*, talk_s: float) -> Exchange:
    """Everybody who is called picks up, and talks for so long."""
    fates = {phone(number).removeprefix("+"): person(ring_s=0.05, talk_s=talk_s) for number in PEOPLE}
    return Exchange(World(QUICK, seed=1, scripted=fates), secret=SECRET)


def asterisk(name: str, its: Exchange) -> Asterisk:
    trunk = Trunk(name="carrier", max_calls_per_second=100.0)
    return Asterisk(name=name, port=its.port, secret=SECRET, trunks=(trunk,))


async def sign_in(site: Floor, server: str, *agents: str) -> None:
    for agent in agents:
        event = AgentSignedIn(
            at=site.now, agent=AgentId(agent), phone=agent, campaigns=(CAMPAIGN,), server=ServerName(server)
        )
        await site.node.control.submit(event)


async def test_each_server_is_called_for_by_itself(tmp_path: Path, valkey_server: EmbeddedServer) -> None:
    """Whoever answers on the first talks for long: nobody else is called there, while the second goes on."""
    async with exchange(talk_s=300.0) as first, exchange(talk_s=0.1) as second:
        site = Floor(
            tmp_path, valkey_server, first, more={"asterisk": (asterisk("pbx", first), asterisk("pbx2", second))}
        )
        try:
            async with site.node:
                await site.begin(agents=0)
                await sign_in(site, "pbx", "anna", "ben", "carla")
                await sign_in(site, "pbx2", "dora", "emil")
                await site.push(PEOPLE[:20])
                await until(lambda: len(second.dialed) >= 10, "ten people called on the second")
                core = site.node.dispatcher.engine.floor
                await until(lambda: sum(call.agent is not None for call in core.calls.values()) >= 3, "three talks")

                def row() -> tuple[int, int]:
                    pace = site.node.live.snapshot(site.now).campaigns[0].pace
                    assert pace is not None
                    return pace.idle + pace.busy, pace.waiting

                await until(lambda: row() == (5, 0), "a pace that counts on all five")
                assert len(first.dialed) == 3, "all of the first talk"

                # The second goes away: the first is paced for whoever is there.
                await site.order(CampaignState.PAUSED)
                await until(lambda: len(core.calls) == 3, "the end of all calls of the second")
                await second.stop()
                await until(lambda: not core.connected(ServerName("pbx2")), "the second server gone")
                await site.order(CampaignState.RUNNING)
                await site.push(PEOPLE[20:])
                await sign_in(site, "pbx", "fritz")
                await until(lambda: len(first.dialed) >= 4, "a call for whoever has come")
                await until(lambda: row()[0] == 4, "a pace that counts on those of the first")
                await site.order(CampaignState.PAUSED)
                connected = [n.attempt for n in site.notices.ended if n.attempt.outcome is Outcome.CONNECTED]
                assert {(attempt.agent, attempt.server) for attempt in connected} <= {
                    ("dora", "pbx2"),
                    ("emil", "pbx2"),
                }
                assert len(first.dialed) == 4
                assert not [n for n in site.notices.ended if n.attempt.outcome is Outcome.ABANDONED]
        finally:
            await site.client.aclose()
