"""The other nodes of the installation: who lives, where they are reached, who is at home there, and what goes on.

Each node says so in Redis every second, under seal and with the moment until which it holds, by the clock of Redis; one
that dies is not asked any more after `_HOLDS_S`. Where there are others, each tells what goes on at it too. An agent
who signs in is claimed for their node for some seconds, so that two nodes asked at once choose the same.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CallId, ServerName
from dialer.core.shards import ONE_REDIS, Shards
from dialer.errors import QueueError
from dialer.projections.live import LiveView
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.runtime.concerns import node_of_call
from dialer.runtime.home_choice import Candidate, Policy, choose_home
from dialer.runtime.pictures import Neighbour, Picture, keep_latest, neighbour_seal, said_by
from dialer.runtime.shard_neighbours import ShardNeighbours

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 1.0
#: A node that has not been heard of for so long is dead: as long as its calls are left to it.
_HOLDS_S: Final = 5.0
#: Longer than it takes until the others are told who is at home where.
_CLAIM_S: Final = 15.0
#: Nobody waits long to say good-bye.
_LEAVE_S: Final = 1.0
_MOST_SAID: Final = 100
#: So long after the end of a node its calls may be neither taken over nor on record yet.
_LEFT_BEHIND_S: Final = 30.0
#: How often it is asked whether all have told what they know.
_ASKED_EVERY_S: Final = 0.1
#: An answer that took longer says too little about clocks.
_QUICK_S: Final = 0.5
_STRANGER: Final = "stranger"
_OTHER_VERSION: Final = "other version"
_GONE: Final = frozenset({AgentState.SIGNED_OUT.value})

#: Claims KEYS[1] as ARGV[1] for ARGV[3] ms, unless somebody else than the dead ARGV[2] has it; tells who has it.
_CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[2] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return ARGV[1]
"""


