"""Several Redis in one installation: each has its own campaigns, who must not be called is called by none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from dialer.core.ids import AgentId
from dialer.errors import ConfigError
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.node import Node
from dialer.runtime.shard_checks import living, shard_findings
from dialer.settings import Redis
from dialer.storage.do_not_call import DoNotCallList
from tests.e2e.floor import phone, until
from tests.e2e.sharded import NORTH, REST, Sharded, begin, push, redis_of, sharded
from tests.patience import PATIENCE_S


async def test_each_campaign_is_dialed_from_its_own_shard(
    tmp_path: Path, own_valkey: EmbeddedServer, valkey_server: EmbeddedServer
) -> None:
    async with sharded(tmp_path, own_valkey, valkey_server) as sites:
        await begin(sites.north, NORTH, agents=("ann", "bob"))
        await begin(sites.rest, REST, agents=("eva", "joe"))
        await push(sites.north, NORTH, range(6))
        await push(sites.rest, REST, range(10, 16))
        await sites.north.wait("call.ended", 6)
        await sites.rest.wait("call.ended", 6)
        north = {each["contact"] for each in await sites.north.results("call.ended")}
        rest = {each["contact"] for each in await sites.rest.results("call.ended")}
        assert north == {f"crm-{n}" for n in range(6)}
        assert rest == {f"crm-{n}" for n in range(10, 16)}
        assert set(sites.north.node.dispatcher.engine.floor.campaigns) == {NORTH}
        assert set(sites.rest.node.dispatcher.engine.floor.campaigns) == {REST}


async def test_a_day_with_two_shards(
    tmp_path: Path, own_valkey: EmbeddedServer, valkey_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pair of nodes for all of it: they take their time to start."""
    monkeypatch.setattr("dialer.runtime.campaign_watch._WRITTEN_S", PATIENCE_S)
    async with sharded(tmp_path, own_valkey, valkey_server) as sites:
        await meet(sites)
        await any_node_is_asked_about_any_campaign(sites)
        await what_the_api_has_acknowledged_holds_in_both(sites)
        await what_is_written_into_one_is_carried_over(sites)
        await a_stream_takes_its_own_campaigns_alone(sites)
        await who_is_erased_is_forgotten_everywhere(sites)
        await the_doctor_finds_both(sites)


async def meet(sites: Sharded) -> None:
    async def met() -> bool:
        for site in sites.sites.values():
            await site.node.neighbours.beat()
        pictures = [set(site.node.neighbours.pictures()) for site in (sites.north, sites.rest)]
        return pictures == [{"n-rest"}, {"n-north"}]

    await until(met, "each hears of the other")


async def any_node_is_asked_about_any_campaign(sites: Sharded) -> None:
    settings = {"method": "progressive", "wrapup_limit_s": 0.05, "max_attempts": 1}
    for asked, campaign in ((sites.rest, NORTH), (sites.north, REST)):
        made = await sites.ask(asked, "POST", "/campaigns", {"id": campaign, **settings})
        assert made.status == 201, made.body
        started = await sites.ask(asked, "POST", f"/campaigns/{campaign}/start")
        assert (started.status, started.body["state"]) == (202, "running")
    assert set(sites.north.node.dispatcher.engine.floor.campaigns) == {NORTH}
    assert set(sites.rest.node.dispatcher.engine.floor.campaigns) == {REST}
    wanted = {"phone": "ann", "campaigns": [NORTH]}
    assert (await sites.ask(sites.rest, "POST", "/agents/ann/sign-in", wanted)).status == 202
    await until(lambda: sites.north.node.live.agent(AgentId("ann")) is not None, "ann is at home in the north")
    both = await sites.ask(sites.rest, "POST", "/agents/eva/sign-in", {"phone": "eva", "campaigns": [NORTH, REST]})
    assert both.status == 422
    pushed = await sites.ask(sites.rest, "POST", f"/campaigns/{NORTH}/contacts", {"id": "crm-1", "phones": [phone(1)]})
    assert pushed.status == 200, pushed.body
    await sites.north.wait("call.ended", contact="crm-1")
    assert await sites.rest.client.exists(f"cadencia:data:{NORTH}") == 0


