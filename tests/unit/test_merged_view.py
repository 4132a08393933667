"""One picture of several nodes': nothing counted twice, nothing lost, every row with its node."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.projections.live_rows import (
    AbandonmentRow,
    AgentRow,
    CallRow,
    CampaignRow,
    CountsRow,
    HopperRow,
    LiveSnapshot,
    MonitorRow,
    PaceRow,
    ServerRow,
)
from dialer.projections.merged import merged, merged_calls

COUNTS = st.dictionaries(st.sampled_from(["ringing", "connected", "dialing"]), st.integers(0, 50))
SHARES = st.none() | st.floats(0.0, 1.0)
SMALL = st.integers(0, 50)
STATES = st.sampled_from(["idle", "talking", "paused", "signed_out", "lost"])


def _pace(number: int) -> PaceRow:
    return PaceRow(
        at=float(number),
        method="progressive",
        dial=number,
        limit="agents",
        explanation="",
        expected_abandonment=0.0,
        threshold=0.0,
        budget_left=None,
        answer_rate=None,
        mean_talk_s=None,
        mean_wrapup_s=None,
        idle=number,
        busy=1,
        waiting=0,
        in_flight=number,
    )


CAMPAIGNS = st.builds(
    CampaignRow,
    id=st.sampled_from(["winter", "summer"]),
    state=st.just("running"),
    pace=st.none() | SMALL.map(_pace),
    calls=COUNTS,
    agents=st.dictionaries(STATES, SMALL),
    hopper=st.builds(HopperRow, ready=SMALL, later=SMALL),
    today=st.builds(CountsRow, started=SMALL, answered=SMALL, connected=SMALL, abandoned=SMALL, outcomes=COUNTS),
    abandonment=st.builds(
        AbandonmentRow,
        day_ratio=st.just(0.0),
        day_live_answers=SMALL,
        day_abandoned=SMALL,
        legal_ratio=st.just(0.0),
        legal_live_answers=SMALL,
        legal_abandoned=SMALL,
        max_ratio=st.just(0.03),
        budget_left=SMALL,
    ),
    answer_rate=SHARES,
    occupancy=SHARES,
    occupancy_hour=SHARES,
    refused=COUNTS,
    agents_since=st.dictionaries(STATES, st.floats(0, 100)),
    agent_wait_s=st.none() | st.floats(0, 100),
    penetration=SHARES,
)
AGENTS = st.builds(
    AgentRow,
    id=st.sampled_from(["ann", "bob", "eve"]),
    state=STATES,
    since=st.floats(0, 100),
    reason=st.just(""),
    campaigns=st.just(("winter",)),
    call=st.none(),
    server=st.none(),
    calls_today=SMALL,
    talk_s_today=st.floats(0, 100),
    wrapup_s_today=st.just(0.0),
    paused_s_today=st.just(0.0),
    idle_s_today=st.just(0.0),
)


def _unique(rows: Sequence[object]) -> bool:
    return len({row.id for row in rows}) == len(rows)  # type: ignore[attr-defined]  # all have one


SNAPSHOTS = st.builds(
    LiveSnapshot,
    at=st.floats(1, 100),
    campaigns=st.lists(CAMPAIGNS, max_size=2).filter(_unique).map(tuple),
    agents=st.lists(AGENTS, max_size=3).filter(_unique).map(tuple),
    servers=st.just((ServerRow(id="pbx", connected=True, since=1.0, reason=""),)),
    calls=COUNTS,
    occupancy=SHARES,
    events_ignored=SMALL,
    monitors=st.just(
        (MonitorRow(id="m", agent="ann", extension="b1", mode="listen", state="on", by="key:1", call=None, since=1.0),)
    ),
)


@settings(max_examples=40)
@given(own=SNAPSHOTS, others=st.dictionaries(st.sampled_from(["n2", "n3"]), SNAPSHOTS, min_size=1))
def test_what_is_counted_is_added_up_and_every_row_says_where(
    own: LiveSnapshot, others: dict[str, LiveSnapshot]
) -> None:
    whole = merged("n1", own, others)
    parts = {"n1": own, **others}
    assert whole.at == own.at
    assert sum(whole.calls.values()) == sum(sum(part.calls.values()) for part in parts.values())
    assert [row.id for row in whole.campaigns] == [row.id for row in own.campaigns]
    for row in whole.campaigns:
        mine = [found for part in parts.values() for found in part.campaigns if found.id == row.id]
        assert row.today.started == sum(found.today.started for found in mine)
        assert sum(row.today.outcomes.values()) == sum(sum(found.today.outcomes.values()) for found in mine)
        assert sum(row.agents.values()) == sum(sum(found.agents.values()) for found in mine)
        assert row.abandonment in [found.abandonment for found in mine]
        assert row.hopper in [found.hopper for found in mine]
        for share, shares in (
            (row.occupancy, [found.occupancy for found in mine]),
            (row.answer_rate, [found.answer_rate for found in mine]),
            (row.agent_wait_s, [found.agent_wait_s for found in mine]),
            (row.penetration, [found.penetration for found in mine]),
        ):
            known = [each for each in shares if each is not None]
            assert (share is None) == (not known)
            if share is not None:
                assert min(known) - 1e-9 <= share <= max(known) + 1e-9
        for state, since in row.agents_since.items():
            assert since == min(found.agents_since[state] for found in mine if state in found.agents_since)
        assert row.agents_since.keys() == {state for found in mine for state in found.agents_since}
        paces = [found.pace for found in mine if found.pace is not None]
        assert (row.pace is None) == (not paces)
        if row.pace is not None:
            assert row.pace.idle == sum(pace.idle for pace in paces)
    ids = {row.id for part in parts.values() for row in part.agents}
    assert [row.id for row in whole.agents] == sorted(ids)
    for agent in whole.agents:
        rows = {name: row for name, part in parts.items() for row in part.agents if row.id == agent.id}
        assert rows[agent.node].state == agent.state
        assert agent.calls_today == sum(row.calls_today for row in rows.values())
        if any(row.state not in {"signed_out", "lost"} for row in rows.values()):
            assert agent.state not in {"signed_out", "lost"}, "whoever works somewhere is shown there"
    assert [row.node for row in whole.servers] == sorted(parts)
    assert {row.node for row in whole.monitors} == set(parts)
    assert [row.id for row in whole.nodes] == sorted(parts)
    assert sum(row.calls for row in whole.nodes) == sum(whole.calls.values())


@given(starts=st.lists(st.tuples(st.sampled_from(["n1", "n2"]), st.floats(0, 100)), max_size=20))
def test_calls_are_the_oldest_first_whoever_makes_them(starts: list[tuple[str, float]]) -> None:
    parts: dict[str, list[CallRow]] = {"n1": [], "n2": []}
    for number, (node, at) in enumerate(starts):
        parts[node].append(
            CallRow(
                id=f"{node}-{number}",
                campaign="winter",
                contact="c",
                phone="+34600000000",
                state="ringing",
                started_at=at,
                since=at,
                agent=None,
                attempt_number=1,
                server=None,
                trunk=None,
            )
        )
    rows = merged_calls(parts)
    assert [row.started_at for row in rows] == sorted(at for _, at in starts)
    assert all(row.id.startswith(f"{row.node}-") for row in rows)
