"""Agents of one campaign stay together on a server, and no server gets much more than its share.

- whatever the servers look like, one within reach with lines is chosen, and the same by whoever asks;
- whoever has colleagues goes to them, unless that server has no lines or its load is beyond the bound;
- in the long run, with any campaigns, the load of no server is beyond the bound;
- while there are few agents, each campaign is on one server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.ids import ServerName
from dialer.core.placement import FULL_GROUP, LINES_PER_AGENT, UNEVEN, Place, choose_server

A, B, C = (ServerName(name) for name in "abc")
#: Channels that nobody uses up.
PLENTY = 10**6

weights = st.sampled_from([0.25, 0.5, 1.0, 1.0, 2.0])
counts = st.integers(0, 3 * FULL_GROUP) | st.integers(0, 5)


@st.composite
def _places(draw: st.DrawFn) -> Place:
    agents = draw(counts)
    lines = draw(st.sampled_from([0, 3, 300, PLENTY, PLENTY]))
    return Place(
        server=A,
        weight=draw(weights),
        agents=agents,
        colleagues=min(agents, draw(counts)),
        elsewhere=draw(st.just(0) | counts),
        answered=draw(st.sampled_from([0, 0, 1, 5_000])),
        lines=lines,
        campaign_lines=min(lines, draw(st.sampled_from([0, 30, PLENTY]))),
    )


places = st.lists(_places(), max_size=5).map(
    lambda them: [replace(place, server=ServerName(f"s{number}")) for number, place in enumerate(them)]
)


def bound(those: Sequence[Place]) -> float:
    """Agents for its weight that a server has at most, when one more comes for company."""
    everybody = 1 + sum(place.agents + place.elsewhere for place in those)
    return max(FULL_GROUP / max(p.weight for p in those), UNEVEN * everybody / sum(p.weight for p in those))


@given(those=places)
def test_one_with_lines_is_chosen_and_no_crowd_where_nobody_has_to(those: list[Place]) -> None:
    chosen = choose_server(those)
    if not those:
        assert chosen is None
        return
    place = next(one for one in those if one.server == chosen)
    fit = [one for one in those if one.has_lines]
    assert place.has_lines or not fit
    assert place.campaign_lines or not any(one.campaign_lines for one in those)
    if place.load > bound(those):
        others = fit or [one for one in those if one.campaign_lines] or those
        assert place.load == min(one.load for one in others), "beyond the bound only the least loaded is chosen"


@given(those=places)
def test_whoever_has_colleagues_goes_to_most_of_them(those: list[Place]) -> None:
    roomy = [one for one in those if one.has_lines and one.load <= bound(those)]
    most = max((one.colleagues for one in roomy), default=0)
    if most:
        assert next(one for one in those if one.server == choose_server(those)).colleagues == most


@given(those=places, seed=st.randoms(use_true_random=False))
def test_it_is_the_same_in_whatever_order_they_are_told(those: list[Place], seed: object) -> None:
    other = list(those)
    seed.shuffle(other)  # type: ignore[attr-defined]  # random.Random
    assert choose_server(other) == choose_server(those)


def empty(server: ServerName, weight: float = 1.0, lines: int = PLENTY) -> Place:
    return Place(server=server, weight=weight, agents=0, colleagues=0, lines=lines, campaign_lines=lines)


def sign_in_all(those: Sequence[Place], campaigns: Sequence[int]) -> Counter[tuple[ServerName, int]]:
    """Agents one after the other, each for their campaign: how many of each are where in the end."""
    there = Counter[tuple[ServerName, int]]()
    for campaign in campaigns:
        now = [
            replace(
                place,
                agents=sum(count for (server, _), count in there.items() if server == place.server),
                colleagues=there[place.server, campaign],
            )
            for place in those
        ]
        chosen = choose_server(now)
        assert chosen is not None
        there[chosen, campaign] += 1
    return there


arrivals = st.lists(st.integers(0, 6), min_size=1, max_size=60)


@given(campaigns=arrivals, sizes=st.lists(weights, min_size=2, max_size=4))
def test_while_there_are_few_each_campaign_is_on_one_server(campaigns: list[int], sizes: list[float]) -> None:
    those = [empty(ServerName(f"s{number}"), max(weight, 1.0)) for number, weight in enumerate(sizes)]
    there = sign_in_all(those, campaigns)
    assert {campaign for _, campaign in there} == set(campaigns)
    assert len(there) == len(set(campaigns))
    if len({place.weight for place in those}) == 1:
        # None is left empty while another has several.
        assert len({server for server, _ in there}) == min(len(those), len(set(campaigns)))


@pytest.mark.parametrize("campaigns", [1, 2, 7, 200])
@pytest.mark.parametrize("sizes", [(1.0, 1.0), (2.0, 1.0, 1.0)])
def test_in_the_long_run_no_server_has_much_more_than_its_share(campaigns: int, sizes: tuple[float, ...]) -> None:
    those = [empty(ServerName(f"s{number}"), weight) for number, weight in enumerate(sizes)]
    people = 1_200
    # Of unlike sizes: the first has a fifth of all or more, wherever there are several.
    order = [number * number % campaigns if number % 5 else 0 for number in range(people)]
    there = sign_in_all(those, order)
    for place in those:
        count = sum(its for (server, _), its in there.items() if server == place.server)
        fair = people * place.weight / sum(sizes)
        assert count <= max(FULL_GROUP * place.weight / max(sizes), UNEVEN * fair) + 1
        assert count >= fair * (1.0 - (UNEVEN - 1.0) * (len(sizes) - 1) * max(sizes)) - 1


@given(lines=st.tuples(st.integers(0, 60), st.integers(0, 60)), people=st.integers(1, 40))
def test_a_group_is_no_larger_than_its_lines_while_others_have_some(lines: tuple[int, int], people: int) -> None:
    those = [empty(A, lines=lines[0]), empty(B, lines=lines[1])]
    there = sign_in_all(those, [0] * people)
    room = {place.server: int(place.lines / LINES_PER_AGENT) for place in those}
    if people <= sum(room.values()):
        assert all(there[server, 0] <= room[server] for server in room)


def test_a_campaign_goes_where_it_was_before_colleagues_count_more() -> None:
    those = [empty(A), empty(B), empty(C)]
    those[1] = replace(those[1], answered=900, agents=30)
    those[2] = replace(those[2], answered=20)
    assert choose_server(those) == B
    those[2] = replace(those[2], agents=1, colleagues=1)
    assert choose_server(those) == C


def test_agents_of_other_nodes_are_a_load_too() -> None:
    those = [replace(empty(A), elsewhere=3), replace(empty(B), agents=2)]
    assert choose_server(those) == B
    full = [replace(empty(A), elsewhere=FULL_GROUP - 1, agents=1, colleagues=1), empty(B)]
    assert choose_server(full) == B