async def listed_in(sites: Sharded, number: int, scope: str = "*") -> list[bool]:
    digits = phone(number)[1:]
    key = f"cadencia:dnc:{scope}:{digits[:-5]}"
    return [bool(await site.client.sismember(key, str(int(digits[-5:])))) for site in (sites.north, sites.rest)]


async def what_the_api_has_acknowledged_holds_in_both(sites: Sharded) -> None:
    for asked, number in ((sites.north, 100), (sites.rest, 101)):
        wanted = {"entries": [{"phone": phone(number)}, {"phone": phone(number + 10), "scope": NORTH}]}
        assert (await sites.ask(asked, "POST", "/dnc", wanted, key="crm")).status == 201
        # At once: the gates drain before they reserve, as `reserve` does.
        for site in (sites.north, sites.rest):
            await site.node.queues.drain()
        assert await listed_in(sites, number) == [True, True]
        assert await listed_in(sites, number + 10, NORTH) == [True, False]
    removal = {"removals": [{"campaign": "*", "contact": "crm-120"}, {"campaign": REST, "contact": "crm-121"}]}
    assert (await sites.ask(sites.north, "POST", "/removals", removal, key="crm")).status == 201
    for number in (120, 121):
        for site, campaign in ((sites.north, NORTH), (sites.rest, REST)):
            await push(site, campaign, [number])
    for site in (sites.north, sites.rest):
        assert "removed" in (await site.wait("contact.rejected", contact="crm-120"))["reason"]
    await sites.rest.wait("contact.rejected", contact="crm-121")
    await sites.north.wait("call.ended", contact="crm-121")


async def what_is_written_into_one_is_carried_over(sites: Sharded) -> None:
    await sites.rest.write("dnc", {"id": "d-1", "op": "add", "phone": phone(130), "scope": "*"})
    await sites.rest.write("dnc", {"id": "d-2", "op": "add", "phone": phone(131), "scope": NORTH})
    await sites.rest.write("removals", {"id": "r-1", "campaign": "*", "contact": "crm-132"})
    await sites.north.wait("dnc.applied", ref="d-1")
    await sites.north.wait("dnc.applied", ref="d-2")
    await sites.north.wait("removal.not_found", ref="r-1")
    assert await listed_in(sites, 130) == [True, True]
    await push(sites.north, NORTH, [130, 131, 132])
    for number in (130, 131, 132):
        await sites.north.wait("contact.rejected", contact=f"crm-{number}")


async def a_stream_takes_its_own_campaigns_alone(sites: Sharded) -> None:
    await push(sites.rest, NORTH, [140])
    refused = await sites.rest.wait("message.rejected")
    assert "belongs to shard north; this is shard rest" in refused["reason"]


async def who_is_erased_is_forgotten_everywhere(sites: Sharded) -> None:
    node = sites.north.node
    assert node.sharding is not None
    assert await node.sharding.links.erase([phone(130)]) == 0
    assert await listed_in(sites, 130) == [False, False]


async def the_doctor_finds_both(sites: Sharded) -> None:
    found = await shard_findings(sites.north.settings)
    assert [(one.part, one.ok) for one in found] == [("shard north", True), ("shard rest", True)]
    assert await living(sites.north.settings.redis) == ["n-north", "n-rest"]
    other = redis_of("north", "redis://127.0.0.1:1", sites.rest.server.url)
    lost = await shard_findings(changed(sites.north.settings, redis=other))
    assert [one.ok for one in lost] == [False, True]