class Neighbours:
    """Knows the others, and lets them know this one.

    Args:
        node: this one.
        boot: its name for this run.
        address: where the others reach its API; empty: nowhere.
        redis: a client.
        keys: of the installation.
        key: that all nodes share.
        live: what goes on here.
        servers: tells which Asterisk servers are connected.
        room_for: agents that this node takes while another has room.
        policy: where agents sign in to.
        now: the clock.
        generation: tells which generation of Redis' memory this node works with; empty: none yet.
        shards: the table; agents sign in where their campaigns are.
        abroad: the nodes of the other shards.
    """

    def __init__(
        self,
        *,
        node: str,
        boot: str,
        address: str,
        redis: AsyncRedis,
        keys: Keys,
        key: bytes,
        live: LiveView,
        servers: Callable[[], Collection[str]],
        room_for: int,
        policy: Policy,
        now: Callable[[], float],
        generation: Callable[[], str] = str,
        shards: Shards = ONE_REDIS,
        abroad: Sequence[ShardNeighbours] = (),
    ) -> None:
        self.node: Final = node
        self.boot: Final = boot
        self.address = address
        self._redis = redis
        self._keys = keys
        self._seal = neighbour_seal(key)
        self._live = live
        self._servers = servers
        self._room_for = room_for
        self._policy: Final[Policy] = policy
        self._now = now
        self._generation = generation
        self.shards: Final = shards
        self._abroad: Final = {each.shard: each for each in abroad}
        #: What is to be added to this node's clock to have that of all.
        self._ahead_s = 0.0
        #: The same the other way round, as exactly as it is known; None: not yet.
        self._clock_ahead_s: float | None = None
        self._known: dict[str, Neighbour] = {}
        #: The same, also where a Redis that lost its memory knows of them no more.
        self._lately: dict[str, Neighbour] = {}
        #: Every other run that was heard of late, those of this node before included: until when it said that it lives.
        self._runs: dict[str, float] = {}
        #: The generation that was lost last, once all that is known of it here is told.
        self._told = ""
        #: When it was last heard who there is, by the shared clock.
        self._heard_at = -math.inf
        self._pictures: dict[str, Picture] = {}
        self._homes: dict[str, str] = {}
        self._leaving = False
        self._said: set[tuple[str, str]] = set()

    # ---- out

    def shared_now(self) -> float:
        """Unix seconds by the clock of Redis, as of the last beat."""
        return self.shared(self._now())

    def shared(self, now: float) -> float:
        """A moment of this node's clock by that of Redis."""
        return now + self._ahead_s

    def clock_of(self, other: Neighbour) -> float:
        """Unix seconds by the clock that another node goes by: that of its Redis."""
        abroad = self._abroad.get(other.shard)
        return self.shared_now() if abroad is None else abroad.shared_now()

    def others(self) -> dict[str, Neighbour]:
        """The other nodes that live, by their names, of all shards."""
        found = {name: one for abroad in self._abroad.values() for name, one in abroad.others().items()}
        found.pop(self.node, None)
        return found | self._here()

    def home_of_campaign(self, campaign: str) -> Neighbour | None:
        """A node of another shard that a campaign belongs to, of several that with the fewest agents; None: none lives.

        Of a campaign of the own shard it is this one, and none is told.
        """
        abroad = self._abroad.get(self.shards.of(campaign))
        return None if abroad is None else min(abroad.others().values(), key=_fewest_agents, default=None)

    def _here(self) -> dict[str, Neighbour]:
        """Those of the own shard."""
        now = self.shared_now()
        return {one.node: one for one in self._known.values() if one.until > now}

    def alone(self) -> bool:
        """Whether there is certainly no other node; not where it was not heard of late who there is."""
        return not self.others() and self.shared_now() - self._heard_at < _HOLDS_S

    def agents_by_server(self) -> Counter[ServerName]:
        """Agents who are at home at other nodes, by the Asterisk server that has their phone, as of a second ago."""
        found = Counter[ServerName]()
        for other in self.others().values():
            found.update({ServerName(server): count for server, count in other.on_servers.items()})
        return found

    def pictures(self) -> Mapping[str, Picture]:
        """What goes on at the others that live, by their names."""
        pictures = {name: one for abroad in self._abroad.values() for name, one in abroad.pictures.items()}
        pictures |= self._pictures
        return {name: pictures[name] for name in sorted(self.others()) if name in pictures}

    async def home_of_agent(self, agent: AgentId) -> Neighbour | None:
        """The other node that an agent is at home at; None: it is this one, or none.

        Raises:
            QueueError: nobody here knows them, and Redis is out of reach.
        """
        others = self.others()
        if not others:
            return None
        row = self._live.agent(agent)
        if row is not None and row.state not in _GONE:
            return None
        known = others.get(self._homes.get(agent, "")) or self._home_abroad(agent)
        if known is not None:
            return known
        with redis_errors():
            held: Any = await self._redis.get(self._claim_key(agent))
        return self._running(held, others)

    async def place_of(self, agent: AgentId) -> str:
        """The node that an agent is at home at; empty: none.

        Raises:
            QueueError: as `home_of_agent`.
        """
        row = self._live.agent(agent)
        if row is not None and row.state not in _GONE:
            return self.node
        home = await self.home_of_agent(agent)
        return "" if home is None else home.node

    def home_of_call(self, call: CallId) -> Neighbour | None:
        """The other node that makes a call, as long as it lives; None: it is this one, or the record has it."""
        made = node_of_call(call)
        found = None if made is None else self.others().get(made[0])
        return found if made is not None and found is not None and found.boot == made[1] else None

    async def maker_of_call(self, call: CallId) -> Neighbour | None:
        """The same, where it may have begun since the last beat: a CRM's code for its first call may be here before.

        Raises:
            QueueError: nobody has heard of that run of a node yet, and Redis is out of reach.
        """
        made = node_of_call(call)
        if made is not None and made != (self.node, self.boot) and self.home_of_call(call) is None:
            run = " ".join(made)
            if run not in self._runs:
                await self._meet(run)
                for abroad in self._abroad.values():
                    await abroad.meet(run)
        return self.home_of_call(call)

    def left_behind(self, call: CallId) -> bool:
        """Whether a call was made by a node that has ended so lately that nobody may know of it yet."""
        made = node_of_call(call)
        return made is not None and " ".join(made) in self._runs and self.home_of_call(call) is None

    async def sign_in_at(self, agent: AgentId, campaigns: Collection[str], server: str | None) -> Neighbour | None:
        """The other node that an agent signs in at, claimed for them; None: this one.

        Raises:
            QueueError: Redis is out of reach.
        """
        others = self.others()
        if not others:
            return None
        known = await self.home_of_agent(agent)
        if known is not None:
            return known
        row = self._live.agent(agent)
        mine = self._own()
        if row is not None and row.state not in _GONE:
            return None
        elsewhere = next((each for each in campaigns if not self.shards.mine(each)), None)
        if elsewhere is not None:
            return self.home_of_campaign(elsewhere)
        others = self._here()
        candidates = [_candidate(one) for one in (mine, *others.values()) if one is mine or one.address]
        chosen = choose_home(candidates, self.node, campaigns, server, self._policy)
        wanted = others.get(chosen, mine)
        key = self._claim_key(agent)
        with redis_errors():
            held: Any = await self._redis.get(key)
            # Of somebody dead, or of a run before this one.
            stale = held if held is not None and held.decode() != mine.run and not self._running(held, others) else b""
            redis: Any = self._redis  # its types know no scripts that are awaited
            got: bytes = await redis.eval(_CLAIM, 1, key, wanted.run, stale, int(_CLAIM_S * 1_000))
        return None if got.decode() == mine.run else self._running(got, others) or wanted

    async def all_have_told(self, within_s: float) -> bool:
        """Where Redis has lost its memory: say that what this node knew is told, and wait for the others that live.

        False: one of them has not told within that time.

        Raises:
            QueueError: Redis is out of reach.
        """
        self._told = lost = self._generation()
        give_up_at = asyncio.get_running_loop().time() + within_s
        while lost:
            await self.beat()
            if all(one.knows != lost for one in self._lately.values()):
                break
            if asyncio.get_running_loop().time() >= give_up_at:
                return False
            await asyncio.sleep(_ASKED_EVERY_S)
        return True

    # ---- life

    async def run(self) -> None:
        """Beat and listen, for ever."""
        trouble = ""
        while True:
            try:
                await self.beat()
            except QueueError as error:
                if str(error) != trouble:
                    _log.warning("the other nodes are not heard", error=str(error))
                trouble = str(error)
            else:
                trouble = ""
            await asyncio.sleep(_EVERY_S)

    async def beat(self) -> None:
        """Say once that this node lives, and hear of the others.

        Raises:
            QueueError: Redis is out of reach.
        """
        with redis_errors():
            asked_at = self._now()
            seconds, microseconds = await self._redis.time()
            answered_at, told = self._now(), float(seconds) + microseconds / 1e6
            self._ahead_s = told - answered_at
            if answered_at - asked_at < _QUICK_S:
                self._clock_ahead_s = (asked_at + answered_at) / 2 - told
            own = self._own()
            pipeline = self._redis.pipeline(transaction=False)
            if not self._leaving:
                pipeline.hset(self._keys["neighbours"], own.run, self._seal.close(msgspec.msgpack.encode(own)))
            if not self._leaving and self.others():
                content = Picture(view=self._live.snapshot(self._now()), calls=self._live.calls())
                sealed = self._seal.close(msgspec.msgpack.encode(content))
                pipeline.set(self._keys.of("picture", own.run), sealed, px=int(_HOLDS_S * 1_000))
            pipeline.hgetall(self._keys["neighbours"])
            said: Any = (await pipeline.execute())[-1]
            await self._hear(said)

    async def leave(self) -> None:
        """Tell the others that nothing is to be handed to this node any more; they find out anyway."""
        self._leaving = True
        try:
            async with asyncio.timeout(_LEAVE_S):
                with redis_errors():
                    await self._redis.hdel(self._keys["neighbours"], self._own().run)
        except (QueueError, TimeoutError) as error:
            _log.info("the other nodes were not told that this one stops", error=str(error))

    # ---- inside

    async def _meet(self, run: str) -> None:
        """Look whether a run of a node of which nothing was heard has said by now that it lives."""
        with redis_errors():
            sealed: Any = await self._redis.hget(self._keys["neighbours"], run)
        one = None if sealed is None else said_by(self._seal, sealed)
        now = self.shared_now()
        if one is None or one.run != run or one.until < now - _LEFT_BEHIND_S:
            return
        self._runs[run] = one.until
        if one.node != self.node and one.until > now:
            keep_latest(self._known, one)
            keep_latest(self._lately, one)

    async def _hear(self, said: Mapping[bytes, bytes]) -> None:
        now, gone = self.shared_now(), []
        known: dict[str, Neighbour] = {}
        for run, sealed in said.items():
            one = said_by(self._seal, sealed)
            if one is None:
                who = run[:64].hex()
                if self._first_time(_STRANGER, who):
                    _log.warning("somebody who is no node of ours says that they are one", who=who)
            if one is None or one.until < now - 60.0:
                gone.append(run)
                continue
            if (one.node, one.boot) != (self.node, self.boot):
                self._runs[one.run] = one.until
            if one.until > now and one.node != self.node:
                keep_latest(known, one)
        if gone:
            await self._redis.hdel(self._keys["neighbours"], *gone)
        self._known = known
        self._runs = {run: until for run, until in self._runs.items() if until > now - _LEFT_BEHIND_S}
        self._lately = {name: one for name, one in (self._lately | known).items() if one.until > now}
        self._heard_at = now
        self._pictures = await self._look(list(known.values()))
        self._homes = {
            row.id: name
            for name, picture in self._pictures.items()
            for row in picture.view.agents
            if row.state not in _GONE
        }

    async def _look(self, others: list[Neighbour]) -> dict[str, Picture]:
        if not others:
            return {}
        seen: dict[str, Picture] = {}
        shown: Any = await self._redis.mget([self._keys.of("picture", one.run) for one in others])
        for one, sealed in zip(others, shown, strict=True):
            content = None if sealed is None else self._seal.open(sealed)
            try:
                if content is not None:
                    seen[one.node] = msgspec.msgpack.decode(content, type=Picture)
            except msgspec.DecodeError:
                if self._first_time(_OTHER_VERSION, one.run):
                    _log.warning("what goes on at a node of another version is not shown", run=one.run)
        return seen

    def _first_time(self, what: str, who: str) -> bool:
        """Whether this is to be said of somebody: once, and not of more than can be read."""
        if (what, who) in self._said or len(self._said) >= _MOST_SAID:
            return False
        self._said.add((what, who))
        return True

    def _own(self) -> Neighbour:
        rows = [row for row in self._live.agents(self._now()) if row.state not in _GONE]
        return Neighbour(
            node=self.node,
            boot=self.boot,
            address=self.address,
            until=self.shared_now() + _HOLDS_S,
            servers=tuple(sorted(self._servers())),
            agents=len(rows),
            of_campaigns=dict(Counter(campaign for row in rows for campaign in row.campaigns)),
            on_servers=dict(Counter(row.server for row in rows if row.server is not None)),
            room_for=self._room_for,
            machine=socket.gethostname(),
            clock_ahead_s=self._clock_ahead_s,
            knows="" if (knows := self._generation()) == self._told else knows,
            shard=self.shards.own,
        )

    def _home_abroad(self, agent: AgentId) -> Neighbour | None:
        """The node of another shard that an agent is at home at."""
        for abroad in self._abroad.values():
            for name, picture in abroad.pictures.items():
                if any(row.id == agent and row.state not in _GONE for row in picture.view.agents):
                    return abroad.others().get(name)
        return None

    def _claim_key(self, agent: AgentId) -> str:
        return self._keys.of("claim", agent)

    @staticmethod
    def _running(run: bytes | None, others: Mapping[str, Neighbour]) -> Neighbour | None:
        """The other node that a claim names, as long as it runs."""
        name, _, boot = (run or b"").partition(b" ")
        found = others.get(str(name, "ascii", "replace"))
        return found if found is not None and found.boot.encode() == boot else None


def _candidate(one: Neighbour) -> Candidate:
    return Candidate(
        node=one.node,
        servers=frozenset(one.servers),
        agents=one.agents,
        of_campaigns=one.of_campaigns,
        room_for=one.room_for,
    )


def _fewest_agents(one: Neighbour) -> tuple[int, str]:
    return one.agents, one.node
