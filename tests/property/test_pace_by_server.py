"""A customer can only be moved within one Asterisk: each server is paced as a floor of its own.

- whatever happens, each pacer knows the agents and calls of its own server, and of no other;
- what is done on one server is what would be done if it were alone;
- where all agents are on one server, it makes no difference how many there are;
- what the legal windows hold is divided among the servers to the last person.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.call import CallState
from dialer.core.campaign import Campaign
from dialer.core.floor import PACED_AS
from dialer.core.ids import AgentId, CallId, ServerName
from dialer.core.pacers import divided
from pacing.legal_window import Held, LegalWindow
from tests.engine_harness import CAMPAIGN, Harness

A, B = ServerName("a"), ServerName("b")
#: Seconds after which everything that was to be decided has been.
SETTLED_S = 0.75

kinds = st.sampled_from(
    [
        "answer", "answer", "answer", "hang_up", "hang_up", "ready", "ready", "pause", "phone_gone", "sign_in", "move",
        "sign_out", "cut", "back", "back", "wait",
    ]
)  # fmt: skip
events = st.tuples(st.sampled_from([A, B]), kinds, st.integers(min_value=0, max_value=5))
lives = st.lists(events, min_size=15, max_size=50)


def floor(*servers: ServerName, agents_on: tuple[ServerName, ...], method: str = "progressive") -> Harness:
    h = Harness(Campaign(id=CAMPAIGN, method=method, ratio=2.0, wrapup_limit_s=None), servers=servers)
    h.start()
    for server in agents_on:
        for number in range(3):
            h.sign_in(f"{server}{number}", server=server)
    h.advance(SETTLED_S)
    return h


def calls_on(h: Harness, server: ServerName) -> list[CallId]:
    return [call.id for call in h.engine.floor.calls.values() if call.server == server]


def live(h: Harness, server: ServerName, kind: str, which: int, *, elsewhere: ServerName | None = None) -> None:
    """Something happens on a server; what cannot happen does not. Who signs in again may do so elsewhere."""
    agent, calls = AgentId(f"{server}{which % 3}"), calls_on(h, server)
    reachable = h.engine.floor.connected(server)
    if kind in {"answer", "hang_up"} and calls and reachable:
        call = calls[which % len(calls)]
        if kind == "hang_up":
            h.hang_up(call)
        else:
            h.answer(call)
            found = h.engine.floor.calls[call]
            if found.agent is not None and found.state is CallState.WAITING:
                h.join(call)
    elif kind in {"sign_in", "move"}:
        if kind == "move":
            h.feed(ev.AgentPhoneGone(at=h.now, agent=agent, reason="hangup"))
        if h.agent_state(agent) in {"lost", "signed_out"}:
            h.sign_in(agent, server=elsewhere or server)
    elif kind == "cut":
        h.feed(ev.ServerLost(at=h.now, server=server, reason="cut"))
    elif kind == "back" and not reachable:
        rooms = {one.id for one in h.engine.floor.roster if one.server == server}
        h.feed(ev.ServerConnected(at=h.now, server=server, calls=frozenset(calls[which:]), agents=frozenset(rooms)))
    elif kind in {"ready", "pause", "phone_gone", "sign_out"} and h.engine.floor.roster.get(agent) is not None:
        event: ev.AnyEvent = ev.AgentReadied(at=h.now, agent=agent)
        if kind == "pause":
            event = ev.AgentPauseAsked(at=h.now, agent=agent, code="lunch")
        elif kind == "phone_gone":
            event = ev.AgentPhoneGone(at=h.now, agent=agent, reason="hangup")
        elif kind == "sign_out":
            event = ev.AgentSignedOut(at=h.now, agent=agent)
        h.feed(event)


def check_pictures(h: Harness) -> None:
    core = h.engine.floor
    for server, pacer in core.campaigns[CAMPAIGN].pacers.items():
        told = pacer.snapshot()
        agents: Counter[str] = Counter()
        for agent in core.roster:
            if agent.server == server and core.connected(server):
                agents["leaving" if agent.leaving and agent.state in PACED_AS else PACED_AS.get(agent.state, "")] += 1
        assert {name: told[name] for name in ("idle", "talking", "wrapup", "leaving")} == {
            name: agents[name] for name in ("idle", "talking", "wrapup", "leaving")
        }, f"agents on {server}"
        states = [call.state for call in core.calls.values() if call.server == server and not call.missing]
        waiting = sum(state is CallState.WAITING for state in states)
        ringing = sum(state in {CallState.DIALING, CallState.RINGING} for state in states)
        assert (told["in_flight"], told["waiting"]) == (ringing, waiting), f"calls on {server}"


@settings(max_examples=40, deadline=None)
@given(script=lives)
def test_each_pacer_knows_its_own_server(script: list[tuple[ServerName, str, int]]) -> None:
    h = floor(A, B, agents_on=(A, B), method="ratio")
    for server, kind, which in script:
        live(h, server, kind, which, elsewhere=(A, B)[which % 2])
        check_pictures(h)
        h.advance(0.4)
        check_pictures(h)


def standing(h: Harness, server: ServerName) -> tuple[object, ...]:
    calls = h.engine.floor.calls
    agents = {one.id: one.state for one in h.engine.floor.roster if one.server == server}
    return [calls[call].state for call in calls_on(h, server)], agents


@settings(max_examples=25, deadline=None)
@given(script=lives, method=st.sampled_from(["progressive", "ratio"]))
def test_a_server_is_paced_as_if_it_were_alone(script: list[tuple[ServerName, str, int]], method: str) -> None:
    both = floor(A, B, agents_on=(A, B), method=method)
    alone = {server: floor(server, agents_on=(server,), method=method) for server in (A, B)}
    for server, kind, which in script:
        for h in (both, alone[server]):
            live(h, server, kind, which)
        for h in (both, *alone.values()):
            h.advance(SETTLED_S)
        for name, its in alone.items():
            assert standing(both, name) == standing(its, name)


@settings(max_examples=15, deadline=None)
@given(script=lives, method=st.sampled_from(["progressive", "ratio", "predictive"]))
def test_servers_without_agents_make_no_difference(script: list[tuple[ServerName, str, int]], method: str) -> None:
    one, more = (floor(*servers, agents_on=(A,), method=method) for servers in ((A,), (B, A, ServerName("c"))))
    for _, kind, which in script:
        for h in (one, more):
            live(h, A, kind, which)
            h.advance(SETTLED_S)
    watched = (cmd.RequestPermits, cmd.Originate, ntc.PaceDecided, ntc.CallEnded)
    first, second = ([output for output in h.out if isinstance(output, watched)] for h in (one, more))
    assert first == second


counts = st.integers(min_value=0, max_value=10**6)
helds = st.lists(st.tuples(counts, counts), max_size=8).map(
    lambda pairs: tuple(
        Held(answers=served + lost, abandoned=lost, at=float(at)) for at, (served, lost) in enumerate(pairs)
    )
)
weights = st.dictionaries(
    st.sampled_from([ServerName(name) for name in "abcde"]), st.integers(min_value=0, max_value=10**6), min_size=1
).filter(lambda shares: any(shares.values()))


@given(held=helds, shares=weights)
def test_history_is_divided_to_the_last_person(held: tuple[Held, ...], shares: dict[ServerName, int]) -> None:
    window = LegalWindow(name="30 days", limit=0.02, length_s=86_400.0, held=held)
    parts = divided((window, LegalWindow(name="this campaign")), shares)
    assert set(parts) == set(shares)
    total = sum(shares.values())
    for server, (first, second) in parts.items():
        assert (first.name, first.limit, first.length_s, second.held) == ("30 days", 0.02, 86_400.0, ())
        if not shares[server]:
            assert not first.held
    so_far = Counter[ServerName]()
    people = 0
    for whole in held:
        its = [(server, one) for server, (first, _) in parts.items() for one in first.held if one.at == whole.at]
        assert sum(one.answers for _, one in its) == whole.answers
        assert sum(one.abandoned for _, one in its) == whole.abandoned
        people += whole.answers
        so_far.update({server: one.answers for server, one in its})
        for server, weight in shares.items():
            assert abs(so_far[server] - people * weight / total) <= 2 * len(shares), (
                "at no time is one far from its due"
            )
