"""Caps that campaigns of two shards would be held to together: told, and those campaigns dial nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from dialer.compliance.destinations import Destinations
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.rules import CapRule, KeyPart
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import CampaignId
from dialer.core.shards import ONE_REDIS, Shards, shards_of
from dialer.errors import ConfigError
from dialer.runtime.shared_caps import SharedCaps, caps_over_campaigns, shared_caps
from dialer.storage.campaigns import StoredCampaign

TABLE = [("a", ["a-*"]), ("b", ["*"])]


@dataclass(frozen=True)
class Rule:
    """What of a cap matters here."""

    id: str
    key: tuple[KeyPart, ...]

    @property
    def version(self) -> str:
        return f"{self.id}@2026-01-01"


def stored(name: str, seller: str = "", state: CampaignState = CampaignState.RUNNING) -> StoredCampaign:
    return StoredCampaign(campaign=Campaign(id=CampaignId(name), seller=seller), state=state, updated_at=0.0)


def told(
    *campaigns: StoredCampaign,
    key: tuple[KeyPart, ...],
    code: str = "+34",
    numbers: dict[str, tuple[str, ...]] | None = None,
    destinations: Destinations | None = None,
    aside: dict[str, set[str]] | None = None,
) -> list[str]:
    rules = [(cast("CapRule", Rule("r", key)), {code})]
    found = shared_caps(
        campaigns, shards_of("a", TABLE, numbers), rules, destinations or Destinations(),
        lambda campaign: (aside or {}).get(campaign, set()),
    )  # fmt: skip
    return sorted(found)


NUMBER, PERSON, SELLER = (KeyPart.NUMBER,), (KeyPart.PERSON,), (KeyPart.PERSON, KeyPart.SELLER)


@pytest.mark.parametrize(
    ("campaigns", "more", "refused"),
    [
        ([stored("a-1"), stored("x")], {"key": NUMBER}, ["x"]),
        ([stored("a-1"), stored("a-2")], {"key": NUMBER}, []),
        ([stored("a-1"), stored("x", state=CampaignState.DRAFT)], {"key": NUMBER}, []),
        ([stored("a-1", state=CampaignState.STOPPED), stored("x")], {"key": NUMBER}, ["x"]),
        ([stored("a-1", "one"), stored("x", "two")], {"key": SELLER}, []),
        ([stored("a-1", "one"), stored("x", "one")], {"key": SELLER}, ["x"]),
        ([stored("a-1"), stored("x")], {"key": NUMBER, "numbers": {"a": ("+34",)}}, []),
        ([stored("a-1"), stored("x")], {"key": NUMBER, "numbers": {"a": ("+351",)}}, []),
        # Other numbers of the same country may be the same person's.
        ([stored("a-1"), stored("x")], {"key": PERSON, "numbers": {"a": ("+346",), "b": ("+347",)}}, ["x"]),
        ([stored("a-1"), stored("x")], {"key": PERSON, "numbers": {"a": ("+34",)}}, []),
        ([stored("a-1"), stored("x")], {"key": NUMBER, "destinations": Destinations(("PT",))}, []),
        ([stored("a-1"), stored("x")], {"key": NUMBER, "destinations": Destinations(("ES",))}, ["x"]),
        ([stored("a-1"), stored("x")], {"key": NUMBER, "code": "+", "destinations": Destinations(("PT",))}, ["x"]),
        ([stored("a-1"), stored("x")], {"key": NUMBER, "aside": {"x": {"r@2026-01-01"}}}, []),
    ],
)
def test_who_would_meet_in_a_cap(campaigns: list[StoredCampaign], more: dict[str, Any], refused: list[str]) -> None:
    assert told(*campaigns, **more) == refused


def test_the_rules_on_file_that_count_over_campaigns_are_found_with_their_countries() -> None:
    rules = caps_over_campaigns(load_rule_book(find_folder(None)))
    assert rules
    assert all(KeyPart.CAMPAIGN not in rule.key for rule, _ in rules)
    assert {codes for rule, codes in rules if rule.jurisdiction == "GB"} == {frozenset({"+44"})}
    assert frozenset({"+"}) in {codes for rule, codes in rules if rule.jurisdiction == "POLICY"}


def test_nobody_is_dialed_before_it_is_known() -> None:
    book = load_rule_book(find_folder(None))
    several = SharedCaps(cast("Any", None), shards_of("a", TABLE), book, Destinations(), lambda _: ())
    assert several.problem(CampaignId("a-1")).code == "cap_shared_unknown"
    alone = SharedCaps(cast("Any", None), ONE_REDIS, book, Destinations(), lambda _: ())
    assert not alone.problem(CampaignId("a-1"))


def test_a_number_is_called_from_one_shard_where_they_divide_them() -> None:
    numbers = {"a": ("+34", "+351"), "b": ("+44",)}
    shards = {own: shards_of(own, TABLE, numbers) for own in ("a", "b")}
    for phone, own in (("+34600000001", "a"), ("+351910000001", "a"), ("+447700900123", "b")):
        assert [name for name, one in shards.items() if not one.called_elsewhere(phone)] == [own]
    assert [name for name, one in shards.items() if not one.called_elsewhere("+33612345678")] == []
    rest = {own: shards_of(own, TABLE, {"a": ("+34",)}) for own in ("a", "b")}
    assert [name for name, one in rest.items() if not one.called_elsewhere("+33612345678")] == ["b"]
    assert Shards().called_elsewhere("+33612345678") == ""
    assert "not called from shard b" in Destinations(elsewhere=shards["b"].called_elsewhere).problem(
        cast("Any", "+34600")
    )
    with pytest.raises(ConfigError, match="overlap"):
        shards_of("a", TABLE, {"a": ("+34",), "b": ("+346",)})
