"""Trunks bear what they were agreed to bear: channels at once, and calls per second over any stretch of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.ids import ServerName, TrunkName
from dialer.core.trunks import Trunk, TrunkLimits, Trunks

PBX = ServerName("pbx")


def limits(name: str, channels: int, rate: float) -> TrunkLimits:
    return TrunkLimits(server=PBX, name=TrunkName(name), max_channels=channels, max_calls_per_second=rate)


steps = st.lists(
    st.tuples(st.sampled_from(["take", "take", "release", "wait", "back"]), st.floats(min_value=0.0, max_value=3.0)),
    max_size=200,
)


@given(steps, st.integers(min_value=1, max_value=8), st.floats(min_value=0.2, max_value=50.0))
def test_neither_channels_nor_calls_per_second_are_exceeded(
    script: list[tuple[str, float]], channels: int, rate: float
) -> None:
    trunk = Trunk(limits("out", channels, rate))
    now, used, taken = 1_000.0, 0, []
    for what, amount in script:
        match what:
            case "take":
                could = trunk.available(now)
                assert 0 <= could <= channels - used
                assert trunk.take(now) is (could > 0)
                if could:
                    used += 1
                    taken.append(now)
            case "release" if used:
                trunk.release()
                used -= 1
            case "wait":
                now += amount
            case "back":
                # A clock that is late must not fill the bucket twice.
                trunk.available(now - amount)
        assert trunk.channels == used <= channels
    depth = max(1.0, rate / 2)
    for i, first in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= depth + (taken[j] - first) * rate + 1e-6


@given(st.floats(min_value=0.5, max_value=20.0), st.integers(min_value=20, max_value=100))
def test_the_rate_is_reached(rate: float, seconds: int) -> None:
    trunk = Trunk(limits("out", 10_000, rate))
    started = sum(trunk.take(second + part / 50) for second in range(seconds) for part in range(50))
    assert started >= int(rate * seconds * 0.95)


@given(st.lists(st.sampled_from("abc"), unique=True, max_size=3), st.integers(min_value=1, max_value=12))
def test_preferred_trunks_are_used_in_their_order_and_others_never(preferred: list[str], calls: int) -> None:
    trunks = Trunks(limits(name, 3, 1_000.0) for name in "abc")
    names = [TrunkName(name) for name in preferred]
    used = [trunks.take(PBX, names, 1.0) for _ in range(calls)]
    assert trunks.available([PBX], names, 1.0) == max(0, 3 * (len(names) or 3) - calls)
    if names:
        expected = [name for name in names for _ in range(3)][:calls]
        assert used == expected + [None] * (calls - len(expected))
    else:
        channels = trunks.channels().values()
        assert max(channels) - min(channels) <= 1, "the least used first"


def test_a_channel_of_an_unknown_trunk_is_nobodys_and_one_found_in_use_counts() -> None:
    trunks = Trunks([limits("a", 1, 100.0)])
    trunks.release(PBX, TrunkName("b"))
    trunks.release(ServerName("elsewhere"), TrunkName("a"))
    assert trunks.adopt(PBX) == "a"
    assert trunks.adopt(PBX) == "a", "whatever the limit"
    assert trunks.take(PBX, (), 1.0) is None
    trunks.release(PBX, TrunkName("a"))
    trunks.release(PBX, TrunkName("a"))
    assert trunks.take(PBX, (), 1.0) == "a"
    assert trunks.adopt(ServerName("elsewhere")) is None
    assert Trunks([limits("a", 1, 1.0), limits("b", 1, 1.0)]).adopt(PBX) is None, "it could be either"
