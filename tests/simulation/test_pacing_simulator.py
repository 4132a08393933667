"""The simulator against theory: closed forms and the exact Markov model, inside confidence intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pytest

from pacing import Decision, build
from pacing.callees import Callees
from pacing.contract import Outcome
from pacing.distributions import Exponential, Fixed, LogNormal, Mixture, Observed, Uniform
from pacing.erlang import erlang_b, progressive_occupancy
from pacing.floor import Breaks, ContactList, Ending, Floor, Segment, Shift, Steps, markov
from pacing.optimum import MarkovModel, evaluate
from pacing.simulate import Day, simulate
from pacing.watched import Watched


class DialUpTo:
    """Keeps S(b) calls ringing when b agents are busy: the policies of the exact model."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        self._levels = levels
        self._talking: set[Hashable] = set()
        self._ringing: set[Hashable] = set()

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        if state == "talking":
            self._talking.add(agent)
        else:
            self._talking.discard(agent)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        """The model knows no leaving."""

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self._ringing.add(call)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self._ringing.discard(call)

    def call_answered(self, now: float, call: Hashable) -> None:
        self._ringing.discard(call)

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        pass

    def call_abandoned(self, now: float, call: Hashable) -> None:
        pass

    def decide(self, now: float) -> Decision:
        level = self._levels[min(len(self._talking), len(self._levels) - 1)]
        return Decision(dial=max(level - len(self._ringing), 0), limit="level", explanation="as planned")

    def snapshot(self) -> dict[str, object]:
        return {}


def _within(values: list[float], expected: float) -> bool:
    """Expected inside the 99.9 % interval of independent runs (Student's t for eight of them)."""
    half = 5.41 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return abs(float(np.mean(values)) - expected) <= half


SEEDS = range(8)


def test_a_dial_up_to_policy_gives_what_the_exact_model_says() -> None:
    levels = (12, 9, 6, 3, 1, 0)
    expected = evaluate(MarkovModel(agents=5, handle_s=60.0, ring_s=15.0, answer_probability=0.3), levels)
    floor = markov(agents=5, handle_s=60.0, ring_s=15.0, answer=0.3, hours=4.0)
    days = [
        simulate(floor, DialUpTo(levels), seed=seed, decide_every_s=5.0, decide_on_events=True, measure_from_s=600.0)
        for seed in SEEDS
    ]
    assert _within([day.occupancy for day in days], expected.occupancy)
    assert _within([day.abandonment for day in days], expected.abandonment)


def test_a_constant_number_of_lines_with_no_feedback_is_bounded_by_erlang_b() -> None:
    # 120 lines that redial at once: nearly Poisson answers at 120 * 0.2 / 10 a second for 10 agents of 4 s of talk.
    floor = Floor(
        shifts=(Shift(agents=10),),
        answer=Steps(0.2),
        rings=Exponential(10.0),
        endings=(Ending(outcome=Outcome.FAILED, share=1.0, after=Exponential(10.0)),),
        talk=Uniform(2.0, 6.0),
        wrapup=None,
        ring_timeout_s=None,
        connect_within_s=0.0,
        hours=0.5,
    )
    days = [
        simulate(floor, DialUpTo((120,)), seed=seed, decide_every_s=0.5, decide_on_events=True, measure_from_s=120.0)
        for seed in SEEDS
    ]
    assert float(np.mean([day.abandonment for day in days])) == pytest.approx(erlang_b(10, 9.6), rel=0.15)


def test_one_call_per_idle_agent_is_as_busy_as_the_closed_form() -> None:
    floor = markov(agents=6, handle_s=90.0, ring_s=12.0, answer=0.4, hours=4.0)
    days = [
        simulate(floor, build("progressive"), seed=seed, decide_every_s=5.0, decide_on_events=True) for seed in SEEDS
    ]
    assert _within([day.occupancy for day in days], progressive_occupancy(90.0, 12.0, 0.4))
    assert all(day.abandoned == 0 for day in days)


def _small() -> Floor:
    return Floor(shifts=(Shift(agents=6),), answer=Steps(0.3), hours=1.0)


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    days = [simulate(_small(), build("ratio", ratio=2.0), seed=seed) for seed in (1, 1, 2)]
    assert days[0].dialed == days[1].dialed
    assert days[0].occupancy == days[1].occupancy
    assert days[0].occupancy != days[2].occupancy


def test_every_method_calls_the_same_people() -> None:
    floor = _small()
    seed = np.random.SeedSequence(5)
    first, second = Callees(floor, seed), Callees(floor, np.random.SeedSequence(5))
    people = [first.call(0.0) for _ in range(5_000)]
    later = [second.call(50.0 * call) for call in range(5_000)]
    assert people == later


def test_answered_people_are_served_or_abandoned_and_nobody_is_lost_count_of() -> None:
    day = simulate(_small(), build("ratio", ratio=3.0), seed=3)
    waiting_at_the_end = day.answered - day.connected - day.abandoned
    assert 0 <= waiting_at_the_end <= 3
    assert day.abandoned > 0
    assert day.slice_answered.sum() == day.answered
    assert day.slice_abandoned.sum() == day.abandoned
    assert day.slice_busy_s.sum() == pytest.approx(day.busy_s)


def test_shifts_and_breaks_change_who_is_there() -> None:
    floor = Floor(
        shifts=(Shift(agents=4), Shift(agents=4, begins_s=900.0, ends_s=1_800.0)),
        answer=Steps(0.3),
        breaks=Breaks(every=Exponential(1_200.0), length=Fixed(300.0)),
        hours=1.0,
    )
    day = simulate(floor, build("progressive"), seed=1)
    without = simulate(Floor(shifts=floor.shifts, answer=floor.answer, hours=1.0), build("progressive"), seed=1)
    assert without.staffed_s == pytest.approx(4 * 3_600.0 + 4 * 900.0, rel=0.03)
    assert day.staffed_s < 0.95 * without.staffed_s


