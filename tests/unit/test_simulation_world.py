"""The world: one fate for each call, whoever asks and when; shares and times as the profile says."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dialer.errors import ConfigError
from dialer.simulation.distributions import Constant, LogNormal
from dialer.simulation.profiles import DEMO, FAST, NOBODY, PROFILES, REALISTIC, profile_named
from dialer.simulation.world import DetectionProfile, Fate, Profile, Reaction, World

NOON = 12 * 3600.0
NUMBERS = [f"346{number:08d}" for number in range(20_000)]


def within(count: int, total: int, share: float) -> bool:
    """Whether a binomial count is within five standard errors of its share."""
    return abs(count - total * share) <= 5 * math.sqrt(total * share * (1 - share)) + 1e-9


def test_the_same_fates_in_any_order() -> None:
    first = World(DEMO, 7)
    forward = {number: first.fate(number, 1, NOON) for number in NUMBERS[:500]}
    second = World(DEMO, 7)
    shuffled = NUMBERS[:500]
    random.Random(3).shuffle(shuffled)
    for number in shuffled:
        second.uniforms("something", "else", number)
        assert second.fate(number, 1, NOON) == forward[number]


def test_plus_or_not_is_the_same_number() -> None:
    world = World(DEMO, 7)
    assert world.fate("+34600111222", 2, NOON) == world.fate("34600111222", 2, NOON)


def test_seed_number_and_attempt_all_matter() -> None:
    base = World(DEMO, 7).fate(NUMBERS[0], 1, NOON).shuffle
    others = {World(DEMO, 8).fate(NUMBERS[0], 1, NOON).shuffle, World(DEMO, 7).fate(NUMBERS[1], 1, NOON).shuffle}
    others.add(World(DEMO, 7).fate(NUMBERS[0], 2, NOON).shuffle)
    assert len(others) == 3
    assert base not in others


def test_negative_and_large_seeds_work() -> None:
    assert World(DEMO, -1).fate(NUMBERS[0], 1, NOON) != World(DEMO, 2**64).fate(NUMBERS[0], 1, NOON)


def test_reactions_have_their_shares() -> None:
    world = World(DEMO, 11)
    counts = Counter(world.fate(number, 1, NOON).reaction for number in NUMBERS)
    for reaction, share in DEMO.mix.items():
        assert within(counts[reaction], len(NUMBERS), share), (reaction, counts[reaction])


def test_times_have_their_means() -> None:
    world = World(DEMO, 12)
    fates = [world.fate(number, 1, NOON) for number in NUMBERS]
    for values, distribution in (
        ([fate.talk_s for fate in fates], DEMO.talk),
        ([fate.post_dial_s for fate in fates], DEMO.post_dial),
        ([fate.ring_s for fate in fates if fate.reaction is Reaction.PERSON], DEMO.ring),
        ([fate.ring_s for fate in fates if fate.reaction is Reaction.MACHINE], DEMO.machine_ring),
        ([fate.patience_s for fate in fates if fate.reaction is Reaction.PERSON], DEMO.patience),
    ):
        error = math.sqrt(distribution.variance / len(values))
        assert np.mean(values) == pytest.approx(distribution.mean, abs=5 * error)


def test_the_causes_do_not_depend_on_each_other() -> None:
    world = World(DEMO, 13)
    fates = [world.fate(number, 1, NOON) for number in NUMBERS]
    people = [fate for fate in fates if fate.reaction is Reaction.PERSON]
    correlation = np.corrcoef([math.log(fate.talk_s) for fate in people], [math.log(fate.ring_s) for fate in people])
    assert abs(float(correlation[0, 1])) < 5 / math.sqrt(len(people))


def test_another_talk_time_changes_nothing_else() -> None:
    longer = World(replace(DEMO, talk=LogNormal(120.0, 0.8)), 5)
    world = World(replace(DEMO, talk=LogNormal(60.0, 0.8)), 5)
    for number in NUMBERS[:300]:
        mine, theirs = world.fate(number, 1, NOON), longer.fate(number, 1, NOON)
        assert theirs.talk_s == pytest.approx(2 * mine.talk_s)
        assert replace(theirs, talk_s=mine.talk_s) == mine


def test_a_number_that_does_not_exist_never_will() -> None:
    world = World(DEMO, 5)
    invalid = [number for number in NUMBERS[:2000] if world.fate(number, 1, NOON).reaction is Reaction.INVALID]
    assert invalid
    assert all(
        world.fate(number, attempt, NOON).reaction is Reaction.INVALID for number in invalid for attempt in (2, 9)
    )


def test_people_answer_less_in_bad_hours_and_nobody_else_changes() -> None:
    world = World(REALISTIC, 5)
    night = 3 * 3600.0
    changed: Counter[tuple[Reaction, Reaction]] = Counter()
    for number in NUMBERS:
        before, after = world.fate(number, 1, NOON).reaction, world.fate(number, 1, night).reaction
        changed[before, after] += 1
    answered = sum(count for (_, after), count in changed.items() if after in {Reaction.PERSON, Reaction.HASTY})
    assert within(answered, len(NUMBERS), REALISTIC.answer_rate * REALISTIC.by_hour[3])
    assert {after for before, after in changed if before is not after} == {Reaction.NO_ANSWER}


def test_machine_detection_errs_as_often_as_it_should() -> None:
    world = World(DEMO, 17)
    verdicts: Counter[tuple[bool, str]] = Counter()
    for number in NUMBERS:
        fate = world.fate(number, 1, NOON)
        if fate.reaction.answers:
            verdicts[fate.reaction is Reaction.MACHINE, fate.detection.status] += 1
    detection = DEMO.detection
    for machine, wrong, share in (
        (False, "MACHINE", detection.false_machine),
        (True, "HUMAN", detection.false_human),
    ):
        total = sum(count for (kind, _), count in verdicts.items() if kind is machine)
        assert within(verdicts[machine, wrong], total, share)
        assert within(verdicts[machine, "NOTSURE"], total, detection.unsure)


def test_what_does_not_ring_has_no_ring_time() -> None:
    world = World(DEMO, 5)
    for number in NUMBERS[:3000]:
        fate = world.fate(number, 1, NOON)
        if not fate.rings:
            assert fate.ring_s == 0.0
            assert not fate.early_media
            assert not fate.reaction.answers


def test_scripted_numbers() -> None:
    fate = Fate(reaction=Reaction.BUSY)
    world = World(DEMO, 5, scripted={"34600000001": fate})
    assert world.fate("+34600000001", 4, NOON) == fate
    world.script("34600000002", fate)
    assert world.fate("34600000002", 1, NOON) is fate


def test_nobody_answers_where_nobody_does() -> None:
    world = World(NOBODY, 5)
    assert not any(world.fate(number, 1, NOON).reaction.answers for number in NUMBERS[:2000])


def test_a_world_of_invalid_numbers_alone() -> None:
    world = World(replace(FAST, mix={Reaction.INVALID: 1.0}), 1)
    assert world.fate(NUMBERS[0], 1, NOON).reaction is Reaction.INVALID


def test_uniform_numbers_are_uniform_and_never_0_or_1() -> None:
    world = World(FAST, 23)
    draws = np.array([u for number in range(3000) for u in world.uniforms("x", number)])
    assert draws.min() > 0.0
    assert draws.max() < 1.0
    counts, _ = np.histogram(draws, bins=20, range=(0.0, 1.0))
    expected = draws.size / 20
    # Chi square with 19 degrees of freedom is below 56.0 but for one in 100,000.
    assert float(((counts - expected) ** 2 / expected).sum()) < 56.0


def test_names_of_profiles() -> None:
    assert profile_named("fast") is FAST
    with pytest.raises(ConfigError, match=r"'nope'.*demo"):
        profile_named("nope")
    assert {"demo", "fast", "benchmark"} <= set(PROFILES)


def test_nonsense_in_profiles_is_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        replace(DEMO, mix={Reaction.PERSON: 0.5})
    with pytest.raises(ValueError, match="24 factors"):
        replace(DEMO, by_hour=(1.0,))
    with pytest.raises(ValueError, match="wrong verdicts"):
        DetectionProfile(unsure=0.9)
    with pytest.raises(ValueError, match="break_share"):
        replace(DEMO.agents, break_share=2.0)
    with pytest.raises(ValueError, match="add up to 1"):
        replace(DEMO.agents, dispositions=(("SALE", 0.5),))


def test_profiles_compose() -> None:
    profile: Profile = replace(DEMO, talk=Constant(9.0), name="mine")
    assert World(profile, 1).fate(NUMBERS[0], 1, NOON).talk_s == 9.0
