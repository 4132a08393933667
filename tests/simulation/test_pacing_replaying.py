"""A day on record becomes a floor: the model gives back what was recorded, and bad records are refused in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pacing.callees import Recorded
from pacing.distributions import Exponential, Gamma
from pacing.floor import Floor, Shift, Steps
from pacing.replaying import CallRow, NothingToReplay, yesterday
from pacing.scenario import Scenario
from pacing.trials import run_days
from tests.twin_days import MORNING, recorded_day

FLOOR = Floor(
    shifts=(Shift(agents=6), Shift(agents=4, begins_s=1_800.0, ends_s=5_400.0)),
    answer=Steps(0.3),
    talk=Gamma(90.0, 2.0),
    wrapup=Gamma(15.0, 4.0),
    patience=Exponential(3.0),
    hours=2.0,
)


def connected(start: float = 0.0, agent: str = "anna", talk: float = 60.0, **changes: object) -> CallRow:
    row = CallRow(start_s=start, answer_s=start + 8.0, end_s=start + 8.0 + talk, outcome="connected", agent=agent)
    return replace(row, **changes)  # type: ignore[arg-type]  # any field of a row


def busy(start: float = 0.0, **changes: object) -> CallRow:
    row = CallRow(start_s=start, answer_s=None, end_s=start + 3.0, outcome="busy")
    return replace(row, **changes)  # type: ignore[arg-type]  # any field of a row


@pytest.mark.parametrize("method", ["progressive", "ratio"])
def test_a_replay_under_the_method_in_force_gives_back_the_day(method: str) -> None:
    ratio = 2.5 if method == "ratio" else 1.0
    rows, day = recorded_day(FLOOR, method, ratio=ratio)
    found = yesterday(rows)
    assert found.really.connected == pytest.approx(day.connected, abs=10)  # talks that the evening cut off
    assert found.really.abandoned == day.abandoned
    assert found.really.hung_up == day.hung_up
    assert found.really.occupancy == pytest.approx(day.occupancy, abs=0.03)
    scenario = Scenario(floor=found.floor, methods=(method,), pacing={"max_abandonment": 0.03, "ratio": ratio})
    simulated = run_days(scenario, method)
    assert simulated.occupancy == pytest.approx(day.occupancy, abs=0.05)
    assert simulated.abandonment == pytest.approx(day.abandonment, abs=0.02)
    assert simulated.days[0].dialed == pytest.approx(day.dialed, rel=0.1)


def test_what_really_happened_minute_by_minute_adds_up() -> None:
    rows, _ = recorded_day(FLOOR, "ratio", ratio=2.5)
    found = yesterday(rows)
    assert found.moments[-1].answered == found.really.answered
    assert found.moments[-1].abandoned == found.really.abandoned
    # The last span is shorter than a minute: it is the mean of what is left of the day.
    whole = found.moments[:-1]
    assert sum(moment.busy for moment in whole) * 60.0 == pytest.approx(found.really.busy_s, abs=10 * 60.0)
    assert sum(moment.idle + moment.busy for moment in whole) * 60.0 == pytest.approx(
        found.really.staffed_s, abs=10 * 60.0
    )


def test_the_nth_call_meets_the_nth_person_and_then_somebody_of_the_same_hour() -> None:
    rows = [connected(3_600.0 * hour, agent=f"a{hour}", talk=10.0 + hour) for hour in range(3)]
    found = yesterday(rows, wrapup_s=0.0)
    people = Recorded(found.floor, np.random.SeedSequence(1))
    met = [people.call(0.0) for _ in range(3)]
    assert [round(person.talk_s) for person in met] == [10, 11, 12]
    assert {round(people.call(7_300.0).talk_s) for _ in range(20)} == {12}


def test_the_abandoned_would_have_talked_as_people_served_at_the_time() -> None:
    rows = [connected(100.0 * place, talk=30.0) for place in range(5)]
    lost = CallRow(start_s=210.0, answer_s=215.0, end_s=217.0, outcome="abandoned")
    left = CallRow(start_s=250.0, answer_s=255.0, end_s=255.8, outcome="hung_up")
    people = yesterday([*rows, lost, left]).floor.people
    assert people[3].talk_s == people[4].talk_s == 30.0
    assert people[4].patience_s == pytest.approx(0.8)
    assert people[3].patience_s == float("inf")


def test_an_agent_who_did_nothing_for_long_was_away() -> None:
    rows = [connected(at) for at in (0.0, 100.0, 200.0, 7_200.0, 7_300.0)]
    shifts = yesterday(rows, wrapup_s=0.0).floor.shifts
    assert len(shifts) == 2
    assert shifts[0].ends_s < 400.0
    assert shifts[1].begins_s > 7_000.0


def test_wrapup_that_is_not_on_record_is_read_off_the_shortest_gaps() -> None:
    rows, _ = recorded_day(FLOOR, "ratio", wrapup=False, ratio=4.0)
    found = yesterday(rows)
    assert found.wrapup_s is not None
    assert 5.0 < found.wrapup_s < 30.0
    given = yesterday(rows, wrapup_s=17.0)
    assert given.wrapup_s == 17.0
    assert {person.wrapup_s for person in given.floor.people if person.outcome is None} == {17.0}


def test_rows_that_cannot_be_used_are_counted_with_the_first_of_each() -> None:
    rows = [
        connected(0.0),
        busy(10.0, end_s=5.0, line="line 3"),
        busy(20.0, end_s=15.0, line="line 4"),
        busy(30.0, outcome="teapot", line="line 5"),
        busy(40.0, end_s=40.0 + 30_000.0, line="line 6"),
        connected(50.0, agent="", line="line 7"),
        connected(60.0, answer_s=None, line="line 8"),
        connected(70.0, answer_s=10.0, line="line 9"),
        busy(80.0, outcome="lost", line="line 10"),
        connected(90.0, wrapup_s=-1.0, line="line 11"),
        busy(100.0, start_s=float("nan"), line="line 12"),
    ]
    found = yesterday(rows)
    assert found.set_aside["ends before it starts"] == (2, "line 3")
    assert sum(count for count, _ in found.set_aside.values()) == 10
    assert found.really.dialed == 1


def test_overlapping_talks_of_one_agent_keep_the_person_and_not_a_second_agent() -> None:
    rows = [connected(0.0, talk=100.0), connected(50.0, talk=100.0, line="line 3"), connected(200.0)]
    found = yesterday(rows, wrapup_s=0.0)
    assert found.really.connected == 3
    assert found.really.busy_s == pytest.approx(160.0)
    assert [first for reason, (_, first) in found.set_aside.items() if "another talk" in reason] == ["line 3"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "the day is empty"),
        ([busy(), busy(10.0)], "nobody talked with an agent"),
        ([busy(end_s=-1.0, line="line 2")], r"1 call ends before it starts \(line 2\)"),
        ([busy(outcome="lost")], "lost: says nothing"),
        ([connected(0.0), connected(90_000.0)], "of one day, at most 24 hours"),
        ([connected(0.0, talk=0.0)], "no time at all"),
    ],
    ids=["empty", "no answers", "all bad", "all lost", "two days", "no time"],
)
def test_a_day_that_cannot_be_replayed_says_why(rows: list[CallRow], says: str) -> None:
    with pytest.raises(NothingToReplay, match=says):
        yesterday(rows, wrapup_s=0.0)


def test_unix_time_does_not_matter() -> None:
    near = yesterday([connected(0.0), connected(200.0)], wrapup_s=5.0)
    far = yesterday([connected(MORNING), connected(MORNING + 200.0)], wrapup_s=5.0)
    assert far.begins_s == MORNING
    assert far.really.staffed_s == pytest.approx(near.really.staffed_s)
