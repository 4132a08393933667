"""Which shard a campaign belongs to, what concerns whom, and settings that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.shards import ONE_REDIS, Shards, check_here, fits, not_here, shards_of
from dialer.errors import ConfigError, InputError
from dialer.settings import load

TABLE = [("north", ["north-*", "alps"]), ("south", ["south-*", "acme--*"]), ("rest", ["*"])]
NAMES = st.text("abcnorthsu-_19", min_size=1, max_size=12)
PATTERNS = NAMES | NAMES.map(lambda name: name + "*")


@pytest.mark.parametrize(
    ("campaign", "shard"),
    [
        ("north-1", "north"),
        ("north-", "north"),
        ("north", "rest"),
        ("alps", "north"),
        ("alps2", "rest"),
        ("acme--winter", "south"),
        ("winter", "rest"),
    ],
)
def test_whose_a_campaign_is_stands_in_its_name(campaign: str, shard: str) -> None:
    for own in ("north", "south", "rest"):
        shards = shards_of(own, TABLE)
        assert shards.of(campaign) == shard
        assert shards.mine(campaign) is (own == shard)
        assert (not_here(shards, campaign) == "") is (own == shard)


@given(campaign=NAMES, table=st.lists(st.tuples(NAMES, st.lists(PATTERNS, max_size=3)), min_size=1, max_size=4))
def test_every_campaign_has_one_shard_or_the_settings_are_refused(
    campaign: str, table: list[tuple[str, list[str]]]
) -> None:
    table = [(name, ["*", *patterns] if place == 0 else patterns) for place, (name, patterns) in enumerate(table)]
    try:
        shards = shards_of(table[0][0], table)
    except ConfigError:
        return
    fitting = {name for name, patterns in table if any(fits(one, campaign) for one in patterns if one != "*")}
    assert len(fitting) <= 1
    assert shards.of(campaign) == (fitting.pop() if fitting else table[0][0])


@pytest.mark.parametrize("scope", ["*", "acme--*", "account:north-1", "account:*"])
def test_whatever_is_wider_than_a_campaign_concerns_all(scope: str) -> None:
    assert shards_of("north", TABLE).concerned(scope) == ("north", "south", "rest")
    assert ONE_REDIS.concerned(scope) == ("",)


def test_a_campaigns_own_concerns_its_shard_alone() -> None:
    shards = shards_of("rest", TABLE)
    assert shards.concerned("south-1") == ("south",)
    assert not shards.here("south-1")
    assert shards.here("spring")
    assert shards.here("*")


def test_another_table_is_another_word_and_its_order_is_none() -> None:
    one = shards_of("north", TABLE)
    assert shards_of("north", TABLE[::-1]).fingerprint == one.fingerprint
    assert shards_of("south", TABLE).fingerprint != one.fingerprint
    assert shards_of("north", [("north", ["north-*"]), *TABLE[1:]]).fingerprint != one.fingerprint


def test_what_is_done_once_is_for_one_of_them() -> None:
    assert [name for name, _ in TABLE if shards_of(name, TABLE).first] == ["north"]
    assert ONE_REDIS.first


def test_without_shards_everything_is_here() -> None:
    assert Shards() == shards_of("", [])
    assert ONE_REDIS.mine("anything")
    check_here(ONE_REDIS, "anything")
    with pytest.raises(InputError, match="belongs to shard south; this is shard north"):
        check_here(shards_of("north", TABLE), "south-1")


@pytest.mark.parametrize(
    ("own", "table", "words"),
    [
        ("a", [], "there are no"),
        ("", [("a", ["*"])], "say which of"),
        ("c", [("a", ["*"]), ("b", ["x"])], "say which of"),
        ("a", [("a", ["*"]), ("a", ["x"])], "same name"),
        ("a", [("a", ["x-*"]), ("b", ["y"])], "none has it"),
        ("a", [("a", ["*"]), ("b", ["*"])], "a and b have it"),
        ("a", [("a", ["*", "x-*"]), ("b", ["x-1"])], "fit the same"),
        ("a", [("a", ["*", "x-1*"]), ("b", ["x-*"])], "fit the same"),
        ("a", [("a", ["*", "x"]), ("b", ["x"])], "fit the same"),
        ("a", [("a", ["*", "*x"])], "may have names"),
        ("a", [("a", ["*", ""])], "may have names"),
    ],
)
def test_a_table_that_cannot_be_is_told_in_words(own: str, table: list[tuple[str, list[str]]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        shards_of(own, table)


def settings_file(folder: Path, *, top: str = "", redis: str = "", second: str = "redis://b:6379") -> Path:
    path = folder / "cadencia.toml"
    path.write_text(
        f'{top}\n[redis]\nshard = "north"\n{redis}\n'
        '[[redis.shards]]\nname = "north"\nurl = "redis://a:6379"\ncampaigns = ["north-*"]\n'
        f'[[redis.shards]]\nname = "rest"\nurl = "{second}"\ncampaigns = ["*"]\n'
    )
    return path


def test_a_node_speaks_to_the_redis_of_its_shard(tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    assert load(path, {}).redis.url == "redis://a:6379"
    other = load(path, {"CADENCIA_REDIS__SHARD": "rest"}).redis
    assert (other.url, other.gate) == ("redis://b:6379", "cadencia:@rest")
    assert load(None, {}).redis.gate == "cadencia:"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"redis": 'url = "redis://a:6379"'}, "leave it out"),
        ({"second": "embedded"}, "a server of its own"),
        ({"second": "redis://a:6379"}, "a URL that no other one has"),
        ({"top": '[costs.cap]\nmoney = "100"'}, "cap campaigns"),
    ],
)
def test_settings_that_go_against_shards_are_told_in_words(tmp_path: Path, more: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(settings_file(tmp_path, **more), {})
