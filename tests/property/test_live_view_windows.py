"""Sliding windows: what they say is what a plain recount of the same history says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CampaignId
from dialer.core.notices import AgentChanged
from dialer.projections.abandonment import Abandonment
from dialer.projections.occupancy import OccupancyTracker
from dialer.projections.rolling import RollingSums

WINTER = CampaignId("winter")
additions = st.lists(st.tuples(st.integers(0, 2_000), st.integers(-5, 5)), max_size=60)


@given(history=additions, bucket=st.sampled_from([1, 7, 60]), buckets=st.integers(1, 20), later=st.integers(0, 3_000))
def test_sums_are_those_of_the_buckets_in_the_window(
    history: list[tuple[int, int]], bucket: int, buckets: int, later: int
) -> None:
    sums = RollingSums(bucket_s=bucket, buckets=buckets, columns=2)
    kept: list[tuple[int, int]] = []
    latest: int | None = None
    for at, value in history:
        latest = at // bucket if latest is None else max(latest, at // bucket)
        sums.add(at, value, 1)
        if at // bucket > latest - buckets:
            kept.append((at // bucket, value))
    now = max([at for at, _ in history], default=0) + later
    inside = [value for at, value in kept if at > now // bucket - buckets]
    assert sums.totals(now) == (sum(inside), len(inside))
    assert sums.totals(now + bucket * buckets) == (0, 0)


@given(live=st.integers(0, 5_000), abandoned=st.integers(0, 200), limit=st.sampled_from([0.0, 0.01, 0.02, 0.03, 0.5]))
def test_the_budget_is_the_most_that_keeps_the_limit(live: int, abandoned: int, limit: float) -> None:
    window = Abandonment(live_answers=live + abandoned, abandoned=abandoned)
    left = window.budget_left(limit)
    if left >= 0:
        assert abandoned + left <= limit * (live + abandoned + left) + 1e-6
        assert abandoned + left + 1 > limit * (live + abandoned + left + 1) - 1e-6
    else:
        assert window.ratio > limit


states = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from(["a", "b"]), st.sampled_from(list(AgentState))), max_size=40
)


@given(history=states)
def test_occupancy_of_the_last_hour_is_that_of_the_seconds_spent(history: list[tuple[int, str, AgentState]]) -> None:
    tracker = OccupancyTracker()
    now, present = 0, {"a": AgentState.SIGNED_OUT, "b": AgentState.SIGNED_OUT}
    seconds: list[tuple[int, int]] = []  # busy and idle agents in each second

    def pass_time(by: int) -> None:
        busy = sum(state in {AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP} for state in present.values())
        idle = sum(state is AgentState.IDLE for state in present.values())
        seconds.extend([(busy, idle)] * by)

    for gap, agent, state in history:
        pass_time(gap)
        now += gap
        tracker.apply(
            AgentChanged(
                at=now,
                agent=AgentId(agent),
                state=state,
                previous=present[agent],
                previous_s=0.0,
                campaigns=(WINTER,),
            )
        )
        present[agent] = state
    pass_time(30)
    now += 30
    window = seconds[max(0, (now // 60 - 59) * 60) :]
    busy, idle = sum(b for b, _ in window), sum(i for _, i in window)
    expected = busy / (busy + idle) if busy + idle else None
    for campaign in (None, WINTER):
        measured = tracker.hour(campaign, now)
        if expected is None:
            assert measured is None
        else:
            assert measured is not None
            assert abs(measured - expected) < 1e-9
