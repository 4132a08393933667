"""Scenarios from plain tables: what they become, and errors that name the key and what it may be."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialer.twin.files import read_toml, scenario_of
from pacing.contract import Outcome
from pacing.distributions import Exponential, Gamma, LogNormal, Mixture, Observed
from pacing.floor import Segment
from pacing.scenario import read_scenario
from pacing.tables import MissingKey, ScenarioError, UnknownKey

SCENARIOS = sorted((Path(__file__).parents[2] / "config" / "scenarios").glob("*.toml"))


def read(text: str) -> Any:
    return read_scenario(tomllib.loads(text))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_that_is_shipped_can_be_read(path: Path) -> None:
    scenario = scenario_of(read_toml(path))
    assert scenario.name
    assert scenario.agents >= 1


def test_scenarios_are_shipped() -> None:
    assert len(SCENARIOS) >= 4


def test_nothing_given_is_a_floor_all_the_same() -> None:
    scenario = read_scenario({})
    assert scenario.agents == 20
    assert scenario.floor.contacts is None
    assert scenario.pacing == {"max_abandonment": 0.03}


def test_every_key_finds_its_place() -> None:
    scenario = read(
        """
        starts_at = "08:00"
        hours = 10
        segment_run = 40
        [[shifts]]
        agents = 5
        from = "08:30"
        to = "16:00"
        [[shifts]]
        agents = 3
        from = "12:00"
        announced = true
        [[segments]]
        share = 3
        factor = 0.5
        [[segments]]
        name = "warm"
        factor = 2
        [answer]
        rate = 0.2
        by_hour = { "10:00" = 0.3, "12:00" = 0.1 }
        [[outcomes]]
        outcome = "machine"
        share = 2
        by_hour = { "13:00" = 5 }
        [[outcomes]]
        outcome = "busy"
        share = 1
        [ring]
        timeout_s = 20
        answered = { family = "gamma", mean_s = 9, cv = 0.5 }
        [talk]
        family = "mixture"
        share = 0.3
        first = { family = "exponential", mean_s = 5 }
        second = { mean_s = 100, cv = 1.0 }
        [wrapup]
        values_s = [1, 2, 3]
        [carrier]
        congestion = [{ from = "09:00", to = "10:00", value = 0.4 }]
        delay = 1.5
        [list]
        contacts = 100
        answer_factors = [1.0, 0.5]
        when_through = "idle"
        """
    )
    floor = scenario.floor
    assert [(shift.begins_s, shift.ends_s) for shift in floor.shifts] == [(1_800.0, 28_800.0), (14_400.0, float("inf"))]
    assert scenario.agents == 8
    assert [shift.announced for shift in floor.shifts] == [False, True]
    assert floor.segments == (
        Segment(name="segment 1", share=3.0, factor=0.5),
        Segment(name="warm", share=1.0, factor=2.0),
    )
    assert floor.segment_run == 40
    assert [floor.answer.at(hour * 3_600.0) for hour in (0, 2, 5)] == [0.2, 0.3, 0.1]
    assert floor.mix == ((18_000.0, (5.0, 1.0)),)
    assert floor.endings[0].outcome is Outcome.MACHINE
    assert floor.rings == Gamma(9.0, 4.0)
    assert floor.talk == Mixture(0.3, Exponential(5.0), LogNormal(100.0, 1.0))
    assert floor.wrapup == Observed((1.0, 2.0, 3.0))
    assert [floor.congestion.at(at) for at in (0.0, 3_700.0, 7_300.0)] == [0.0, 0.4, 0.0]
    assert floor.carrier_delay_s.at(5.0) == 1.5
    assert floor.contacts is not None
    assert not floor.contacts.ends_day
    assert [floor.contacts.factor(attempt) for attempt in (1, 2, 3)] == [1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("agent = 5", "agent", "did you mean 'agents'"),
        ("agents = 0", "agents", "a whole number from 1 to 20,000, not 0"),
        ("agents = 2.5", "agents", "a whole number"),
        ("agents = true", "agents", "a whole number"),
        ("hours = 25", "hours", "from 0.05 to 24"),
        ("hours = nan", "hours", "a number from"),
        ("days = 10000", "days", "from 1 to 366"),
        ('starts_at = "25:99"', "starts_at", 'such as "09:30"'),
        ("[answer]\nrate = 1.5", "answer.rate", "from 0 to 1, not 1.5"),
        ("[answer]\nrates = 0.5", "answer.rates", "did you mean 'rate'"),
        ('[answer]\nby_hour = { "noon" = 0.1 }', "answer.by_hour.noon", "a clock time"),
        ('[answer]\nby_hour = { "23:00" = 0.1 }', "answer.by_hour.23:00", "09:00 to 17:00"),
        ("[talk]\nmean = 150", "talk.mean", "did you mean 'mean_s'"),
        ('[talk]\nfamily = "weibul"', "talk.family", "one of fixed, exponential, lognormal"),
        ("[talk]\nmean_s = -1", "talk.mean_s", "from 0.01 to 86,400"),
        ('[talk]\nfamily = "exponential"', "talk.mean_s", "is missing"),
        ('[talk]\nfamily = "exponential"\nmean_s = 5\ncv = 1', "talk.cv", "no key"),
        ("[talk]\nvalues_s = []", "talk.values_s", "at least one number"),
        ('[talk]\nvalues_s = [1, "x"]', "talk.values_s", "a list of numbers"),
        ('[talk]\ncsv = "x.csv"\ncolumn = "talk"', "talk.csv", "cannot be read here"),
        ('[talk]\ncsv = "x.csv"', "talk.column", "is missing"),
        ("talk = 150", "talk", "a table"),
        ('methods = ["predictve"]', "methods", "did you mean 'predictive'"),
        ("methods = []", "methods", "at least one"),
        ('methods = "ratio"', "methods", "a list of texts"),
        ("[pacing]\nmax_abandonment = 3", "pacing.max_abandonment", "from 0 to 1"),
        ("[pacing]\nlimit = 0.1", "pacing.limit", "there may be max_abandonment"),
        ('[[outcomes]]\noutcome = "connected"\nshare = 1', "outcomes[0].outcome", "one of busy, no_answer"),
        ('[[outcomes]]\noutcome = "busy"\nshare = 0', "outcomes.share", "a positive number"),
        ('[[shifts]]\nagents = 1\nfrom = "12:00"\nto = "10:00"', "shifts[0].to", "after the shift's `from`"),
        ("[shifts]\nagents = 1", "shifts", "begin each with [[shifts]]"),
        ('[carrier]\ncongestion = [{ from = "10:00", value = 1 }]', "carrier.congestion[0].to", "is missing"),
        (
            (
                '[[carrier.delay]]\nfrom = "10:00"\nto = "12:00"\nvalue = 1\n'
                '[[carrier.delay]]\nfrom = "11:00"\nto = "13:00"\nvalue = 2'
            ),
            "carrier.delay[1].to",
            "do not overlap",
        ),
        ("[list]\nattempts = 3", "list.contacts", "is missing"),
        ('[list]\ncontacts = 5\nwhen_through = "stop"', "list.when_through", "one of end, idle"),
        ("[breaks]\nevery = 5", "breaks.every", "a table"),
        ("[[shifts]]\nagents = 1\nannounced = 1", "shifts[0].announced", "true or false"),
        ("segment_run = 0", "segment_run", "a whole number from 1"),
        ("[[segments]]\nshare = -1", "segments[0].share", "from 0"),
        ("[[segments]]\nshare = 0", "segments.share", "a positive number"),
    ],
)
def test_an_error_names_the_key_and_what_it_may_be(text: str, key: str, says: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read(text)
    assert raised.value.key == key
    assert key in str(raised.value)
    assert says in str(raised.value)


def test_unknown_and_missing_keys_are_kinds_of_their_own() -> None:
    with pytest.raises(UnknownKey):
        read("agnts = 5")
    with pytest.raises(MissingKey):
        read("[list]\nattempts = 1")


def test_another_number_of_agents_keeps_the_shifts_in_proportion() -> None:
    scenario = read('[[shifts]]\nagents = 4\n[[shifts]]\nagents = 2\nfrom = "12:00"')
    assert [shift.agents for shift in scenario.with_agents(9).floor.shifts] == [6, 3]
    assert sum(shift.agents for shift in scenario.with_agents(7).floor.shifts) == 7
    with pytest.raises(ScenarioError, match="from 1 to"):
        scenario.with_agents(0)


def test_ratio_is_a_setting_of_the_method_of_that_name_alone() -> None:
    scenario = read("[pacing]\nratio = 3.0")
    assert scenario.settings("ratio")["ratio"] == 3.0
    assert "ratio" not in scenario.settings("wombat")


def test_families_have_the_mean_and_the_spread_that_are_asked_for() -> None:
    rng = np.random.default_rng(1)
    for family in ("lognormal", "gamma"):
        talk = read(f'[talk]\nfamily = "{family}"\nmean_s = 50\ncv = 0.7').floor.talk
        values = talk.sample(rng, 60_000)
        assert float(values.mean()) == pytest.approx(50.0, rel=0.03)
        assert float(values.std() / values.mean()) == pytest.approx(0.7, rel=0.05)
