"""Lists that come to an end, carriers with faults, people without patience, and days under a watched pacer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacing import build
from pacing.contacts import ContactBook
from pacing.contract import Outcome
from pacing.distributions import Exponential, Fixed
from pacing.floor import ContactList, Ending, Floor, Shift, Steps
from pacing.planning import guess_agents, smallest, talks_in_list
from pacing.scenario import Scenario, read_scenario
from pacing.simulate import simulate
from pacing.trials import half_width, joined, run_days
from pacing.watched import Watched

BUSY = (Ending(outcome=Outcome.BUSY, share=1.0, after=Fixed(3.0)),)
FLOOR = Floor(shifts=(Shift(agents=5),), answer=Steps(0.3), talk=Exponential(60.0), hours=2.0)


def test_a_list_is_called_as_often_as_it_says_and_then_the_day_ends() -> None:
    contacts = ContactList(contacts=200, attempts=3, retry_after_s=300.0)
    floor = replace(FLOOR, contacts=contacts, endings=BUSY, hours=8.0)
    book = ContactBook(contacts)
    day = simulate(floor, build("ratio", ratio=2.0), seed=1, book=book)
    assert book.left == 0
    assert book.reached + book.given_up == 200
    assert day.dialed == book.attempts
    assert day.answered == book.reached == pytest.approx(200 * (1 - 0.7**3), rel=0.2)
    assert day.ended_s < 7.5 * 3_600.0


def test_agents_sit_idle_where_the_list_is_through_and_the_day_goes_on() -> None:
    contacts = ContactList(contacts=50, attempts=1, ends_day=False)
    day = simulate(replace(FLOOR, contacts=contacts), build("ratio", ratio=2.0), seed=1)
    assert day.dialed == 50
    assert day.ended_s == 7_200.0
    assert day.staffed_s == pytest.approx(5 * 7_200.0)


def test_a_list_goes_on_the_next_day() -> None:
    raw = {
        "agents": 3,
        "hours": 0.5,
        "days": 20,
        "methods": ["ratio"],
        "talk": {"mean_s": 60, "cv": 0.5},
        "list": {"contacts": 300, "attempts": 2, "retry_after_s": 7_200},
    }
    trial = run_days(read_scenario(raw), "ratio")
    assert 2 < len(trial.days) < 20
    assert trial.days[-1].left == 0
    assert all((day.left or 0) > 0 for day in trial.days[:-1])


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0.0, 500.0), st.sampled_from([None, *Outcome])), max_size=60),
    contacts=st.integers(1, 20),
    attempts=st.integers(1, 4),
)
def test_no_contact_is_lost_or_called_too_often(
    steps: list[tuple[float, Outcome | None]], contacts: int, attempts: int
) -> None:
    book = ContactBook(ContactList(contacts=contacts, attempts=attempts, retry_after_s=100.0))
    now = 0.0
    for wait, outcome in steps:
        now += wait
        before = book.next_at()
        attempt = book.take(now)
        assert (attempt is None) == (before > now)
        if attempt is None:
            continue
        assert 1 <= attempt <= attempts
        book.ended(attempt, outcome, now + 10.0)
        assert book.left + book.reached + book.given_up == contacts
    assert book.attempts <= contacts * attempts


def test_a_fault_of_the_carrier_shows_where_it_is() -> None:
    hour = (0.0, ((3_600.0, 1.0),))
    plain = simulate(FLOOR, build("progressive"), seed=1)
    refused = simulate(replace(FLOOR, congestion=Steps(*hour)), build("progressive"), seed=1)
    assert refused.slice_answered[:2].sum() == plain.slice_answered[:2].sum()
    assert refused.slice_answered[3] == 0
    false = replace(FLOOR, false_answers=Steps(*hour), false_talk=Fixed(4.0))
    falsified = simulate(false, build("progressive"), seed=1)
    assert falsified.slice_answered[3] > 2 * plain.slice_answered[3]


def test_another_mix_of_outcomes_from_an_hour_on() -> None:
    endings = (*BUSY, Ending(outcome=Outcome.MACHINE, share=0.0, after=Fixed(60.0)))
    floor = replace(FLOOR, endings=endings, answer=Steps(0.0), ring_timeout_s=100.0)
    quick = simulate(floor, build("progressive"), seed=1)
    slow = simulate(replace(floor, mix=((0.0, (0.0, 1.0)),)), build("progressive"), seed=1)
    assert quick.dialed > 10 * slow.dialed


def test_people_without_patience_hang_up_and_count_as_neither_served_nor_abandoned() -> None:
    floor = replace(FLOOR, patience=Fixed(0.5), answer=Steps(0.6))
    day = simulate(floor, build("ratio", ratio=4.0), seed=1)
    assert day.hung_up > 10
    assert day.abandoned == 0
    patient = simulate(replace(floor, patience=Fixed(60.0)), build("ratio", ratio=4.0), seed=1)
    assert patient.hung_up == 0
    assert patient.abandoned > 10


def test_whoever_watches_changes_nothing_and_counts_the_same() -> None:
    watched = Watched(build("predictive"))
    floor = replace(FLOOR, hours=0.75)
    seen, alone = simulate(floor, watched, seed=1), simulate(floor, build("predictive"), seed=1)
    assert (seen.dialed, seen.connected, seen.abandoned) == (alone.dialed, alone.connected, alone.abandoned)
    assert len(watched.moments) == 44
    last = watched.moments[-1]
    assert alone.answered - 10 <= last.answered <= alone.answered
    assert sum(moment.idle + moment.busy for moment in watched.moments) / 44 == pytest.approx(5.0, abs=0.05)
    assert sum(watched.limits.values()) == alone.decisions


@pytest.mark.parametrize("needed", [1, 2, 7, 64, 999, 1_000])
@pytest.mark.parametrize("guess", [1, 5, 60, 1_000, 4_000])
def test_the_smallest_number_is_found_wherever_the_search_begins(needed: int, guess: int) -> None:
    asked: list[int] = []

    def enough(number: int) -> bool:
        asked.append(number)
        return number >= needed

    assert smallest(enough, guess=guess, most=1_000) == needed
    assert len(asked) == len(set(asked))
    assert smallest(lambda number: False, guess=guess, most=1_000) is None


def test_a_good_guess_costs_few_questions() -> None:
    asked: list[int] = []

    def enough(number: int) -> bool:
        asked.append(number)
        return number >= 100

    smallest(enough, guess=101, most=10_000)
    assert len(asked) <= 8


def test_talks_in_a_list_are_what_attempts_make_of_the_answer_rate() -> None:
    contacts = ContactList(contacts=1_000, attempts=2, answer_factors=(1.0, 0.5))
    talks, handle_s = talks_in_list(FLOOR, contacts)
    assert talks == pytest.approx(1_000 * (1 - 0.7 * 0.85), rel=0.08)
    assert handle_s == pytest.approx(80.0, rel=0.1)
    assert guess_agents(FLOOR, contacts, 3_600.0) > guess_agents(FLOOR, contacts, 36_000.0) >= 1


def test_days_that_are_joined_are_the_days_together() -> None:
    scenario = Scenario(floor=replace(FLOOR, hours=0.5), days=3, methods=("ratio",))
    apart = joined([run_days(scenario, "ratio", first_day=day, days=1) for day in (2, 0, 1)])
    assert apart.days == run_days(scenario, "ratio").days
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert half_width([1.0]) == float("inf")