async def test_a_shard_that_is_lost_leaves_the_other_alone(
    tmp_path: Path, own_valkey: EmbeddedServer, valkey_server: EmbeddedServer
) -> None:
    async with sharded(tmp_path, valkey_server, own_valkey) as sites:
        north, rest = sites.north, sites.rest
        await begin(north, NORTH, agents=("ann", "bob"))
        await begin(rest, REST)
        await push(rest, REST, range(200, 210))
        await rest.wait("contact.accepted", 10)
        await rest.write("dnc", {"id": "d-1", "op": "add", "phone": phone(201), "scope": REST})
        await north.write("dnc", {"id": "d-2", "op": "add", "phone": phone(202), "scope": "*"})
        await north.write("removals", {"id": "r-1", "campaign": NORTH, "contact": "crm-1"})

        async def on_record() -> bool:
            held = DoNotCallList(north.node.database)
            return bool(await held.holding(phone(201), north.now) and await held.holding(phone(202), north.now))

        await until(on_record, "both entries in SQL")
        own_valkey.kill()
        refused = await sites.ask(north, "POST", "/dnc", {"entries": [{"phone": phone(203)}]}, key="crm")
        assert (refused.status, refused.body["details"]["carried_out"]) == (503, "no")
        assert "shard rest" in refused.body["message"]
        assert await north.client.sismember(f"cadencia:dnc:*:{phone(203)[1:-5]}", str(int(phone(203)[-5:]))) == 0
        own = await sites.ask(north, "POST", "/dnc", {"entries": [{"phone": phone(204), "scope": NORTH}]}, key="crm")
        assert own.status == 201
        # The other one goes on, and what is written there is for both.
        await north.write("dnc", {"id": "d-3", "op": "add", "phone": phone(205), "scope": "*"})
        await push(north, NORTH, range(8))
        await north.wait("call.ended", 7)
        assert {call["contact"] for call in await north.results("call.ended")} == {
            f"crm-{n}" for n in range(8) if n != 1
        }
        shutil.rmtree(own_valkey.directory / "appendonlydir")
        own_valkey.start()
        await until(lambda: rest.node.gatekeeper.is_open and not rest.node.gatekeeper.problem, "the gate opens again")

        async def knows() -> bool:
            return [(await listed_in(sites, number))[1] for number in (202, 205)] == [True, True]

        await until(knows, "the other shard's entries hold")
        assert (await listed_in(sites, 201, REST))[1]
        # Its own contacts, but those whose one number is listed by now.
        assert await rest.client.hlen(f"cadencia:data:{REST}") == 7
        kept: Any = await rest.client.keys(f"cadencia:*:{NORTH}*")
        assert [key for key in kept if not key.startswith(b"cadencia:dnc:")] == []
        assert (await sites.ask(north, "POST", "/dnc", {"entries": [{"phone": phone(203)}]}, key="crm")).status == 201
        await rest.node.queues.drain()
        assert await listed_in(sites, 203) == [True, True]


async def test_nodes_that_do_not_agree_do_not_start(
    tmp_path: Path, own_valkey: EmbeddedServer, valkey_server: EmbeddedServer
) -> None:
    async with sharded(tmp_path, own_valkey, valkey_server) as sites:
        redis = sites.north.settings.redis
        wrong = changed(redis, shards=(changed(redis.shards[0], campaigns=("north-*", "alps")), redis.shards[1]))
        for other, words in (
            (wrong, "are not those of this installation"),
            (Redis(url=redis.url), "settings have none"),
        ):
            settings = changed(sites.north.settings, node="n3", redis=other, data_dir=str(tmp_path / "n3"))
            with pytest.raises(ConfigError, match=words):
                async with Node(settings):
                    pass
        # The right table, with the servers the wrong way round: nobody is dialed.
        swapped = redis_of("north", redis.shards[1].url, redis.shards[0].url)
        settings = changed(sites.north.settings, node="n4", redis=swapped, data_dir=str(tmp_path / "n4"))
        async with Node(settings) as node:
            await until(lambda: "that of shard rest" in node.gatekeeper.problem, "it says which Redis this is")
            assert not node.gatekeeper.is_open
