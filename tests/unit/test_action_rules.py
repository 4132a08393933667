"""Rules of the next best action: what a file may say, what holds for which history, and when the next call is."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dialer.actions.dry_run import DryRun
from dialer.actions.loader import load_rules
from dialer.actions.matching import Past, PastCall, call_again_at, holds, matching
from dialer.actions.rules import CallAgain, Rule, Weekday, parse_rules, rule_set
from dialer.console.problems import words
from dialer.console.texts import texts
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import ConfigError, InputError

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400.0
WINTER = CampaignId("winter")


def one(when: dict[str, Any], then: dict[str, Any] | None = None, **changes: Any) -> Rule:
    (rule,) = parse_rules({"rules": [{"name": "r", "when": when, "then": then or {"priority": 1}, **changes}]})
    return rule


def called(number: int, outcome: Outcome, category: str | None = None, at: float | None = None) -> PastCall:
    ended = number * DAY if at is None else at
    return PastCall(
        call=CallId(f"call-{number}"),
        phone=Phone("+34600111222"),
        started_at=ended - 60,
        ended_at=ended,
        outcome=outcome,
        coded_at=None if category is None else ended + 5,
        category=category,
        is_sale=category == "sale",
        is_contact=category in {"sale", "promise", "refused", "informed"},
    )


def past(*calls: PastCall) -> Past:
    return Past(campaign=WINTER, contact=ContactId("crm-1"), calls=calls)


TALK, NOBODY = Outcome.CONNECTED, Outcome.NO_ANSWER


@pytest.mark.parametrize(
    ("when", "calls", "why"),
    [
        ({"failed_contacts": 2}, [called(1, TALK, "refused"), called(2, TALK, "informed")], "2 contacts came"),
        ({"failed_contacts": 2}, [called(1, TALK, "refused"), called(2, TALK, "sale")], ""),
        ({"failed_contacts": 2}, [called(1, TALK, "refused"), called(2, TALK, "promise")], ""),
        ({"failed_contacts": 1}, [called(1, TALK)], ""),
        ({"failed_contacts": 1}, [called(1, TALK, "not_there")], ""),
        ({"outcomes": ["no_answer"], "outcome_times": 2}, [called(1, NOBODY), called(2, NOBODY)], "the last 2 calls"),
        ({"outcomes": ["no_answer"], "outcome_times": 2}, [called(1, NOBODY)], ""),
        ({"outcomes": ["no_answer"], "outcome_times": 2}, [called(1, NOBODY), called(2, TALK), called(3, NOBODY)], ""),
        (
            {"categories": ["refused"], "category_times": 2},
            [called(1, TALK, "refused"), called(2, NOBODY), called(3, TALK, "refused")],
            "the last 2 codes",
        ),
        (
            {"categories": ["refused"], "category_times": 2},
            [called(1, TALK, "refused"), called(2, TALK, "sale"), called(3, TALK, "refused")],
            "",
        ),
        ({"outcomes": ["connected"], "sale": False}, [called(1, TALK, "refused")], "is no sale"),
        # Nobody has said yet whether it is one.
        ({"outcomes": ["connected"], "sale": False}, [called(1, TALK)], ""),
        ({"sale": True}, [called(1, TALK, "sale")], "is a sale"),
        ({"attempts": 2}, [called(1, NOBODY), called(2, NOBODY)], "2 calls were made"),
        ({"days_since_first": 3, "attempts": 2}, [called(1, NOBODY), called(5, NOBODY)], "4.0 days"),
        ({"days_since_first": 5}, [called(1, NOBODY), called(5, NOBODY)], ""),
        ({"attempts": 1}, [], ""),
    ],
)
def test_a_rule_holds_for_the_history_that_it_describes(when: dict[str, Any], calls: list[PastCall], why: str) -> None:
    found = holds(one(when), past(*calls))
    assert why in found.says if why else not found
    told = words(texts("es"), found)
    assert bool(told) == bool(found)
    assert not re.search(r"[{}_]|\b(the|call|calls|codes|were)\b", told)


def test_a_rule_is_about_its_campaigns_and_fires_once() -> None:
    rules = [
        one({"attempts": 1}, name="here", campaigns=["winter"]),
        one({"attempts": 1}, name="other", campaigns=["x"]),
    ]
    rules.append(one({"attempts": 1}, {"move_to": "winter"}, name="into"))
    now = past(called(1, NOBODY))
    assert [found.rule.name for found in matching(rules, now, ())] == ["here"]
    assert matching(rules, now, {"here"}) == []


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown word": ({"when": {"atempts": 3}}, "unknown field `atempts`"),
    "an unknown outcome": ({"when": {"outcomes": ["happy"]}}, "'happy'"),
    "an unknown category": ({"when": {"categories": ["meh"]}}, "'meh'"),
    "no condition": ({"when": {}}, "has no condition"),
    "nothing to do": ({"then": {}}, "then: is empty"),
    "two things to do": ({"then": {"move_to": "a", "ask": {"what": "sms"}}}, "two things"),
    "a priority of a question": ({"then": {"priority": 1, "ask": {"what": "sms"}}}, "does not go with ask"),
    "times of nothing": ({"when": {"outcome_times": 2, "attempts": 2}}, "outcome_times needs outcomes"),
    "codes of nothing": ({"when": {"category_times": 2, "attempts": 2}}, "category_times needs categories"),
    "a sale of nobody": ({"when": {"sale": False, "outcomes": ["busy"]}}, "cannot hold"),
    "a move to where they are": ({"campaigns": ["a"], "then": {"move_to": "a"}}, "cannot happen"),
    "too few attempts": ({"when": {"attempts": 2, "failed_contacts": 3}}, "says nothing"),
    "no times": ({"when": {"failed_contacts": 0}}, "when.failed_contacts"),
    "a campaign that is none": ({"campaigns": ["a b"]}, "'a b' is no campaign"),
    "a name that is none": ({"name": "a b"}, "name"),
    "an unknown deed": ({"then": {"delete": True}}, "unknown field `delete`"),
    "a day that is none": ({"then": {"call_again": {"weekdays": ["someday"]}}}, "'someday'"),
    "no day": ({"then": {"call_again": {"weekdays": []}}}, "weekdays"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_rule_that_makes_no_sense_is_refused_with_file_and_reason(what: str) -> None:
    changes, says = BAD[what]
    rule = {"name": "r", "when": {"attempts": 1}, "then": {"priority": 1}, **changes}
    with pytest.raises(InputError) as refused:
        parse_rules({"rules": [rule]}, "file.toml")
    assert str(refused.value).startswith("file.toml: ")
    assert says in str(refused.value)


@pytest.mark.parametrize("content", [{}, {"rules": []}, {"rules": [], "x": 1}, {"rules": "all"}, {"rule": []}])
def test_a_file_without_rules_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        parse_rules(content)


def test_a_way_that_goes_round_is_named() -> None:
    rules = [
        one({"attempts": 1}, {"move_to": "b"}, name="one", campaigns=["a"]),
        one({"attempts": 1}, {"move_to": "c"}, name="two", campaigns=["b"]),
        one({"attempts": 1}, {"move_to": "a"}, name="three", campaigns=["c"]),
    ]
    rule_set(rules[:2])
    with pytest.raises(InputError, match=r"rules two, three, one: .*\(a → b → c → a\)|round and round") as refused:
        rule_set(rules)
    assert "a → b → c → a" in str(refused.value)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two of this name"):
        rule_set([one({"attempts": 1}), one({"attempts": 2})])


def test_a_folder_is_read_as_a_whole(tmp_path: Path) -> None:
    text = '[[rules]]\nname = "NAME"\nwhen = {{ attempts = 1 }}\nthen = {{ move_to = "{0}" }}\ncampaigns = ["{1}"]\n'
    (tmp_path / "1.toml").write_text(text.replace("NAME", "one").format("b", "a"))
    assert [rule.name for rule in load_rules(tmp_path).rules] == ["one"]
    (tmp_path / "2.toml").write_text(text.replace("NAME", "two").format("a", "b"))
    with pytest.raises(ConfigError, match="round and round"):
        load_rules(tmp_path)
    (tmp_path / "2.toml").write_text("rules = [")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_rules(tmp_path)
    (tmp_path / "2.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_rules(tmp_path)
    with pytest.raises(ConfigError, match="cannot read the folder"):
        load_rules(tmp_path / "none")


def test_the_shipped_example_and_those_of_the_page_are_right() -> None:
    assert len(load_rules(ROOT / "config" / "actions").rules) == 4
    page = (ROOT / "docs" / "next-best-action.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```toml\n")[1:]]
    assert len(rule_set([rule for block in blocks for rule in parse_rules(tomllib.loads(block))]).rules) >= 2


MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    ("wish", "last", "now", "expected"),
    [
        # A Tuesday at 17:20; the next day, at the same hour.
        (CallAgain(), "2026-03-24T17:20", "2026-03-24T17:40", "2026-03-25T17:20"),
        (CallAgain(after_days=3), "2026-03-24T17:20", "2026-03-24T17:40", "2026-03-27T17:20"),
        # A week later would be a Tuesday again.
        (CallAgain(after_days=7), "2026-03-24T17:20", "2026-03-24T17:40", "2026-04-01T17:20"),
        (CallAgain(weekdays=(Weekday.MONDAY,)), "2026-03-24T17:20", "2026-03-24T17:40", "2026-03-30T17:20"),
        # Summer time has come meanwhile: the hour of the clock is kept.
        (CallAgain(weekdays=(Weekday.SUNDAY,)), "2026-03-24T17:20", "2026-03-24T17:40", "2026-03-29T17:20"),
        # Only the day of the last call is wanted: then a week later.
        (CallAgain(weekdays=(Weekday.TUESDAY,)), "2026-03-24T17:20", "2026-03-24T17:40", "2026-03-31T17:20"),
    ],
)
def test_the_next_call_is_on_another_weekday_at_that_hour(wish: CallAgain, last: str, now: str, expected: str) -> None:
    last_at, now_at = (datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp() for text in (last, now))
    found = datetime.fromtimestamp(call_again_at(wish, last_at, now_at, MADRID), MADRID)
    assert found.isoformat(timespec="minutes")[:16] == expected


def test_a_dry_run_sees_history_as_it_was_then() -> None:
    rules = rule_set(
        [
            one({"outcomes": ["no_answer"], "outcome_times": 2}, name="text"),
            one({"failed_contacts": 1}, {"move_to": "loyalty"}, name="move"),
        ]
    )
    run = DryRun(rules, since=2.5 * DAY)
    # The code of the talk came after the two calls that nobody answered.
    run.add(
        past(called(1, NOBODY), called(2, NOBODY), called(3, NOBODY), called(4, TALK, "refused"), called(5, NOBODY))
    )
    run.add(past(called(1, NOBODY)))
    text, move = run.tallies["text"], run.tallies["move"]
    assert (text.contacts, move.contacts, run.contacts) == (1, 1, 2)
    # Whoever was moved away is called no more here.
    assert run.calls == 4 + 1
    assert text.examples == [("winter", "crm-1", "the last 2 calls ended no_answer")]
    assert move.campaigns == {"winter": 1}
