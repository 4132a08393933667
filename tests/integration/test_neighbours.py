"""Nodes that know of each other, on a real server: who lives, who is at home where, and whom nobody believes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec
import pytest
from litestar.types import ASGIApp, Receive, Scope, Send
from redis.asyncio import Redis

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CallId, CampaignId, ServerName
from dialer.core.notices import AgentChanged
from dialer.errors import QueueError
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from dialer.queues.connection import AsyncRedis
from dialer.queues.keys import Keys
from dialer.runtime.forwarding import Forwarding
from dialer.runtime.home_choice import Policy
from dialer.runtime.neighbours import Neighbours
from dialer.runtime.node_client import HEADER, NodeClient
from dialer.runtime.node_seals import Seal, Ticket
from dialer.runtime.pictures import Neighbour, neighbour_seal
from dialer.runtime.shard_neighbours import ShardNeighbours
from dialer.testing import ManualClock
from tests.e2e.floor import until
from tests.integration.test_api_tls import certificate
from tests.patience import PATIENCE_S

KEY = b"k" * 32
KEYS = Keys()
ANN, WINTER = AgentId("ann"), CampaignId("winter")


class One:
    """A node as far as the others see it."""

    def __init__(
        self,
        redis: AsyncRedis,
        name: str,
        *,
        ahead_s: float = 0.0,
        boot: str = "b1",
        key: bytes = KEY,
        policy: Policy = "here",
        address: str = "http://127.0.0.1:9",
        keys: Keys = KEYS,
        abroad: Sequence[ShardNeighbours] = (),
    ) -> None:
        self.clock = ManualClock(1_800_000_000.0 + ahead_s)
        self.live = LiveView()
        self.metrics = Metrics(name)
        self.generation = "first"
        self.it = Neighbours(
            node=name,
            boot=boot,
            address=address,
            redis=redis,
            keys=keys,
            key=key,
            live=self.live,
            servers=lambda: ["pbx"],
            room_for=100,
            policy=policy,
            now=self.clock.now,
            generation=lambda: self.generation,
            abroad=abroad,
        )

    def seat(self, agent: AgentId, state: AgentState = AgentState.IDLE, server: ServerName | None = None) -> None:
        """An agent comes, or goes."""
        self.live.apply(
            AgentChanged(
                at=self.clock.now(),
                agent=agent,
                state=state,
                previous=AgentState.CONNECTING,
                previous_s=1.0,
                campaigns=(WINTER,),
                server=server,
            )
        )

    def counted(self, what: str) -> dict[str, float]:
        """A counter of this node by outcome, as far as something was counted."""
        found = (sample for metric in self.metrics.registry.collect() for sample in metric.samples)
        return {one.labels["outcome"]: one.value for one in found if one.name == f"cadencia_{what}_total" and one.value}


async def meet(*nodes: One) -> None:
    """Everybody hears of everybody, and of what goes on there."""
    for _ in range(2):
        for node in nodes:
            await node.it.beat()
    for node in nodes:
        await node.it.beat()


async def name(home: Awaitable[Neighbour | None]) -> str | None:
    """The name of a home elsewhere."""
    found = await home
    return None if found is None else found.node


@pytest.mark.parametrize("ahead_s", [0.0, 45.0, -3_600.0])
async def test_they_know_each_other_whatever_their_clocks_say(valkey: AsyncRedis, ahead_s: float) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2", ahead_s=ahead_s)
    second.seat(ANN)
    await meet(first, second)
    assert set(first.it.others()) == {"n2"}
    assert set(second.it.others()) == {"n1"}
    assert await name(first.it.home_of_agent(ANN)) == "n2"
    assert await name(second.it.home_of_agent(ANN)) is None
    assert first.it.home_of_call(CallId("n2-b1-0000000001")) is not None
    assert first.it.home_of_call(CallId("n2-b0-0000000001")) is None, "of a run before this one"
    assert abs(first.it.shared_now() - second.it.shared_now()) < 5.0
    second.seat(ANN, AgentState.SIGNED_OUT)
    await meet(first, second)
    assert await name(first.it.home_of_agent(ANN)) is None


async def test_who_has_heard_nobody_of_late_does_not_take_itself_for_alone(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    assert not first.it.alone(), "nobody was asked yet"
    await first.it.beat()
    assert first.it.alone()
    await meet(first, second)
    assert not first.it.alone()
    await second.it.leave()
    await first.it.beat()
    assert first.it.alone()
    first.clock.advance(6.0)
    assert not first.it.alone(), "Redis may be away, and others at work"


async def test_they_know_how_many_agents_others_have_on_each_server(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    one, two = ServerName("pbx1"), ServerName("pbx2")
    for agent, server in (("ann", one), ("bea", one), ("cleo", two), ("dora", None)):
        second.seat(AgentId(agent), server=server)
    first.seat(AgentId("eva"), server=two)
    await meet(first, second)
    assert first.it.agents_by_server() == {one: 2, two: 1}
    assert second.it.agents_by_server() == {two: 1}
    second.seat(AgentId("bea"), AgentState.SIGNED_OUT, server=one)
    await meet(first, second)
    assert first.it.agents_by_server() == {one: 1, two: 1}
    first.clock.advance(6.0)
    assert not first.it.agents_by_server(), "whoever is not heard of has nobody"


async def test_one_that_is_silent_is_dead_and_one_that_leaves_is_gone(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    second.seat(ANN)
    await meet(first, second)
    first.clock.advance(4.0)
    assert set(first.it.others()) == {"n2"}
    first.clock.advance(2.0)
    assert first.it.others() == {}
    assert await name(first.it.home_of_agent(ANN)) is None
    assert first.it.home_of_call(CallId("n2-b1-0000000001")) is None
    await meet(first, second)
    assert set(first.it.others()) == {"n2"}
    await second.it.leave()
    await second.it.beat()
    await first.it.beat()
    assert first.it.others() == {}


async def test_what_a_node_leaves_behind_may_be_on_no_record_for_a_while(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    made = CallId("n2-b1-0000000001")
    await meet(first, second)
    assert not first.it.left_behind(made)
    first.clock.advance(6.0)
    # It died; a call of nobody is as unknown as before.
    assert first.it.left_behind(made)
    assert not first.it.left_behind(CallId("n2-b0-0000000001"))
    first.clock.advance(36.0)
    await first.it.beat()
    assert not first.it.left_behind(made)
    await meet(first, second)
    await second.it.leave()
    await first.it.beat()
    assert first.it.left_behind(made)


async def test_a_call_of_a_node_that_has_begun_since_the_last_beat_is_known_at_once(valkey: AsyncRedis) -> None:
    """A CRM that reads of a connected call may send its code before the other nodes have heard of the new one."""
    first, second = One(valkey, "n1"), One(valkey, "n2")
    made = CallId("n2-b1-0000000001")
    await first.it.beat()
    assert await first.it.maker_of_call(made) is None
    assert not first.it.left_behind(made), "nobody has said that there is such a node"
    await second.it.beat()
    found = await first.it.maker_of_call(made)
    assert found is not None
    assert found.run == "n2 b1"
    assert set(first.it.others()) == {"n2"}
    assert first.it.home_of_call(made) is found, "from now on without a question"
    assert await first.it.maker_of_call(CallId("n2-b0-0000000001")) is None
    assert await first.it.maker_of_call(CallId("n1-b1-0000000001")) is None, "its own"


async def test_a_node_that_lived_for_less_than_a_beat_has_left_its_calls_behind(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    made = CallId("n2-b1-0000000001")
    await first.it.beat()
    await second.it.beat()
    first.clock.advance(6.0)
    assert await first.it.maker_of_call(made) is None
    assert first.it.left_behind(made), "its calls may be on no record yet"


async def test_a_call_of_a_node_of_another_shard_that_has_just_begun_is_known_at_once(valkey: AsyncRedis) -> None:
    there = One(valkey, "n2", keys=Keys("south"))
    abroad = ShardNeighbours("south", valkey, Keys("south"), neighbour_seal(KEY), ManualClock(1_800_000_000.0).now)
    here = One(valkey, "n1", abroad=(abroad,))
    await here.it.beat()
    await abroad.listen()
    made = CallId("n2-b1-0000000001")
    assert await here.it.maker_of_call(made) is None
    await there.it.beat()
    found = await here.it.maker_of_call(made)
    assert found is not None
    assert found.node == "n2"
    assert await here.it.maker_of_call(CallId("n2-b0-0000000001")) is None


async def test_another_shard_that_is_away_keeps_no_code_from_its_call(
    valkey: AsyncRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    away: AsyncRedis = Redis(port=1, socket_connect_timeout=0.5)
    abroad = ShardNeighbours("south", away, Keys("south"), neighbour_seal(KEY), ManualClock(1_800_000_000.0).now)
    here = One(valkey, "n1", abroad=(abroad,))
    await here.it.beat()
    assert await here.it.maker_of_call(CallId("n2-b1-0000000001")) is None
    await abroad.listen()

    async def asked(*_: object) -> None:
        raise AssertionError("it is known to be away")

    monkeypatch.setattr(away, "hget", asked)
    assert await here.it.maker_of_call(CallId("n2-b1-0000000001")) is None


async def test_nobody_knows_whose_call_it_is_while_redis_is_away() -> None:
    alone = One(Redis(port=1, socket_connect_timeout=0.5), "n1")
    with pytest.raises(QueueError):
        await alone.it.maker_of_call(CallId("n2-b1-0000000001"))
    assert await alone.it.maker_of_call(CallId("n1-b1-0000000001")) is None
    assert await alone.it.maker_of_call(CallId("nonsense")) is None


async def test_a_record_is_read_when_all_have_told_what_they_knew(valkey: AsyncRedis) -> None:
    """Redis has lost its memory: what each of them was acknowledged last is in none but their own."""
    first, second, new = One(valkey, "n1"), One(valkey, "n2"), One(valkey, "n3")
    new.generation = ""
    await meet(first, second, new)
    await valkey.delete(KEYS["neighbours"])
    assert await new.it.all_have_told(0.0), "it knew nothing"
    assert not await first.it.all_have_told(0.0), "the other is not forgotten with the rest"
    waits = asyncio.create_task(first.it.all_have_told(PATIENCE_S))
    assert await second.it.all_have_told(PATIENCE_S), "the first one has told"
    assert await waits
    first.generation = second.generation = "second"
    await meet(first, second)
    assert not await first.it.all_have_told(0.0), "of the next loss nobody has told anything"


async def test_nobody_waits_for_what_a_dead_node_knew(valkey: AsyncRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.runtime.neighbours._HOLDS_S", 1.0)
    first, second = One(valkey, "n1"), One(valkey, "n2")

    async def met() -> bool:
        await meet(first, second)
        return set(first.it.others()) == {"n2"}

    await until(met, "the first knows the second")
    assert await first.it.all_have_told(PATIENCE_S)


async def test_nobody_believes_who_has_not_the_key(valkey: AsyncRedis) -> None:
    first, stranger = One(valkey, "n1"), One(valkey, "n2", key=b"x" * 32, address="http://evil.example")
    await stranger.it.beat()
    lie = Neighbour(node="n3", boot="b", address="http://evil.example", until=4e9)
    packed = msgspec.msgpack.encode(lie)
    await valkey.hset(
        KEYS["neighbours"],
        mapping={
            "n3 b": packed,
            "n4 b": Seal(KEY, "another purpose").close(packed),
            "n5 b": b"",
            "n6 b": Seal(KEY, "cadencia-neighbour").close(b"\xc1"),
        },
    )
    await first.it.beat()
    assert first.it.others() == {}
    assert await valkey.hkeys(KEYS["neighbours"]) == [b"n1 b1"], "what is nobody's is thrown out"


async def test_a_picture_of_another_version_is_passed_over(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    await meet(first, second)
    await valkey.set(KEYS.of("picture", "n2 b1"), Seal(KEY, "cadencia-neighbour").close(b"\x01"))
    await first.it.beat()
    assert set(first.it.others()) == {"n2"}
    assert first.it.pictures() == {}


@pytest.mark.parametrize("policy", ["here", "together"])
async def test_asked_at_once_everywhere_an_agent_has_one_home(valkey: AsyncRedis, policy: Policy) -> None:
    nodes = [One(valkey, f"n{number}", policy=policy) for number in (1, 2, 3)]
    nodes[2].seat(AgentId("bob"))
    await meet(*nodes)
    for number in range(10):
        agent = AgentId(f"a{number}")
        homes = await asyncio.gather(*(node.it.sign_in_at(agent, ["winter"], None) for node in nodes))
        names = {node.it.node if home is None else home.node for node, home in zip(nodes, homes, strict=True)}
        assert len(names) == 1
        assert policy == "here" or names == {"n3"}, "where their colleagues are"
        for node in nodes:
            assert (await name(node.it.home_of_agent(agent)) or node.it.node) in names | {node.it.node}


async def test_a_dead_node_keeps_nobody(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    await meet(first, second)
    assert await second.it.sign_in_at(ANN, ["winter"], None) is None
    assert await name(first.it.home_of_agent(ANN)) == "n2"
    again = One(valkey, "n2", boot="b2")
    await second.it.leave()
    await meet(first, again)
    assert await name(first.it.home_of_agent(ANN)) is None, "it has come back and knows nothing"
    assert await first.it.sign_in_at(ANN, ["winter"], None) is None
    assert await name(again.it.home_of_agent(ANN)) == "n1"


async def test_who_names_a_server_goes_where_it_is(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    first.it._servers = lambda: ["other"]
    await meet(first, second)
    assert await name(first.it.sign_in_at(ANN, ["winter"], "pbx")) == "n2"


# ---- requests that are handed on


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _ask(
    app: Forwarding, path: str, headers: list[tuple[bytes, bytes]] | None = None, method: str = "POST"
) -> tuple[int, bytes]:
    """A request without a body, by ASGI."""
    sent: list[dict[str, object]] = []
    left = asyncio.Event()
    given = False

    async def receive() -> dict[str, object]:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers or [],
        "client": ("10.9.8.7", 5),
    }
    await app(scope, receive, send)  # type: ignore[arg-type]  # as much of it as is looked at
    body = b"".join(message.get("body", b"") for message in sent)  # type: ignore[misc]
    return int(str(sent[0]["status"])), body


class Everybody:
    """Whoever asks is known, unless they say that they are not."""

    async def known(self, authorization: str, cookies: str, address: str) -> bool:
        return authorization != "stranger"

    async def agent_of(self, cookies: str) -> AgentId | None:
        return AgentId(cookies) if cookies else None


def _forwarding(
    node: One, asked: list[Scope], inner: ASGIApp | None = None, *, ca_file: str = ""
) -> tuple[Forwarding, NodeClient]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope)
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})

    async def dispose(event: object) -> None:
        raise AssertionError("nothing is closed here")

    client = NodeClient(node.it, KEY, ca_file=ca_file, timeout_s=16.0, figures=node.metrics)
    return Forwarding(inner or app, node.it, client, Everybody(), dispose), client


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", b'"carried_out":"unknown"'),
        (b"HTTP/1.1 nonsense\r\n\r\n", b'"carried_out":"unknown"'),
    ],
)
async def test_an_owner_killed_at_work_is_not_asked_twice(valkey: AsyncRedis, answer: bytes, told: bytes) -> None:
    requests: list[bytes] = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(dies, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    first, second = One(valkey, "n1"), One(valkey, "n2", address=f"http://127.0.0.1:{port}")
    second.seat(ANN)
    await meet(first, second)
    here: list[Scope] = []
    app, client = _forwarding(first, here)
    try:
        status, body = await _ask(app, "/api/v1/agents/ann/hangup")
    finally:
        await client.close()
        server.close()
        await server.wait_closed()
    assert (status, here) == (503, [])
    assert told in body
    assert len(requests) == 1, "nothing is ever sent again"
    assert first.counted("requests_handed_on") == {"unanswered": 1}
    assert requests[0].startswith(b"POST /api/v1/agents/ann/hangup HTTP/1.1\r\n")


async def test_nobody_answers_where_the_owner_was(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2", address="http://127.0.0.1:9")
    second.seat(ANN)
    silent = One(valkey, "n3", address="")
    silent.seat(AgentId("bob"))
    await meet(first, second, silent)
    here: list[Scope] = []
    app, client = _forwarding(first, here)
    try:
        status, body = await _ask(app, "/api/v1/agents/ann/hangup")
        assert (status, b'"carried_out":"no"' in body) == (503, True)
        status, body = await _ask(app, "/api/v1/agents/bob/hangup")
        assert (status, b"cluster.address" in body) == (503, True)
        assert (await _ask(app, "/api/v1/agents/nobody/hangup"))[0] == 202
        assert (await _ask(app, "/console/agents/ann/state"))[1].startswith(b"node n2"), "plain words for people"
    finally:
        await client.close()
    assert [scope["path"] for scope in here] == ["/api/v1/agents/nobody/hangup"]
    assert first.counted("requests_handed_on") == {"unreachable": 2, "no_address": 1}


async def test_a_request_is_handed_on_once_with_its_address(valkey: AsyncRedis) -> None:
    """The second is the home of nobody, so a second hop would find it; it must not look."""
    first, second = One(valkey, "n1"), One(valkey, "n2")
    first.seat(ANN)
    await meet(first, second)
    asked: list[Scope] = []
    app, client = _forwarding(second, asked)
    (_, sender) = _forwarding(first, [])
    home = first.it.others()["n2"]
    tickets: list[str] = []
    write = sender.tickets.write

    def kept(ticket: Ticket) -> str:
        tickets.append(write(ticket))
        return tickets[-1]

    sender.tickets.write = kept  # type: ignore[method-assign]  # what goes over the wire is looked at
    try:
        with pytest.raises(aiohttp.ClientConnectorError):
            await sender.request(home, "POST", "/api/v1/agents/ann/pause", b"", address="10.1.1.1").__aenter__()
        headers = [(HEADER.encode(), tickets[0].encode())]
        assert (await _ask(app, "/api/v1/agents/ann/pause", headers))[0] == 202
        assert asked[0]["client"] == ("10.1.1.1", 0)
        assert dict(asked[0]["headers"]) == {}
        assert (await _ask(app, "/api/v1/agents/ann/pause", headers))[0] == 403, "sent again by somebody who listened"
        with pytest.raises(aiohttp.ClientConnectorError):
            await sender.request(home, "POST", "/api/v1/agents/ann/ready", b"").__aenter__()
        moved = [(HEADER.encode(), tickets[1].encode())]
        assert (await _ask(app, "/api/v1/agents/bob/ready", moved))[0] == 403, "for another address"
        assert (await _ask(app, "/nodes/v1/disposed"))[0] == 202, "without a ticket it is nothing but an address"
    finally:
        await client.close()
        await sender.close()
    assert second.counted("requests_taken") == {"taken": 1, "refused": 2}


async def test_strangers_move_nothing(valkey: AsyncRedis) -> None:
    first, second = One(valkey, "n1"), One(valkey, "n2")
    second.seat(ANN)
    await meet(first, second)
    asked: list[Scope] = []
    app, client = _forwarding(first, asked)
    stranger = [(b"authorization", b"stranger")]
    try:
        for path in ("/api/v1/agents/ann/pause", "/api/v1/agents/eve/sign-in", "/console/agents/ann"):
            assert (await _ask(app, path, stranger))[0] == 202
    finally:
        await client.close()
    assert len(asked) == 3, "the application turns them away"
    assert await valkey.keys(KEYS.of("claim", "*")) == [], "and nobody is claimed for them"


async def test_a_stream_about_an_agent_ends_when_they_are_at_home_elsewhere(valkey: AsyncRedis) -> None:
    """Whoever looks comes again, and is led to the new home."""
    first, second = One(valkey, "n1"), One(valkey, "n2")
    await meet(first, second)
    begun = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here", "more_body": True})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    app, client = _forwarding(first, [], endless)
    try:
        async with asyncio.timeout(PATIENCE_S):
            asking = asyncio.create_task(_ask(app, "/console/stream/agent/ann", method="GET"))
            await begun.wait()
            second.seat(ANN)
            await meet(first, second)
            assert await asking == (200, b"here")
    finally:
        await client.close()


async def test_a_stream_from_another_node_ends_when_the_agent_has_left_it(valkey: AsyncRedis) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nthere")
        await writer.drain()
        begun.set()
        await reader.read()
        gone.set()
        writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    first, second = One(valkey, "n1"), One(valkey, "n2", address=f"http://127.0.0.1:{port}")
    second.seat(ANN)
    await meet(first, second)
    app, client = _forwarding(first, [])
    try:
        async with asyncio.timeout(PATIENCE_S):
            asking = asyncio.create_task(_ask(app, "/console/stream/agent/ann", method="GET"))
            await begun.wait()
            second.seat(ANN, AgentState.SIGNED_OUT)
            first.seat(ANN)
            assert await asking == (200, b"there")
            await gone.wait()
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


async def test_people_and_keys_go_to_nobody_without_a_certificate(valkey: AsyncRedis, tmp_path: Path) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\nconnection: close\r\n\r\nthere")
        await writer.drain()
        writer.close()

    file, key = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    server = await asyncio.start_server(answers, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    first, second = One(valkey, "n1"), One(valkey, "n2", address=f"https://localhost:{port}")
    second.seat(ANN)
    await meet(first, second)
    told = []
    try:
        for ca_file in (file, ""):
            app, client = _forwarding(first, [], ca_file=ca_file)
            try:
                told.append(await _ask(app, "/api/v1/agents/ann/pause"))
            finally:
                await client.close()
    finally:
        server.close()
        await server.wait_closed()
    assert told[0] == (202, b"there")
    assert first.counted("requests_handed_on") == {"answered": 1, "unreachable": 1}
    begun = next(one for one in first.metrics.registry.collect() if one.name == "cadencia_handed_on_answer_seconds")
    assert [one.value for one in begun.samples if one.name.endswith("_count")] == [1]
    assert (told[1][0], b'"carried_out":"no"' in told[1][1]) == (503, True)