class Listener(Watched):
    """Notes what a pacer is told besides the calls themselves."""

    def __init__(self) -> None:
        super().__init__(build("ratio", ratio=2.0))
        self.ends: list[tuple[Hashable, float]] = []
        self.segments: list[Hashable] = []
        self.of_call: dict[Hashable, Hashable] = {}
        self.answers: Counter[Hashable] = Counter()

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        if at is not None:
            self.ends.append((agent, at))

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self.segments.append(segment)
        self.of_call[call] = segment
        super().call_started(now, call, segment)

    def call_answered(self, now: float, call: Hashable) -> None:
        self.answers[self.of_call[call]] += 1
        super().call_answered(now, call)


PARTS = (Segment(name="warm", share=1.0, factor=1.5), Segment(name="cold", share=3.0, factor=0.5))


def test_segments_are_told_with_each_call_and_answer_as_they_should() -> None:
    floor = Floor(shifts=(Shift(agents=20),), answer=Steps(0.4), talk=Exponential(20.0), segments=PARTS, hours=1.0)
    listener = Listener()
    simulate(floor, listener, seed=1)
    called = Counter(listener.segments)
    assert called["warm"] / called.total() == pytest.approx(0.25, abs=0.03)
    for segment, rate in (("warm", 0.6), ("cold", 0.2)):
        assert listener.answers[segment] / called[segment] == pytest.approx(rate, abs=0.05)


def test_a_sorted_list_has_runs_of_one_segment() -> None:
    floor = Floor(shifts=(Shift(agents=20),), answer=Steps(0.4), segments=PARTS, segment_run=64, hours=0.5)
    listener = Listener()
    simulate(floor, listener, seed=1)
    assert len(listener.segments) > 256
    assert all(len(set(listener.segments[first : first + 64])) == 1 for first in (0, 64, 128, 192))
    assert len(set(listener.segments)) == 2


def test_attempts_of_a_list_are_told_with_each_call() -> None:
    contacts = ContactList(contacts=60, attempts=2, retry_after_s=60.0)
    floor = Floor(shifts=(Shift(agents=5),), answer=Steps(0.2), contacts=contacts, segments=PARTS, hours=2.0)
    listener = Listener()
    simulate(floor, listener, seed=1)
    attempts = Counter(segment[0] for segment in listener.segments if isinstance(segment, tuple))
    assert attempts[1] == 60
    assert 20 < attempts[2] < 60


def test_segments_that_are_all_alike_change_nobody() -> None:
    plain = Floor(shifts=(Shift(agents=5),), answer=Steps(0.3), hours=0.5)
    alike = replace(plain, segments=(Segment(name="all", share=1.0, factor=1.0),))
    days = [simulate(floor, build("progressive"), seed=3) for floor in (plain, alike)]
    assert days[0].busy_s == days[1].busy_s
    assert days[0].dialed == days[1].dialed


def test_only_announced_ends_of_shifts_are_told() -> None:
    shifts = (Shift(agents=1), Shift(agents=2, ends_s=600.0), Shift(agents=2, ends_s=900.0, announced=True))
    listener = Listener()
    simulate(Floor(shifts=shifts, answer=Steps(0.3), hours=0.5), listener, seed=1)
    assert listener.ends == [(3, 900.0), (4, 900.0)]


def test_nobody_is_called_on_the_strength_of_agents_about_to_go_home() -> None:
    """With everybody gone after half an hour, whoever is answered afterwards can only be lost."""
    lost = []
    for announced in (False, True):
        shifts = (Shift(agents=20, ends_s=1_800.0, announced=announced),)
        floor = Floor(shifts=shifts, answer=Steps(0.6), talk=Exponential(30.0), wrapup=None, hours=0.6)
        days = [simulate(floor, build("ratio", ratio=1.5), seed=seed) for seed in range(4)]
        lost.append(sum(float(day.slice_abandoned[1]) for day in days))
    assert lost[0] > 10
    assert lost[1] < 0.5 * lost[0]


def test_a_step_in_the_answer_rate_and_the_talk_shows_in_the_day() -> None:
    floor = Floor(
        shifts=(Shift(agents=10),),
        answer=Steps(0.6, ((1_800.0, 0.1),)),
        talk_scale=Steps(1.0, ((1_800.0, 0.5),)),
        hours=1.0,
    )
    day: Day = simulate(floor, build("progressive"), seed=1)
    assert day.slice_answered[1] < 0.75 * day.slice_answered[0]


def test_distributions_have_the_means_they_promise() -> None:
    rng = np.random.default_rng(1)
    for distribution, mean in (
        (LogNormal(150.0, 0.9), 150.0),
        (Exponential(40.0), 40.0),
        (Uniform(2.0, 8.0), 5.0),
        (Observed((1.0, 2.0, 6.0)), 3.0),
        (Mixture(0.25, Fixed(4.0), Fixed(8.0)), 7.0),
    ):
        assert float(distribution.sample(rng, 40_000).mean()) == pytest.approx(mean, rel=0.03)


def test_floors_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one shift"):
        Floor(shifts=(), answer=Steps(0.3))
    with pytest.raises(ValueError, match="ring_timeout_s"):
        Floor(shifts=(Shift(agents=1),), answer=Steps(0.3), ring_timeout_s=None)
    with pytest.raises(ValueError, match="in order of time"):
        Steps(0.1, ((10.0, 0.2), (5.0, 0.3)))
