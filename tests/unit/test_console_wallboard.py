"""What the wallboard adds up and warns of: the course of all campaigns together, and what is wrong since when."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dialer.console.alarms import Alarm, Alarms, alarms_in
from dialer.console.series import EVERY_S, Chart, Series
from dialer.core.tenants import INSTALLATION
from dialer.projections.live_rows import AgentRow, CampaignRow, CountsRow, LiveSnapshot, ServerRow
from tests.unit.test_console_parts import row, view

COLUMNS = [name for name in Chart.__struct_fields__ if name != "max_abandonment"]


def agent(id: str, state: str, since: float = 0.0) -> AgentRow:
    return AgentRow(
        id=id, state=state, since=since, reason="", campaigns=("winter", "spring"), call=None, server=None,
        calls_today=0, talk_s_today=0.0, wrapup_s_today=0.0, paused_s_today=0.0, idle_s_today=0.0,
    )  # fmt: skip


def dialed(started: int, id: str = "winter") -> CampaignRow:
    counts = CountsRow(started=started, answered=started // 2, connected=0, abandoned=0, outcomes={})
    return replace(row(id), today=counts)


def filled(*snapshots: LiveSnapshot) -> Series:
    series = Series()
    for each in snapshots:
        series.add(each)
    return series


# ---- the course


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 900), st.sampled_from([60.0, 3_600.0, 86_400.0]))
def test_all_together_have_charts_like_those_of_each(samples: int, seconds: float) -> None:
    series = filled(*(view(row(), at=i * EVERY_S) for i in range(samples)))
    chart = series.together(INSTALLATION, seconds)
    assert {len(getattr(chart, name)) for name in COLUMNS} == {len(chart.at)}
    assert chart.at == series.chart("winter", seconds).at
    assert chart.at == sorted(set(chart.at))
    if samples:
        assert chart.at[-1] == (samples - 1) * EVERY_S
        assert chart.at[0] > chart.at[-1] - seconds


def test_a_day_is_kept_whole_however_long_the_node_runs() -> None:
    day = int(86_400 / EVERY_S)
    chart = filled(*(view(row(), at=i * EVERY_S) for i in range(day + 500))).chart("winter", 86_400)
    assert chart.at[-1] - chart.at[0] > 86_400 - 300
    assert len(chart.at) < 750


@given(st.lists(st.integers(0, 50), min_size=2, max_size=40))
def test_calls_a_minute_are_those_that_were_made(grown: list[int]) -> None:
    total = 0
    snapshots = []
    for place, more in enumerate([0, *grown]):
        total += more
        snapshots.append(view(dialed(total), at=place * EVERY_S))
    chart = filled(*snapshots).chart("winter", 3_600)
    assert chart.dialed[0] is None
    for place in range(1, len(chart.at)):
        last = grown[max(0, place - 6) : place]
        shown = chart.dialed[place]
        assert shown is not None
        assert math.isclose(shown, sum(last) * 60 / (EVERY_S * len(last)), abs_tol=0.06)


def test_a_count_that_begins_anew_at_midnight_is_no_negative_speed() -> None:
    chart = filled(view(dialed(900), at=0.0), view(dialed(2), at=EVERY_S)).chart("winter", 3_600)
    assert chart.dialed == [None, None]


def test_an_agent_of_two_campaigns_counts_once_and_shares_are_weighed() -> None:
    busy, idle = replace(dialed(90, "winter"), answer_rate=0.2), replace(dialed(10, "spring"), answer_rate=0.7)
    whole = replace(view(busy, idle), agents=(agent("a", "talking"), agent("b", "idle")), occupancy=0.625)
    chart = filled(whole).together(INSTALLATION, 3_600)
    assert (chart.talking, chart.idle) == ([1], [1])
    assert chart.answer_rate == [25.0]
    assert chart.occupancy == [62.5]
    assert chart.in_flight == [6]
    assert chart.abandonment == [1.0]


def test_the_limit_of_all_is_the_lowest_of_those_at_work() -> None:
    strict = row("strict", state="draft")
    strict = replace(strict, abandonment=replace(strict.abandonment, max_ratio=0.01, day_live_answers=0))
    assert filled(view(row(), strict)).together(INSTALLATION, 60).max_abandonment == 3.0
    assert filled(view(row(), replace(strict, state="running"))).together(INSTALLATION, 60).max_abandonment == 1.0


def test_a_tenant_has_the_course_of_its_own_campaigns_alone() -> None:
    ours, theirs = replace(dialed(10, "acme--winter"), occupancy=0.5), dialed(1_000, "spring")
    agents = (agent("acme--eva", "talking"), agent("max", "talking"))
    whole = replace(view(ours, theirs), agents=agents, occupancy=0.9)
    series = filled(whole, replace(whole, at=EVERY_S))
    chart = series.together("acme", 3_600)
    assert (chart.talking, chart.occupancy, chart.in_flight) == ([1, 1], [50.0, 50.0], [3, 3])
    assert series.together(INSTALLATION, 3_600).in_flight == [6, 6]
    assert series.together("other", 3_600).at == []
    series.add(view(theirs, at=2 * EVERY_S))
    assert series.together("acme", 3_600).at == [], "who has no campaign any more leaves nothing"


# ---- alarms


@pytest.mark.parametrize(
    ("shown", "alarm"),
    [
        (row(), None),
        (row(ratio=0.031), "over_limit"),
        (row(budget=0), "no_budget"),
        (row(ready=0), "no_contacts"),
        (row(ready=0, budget=0, state="stopped"), None),
        (replace(row(), caller_ids={"usable": 1, "resting": 3}), None),
        (replace(row(), caller_ids={"capped": 2, "resting": 1}), "no_caller_ids"),
        (replace(row(state="paused"), caller_ids={"capped": 2}), None),
    ],
)
def test_alarms_tell_what_must_be_looked_at_and_where(shown: CampaignRow, alarm: str | None) -> None:
    alarms = alarms_in(view(shown))
    assert [each.name for each in alarms] == ([] if alarm is None else [alarm])
    assert all(each.path == "/console/campaigns/winter" for each in alarms)


def test_servers_and_phones_know_themselves_since_when() -> None:
    lost = ServerRow(id="pbx", connected=False, since=70.0, reason="refused", node="n1")
    gone = (agent("a", "lost", 90.0), agent("b", "lost", 80.0), agent("c", "idle", 1.0))
    alarms = alarms_in(replace(view(at=100.0, servers=(lost,)), agents=gone))
    assert [(each.name, each.since, each.path) for each in alarms] == [
        ("server", 70.0, "/console/system"),
        ("phones", 80.0, "/console/agents"),
    ]
    assert alarms[0].values["server"] == "pbx (n1)"


def test_what_is_wrong_keeps_its_beginning_until_it_is_over() -> None:
    known = Alarms()

    def since(shown: LiveSnapshot) -> list[float | None]:
        return [alarm.since for alarm in known.of(shown)]

    known.look(view(row(budget=0), at=10.0))
    assert since(view(row(budget=0), row("spring", ready=0), at=15.0)) == [10.0, 15.0]
    # A part of the whole, as a tenant sees it, ends nothing.
    assert since(view(row("spring", ready=0), at=16.0)) == [15.0]
    known.look(view(row(budget=0), row("spring", ready=0), at=20.0))
    assert since(view(row(budget=0), row("spring", ready=0), at=21.0)) == [10.0, 15.0]
    known.look(view(row(), row("spring", ready=0), at=30.0))
    assert since(view(row(budget=0), row("spring", ready=0), at=40.0)) == [40.0, 15.0]


def test_a_name_in_an_address_is_quoted() -> None:
    alarm = next(iter(alarms_in(view(row("a b/c", ready=0)))))
    assert alarm == Alarm(name="no_contacts", values={"campaign": "a b/c"}, about="a b/c", path=alarm.path)
    assert alarm.path == "/console/campaigns/a%20b%2Fc"
