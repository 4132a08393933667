"""Rules and rule books for tests of `dialer.compliance`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from dialer.compliance.jurisdiction import parse_jurisdiction
from dialer.compliance.loader import load_rule_book
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.rules import (
    CapRule,
    CooldownRule,
    HolidayScope,
    HoursRule,
    KeyPart,
    Mark,
    Party,
    Purpose,
    Span,
)
from dialer.compliance.windows import Week, Windows

SHIPPED = Path(__file__).parents[1] / "config" / "jurisdictions"

EVERYBODY: Mapping[str, Any] = {
    "jurisdiction": "ES",
    "from_day": date(2020, 1, 1),
    "until_day": None,
    "purposes": frozenset(Purpose),
    "parties": frozenset(Party),
    "where": frozenset(),
    "lifted_by": frozenset(),
    "source": "test",
    "mark": Mark.MEMORY,
    "note": "",
}


@lru_cache(maxsize=1)
def shipped_book() -> RuleBook:
    """The rules that are shipped."""
    return load_rule_book(SHIPPED)


def hours_rule(week: Week, *, holiday: Windows | None = None, **given: Any) -> HoursRule:
    """A rule of hours for everybody."""
    own: dict[str, Any] = {"id": "TEST-hours", "holidays": HolidayScope.NATIONAL, "clock": None}
    return HoursRule(**{**EVERYBODY, **own, **given}, week=week, holiday=holiday)


def cap_rule(maximum: int, span: Span, length: int, **given: Any) -> CapRule:
    """A cap by number."""
    own: dict[str, Any] = {
        "id": f"TEST-cap-{maximum}-{span}-{length}",
        "key": (KeyPart.NUMBER,),
        "counts": None,
        "except_outcomes": frozenset(),
    }
    return CapRule(**{**EVERYBODY, **own, **given}, maximum=maximum, span=span, length=length)


def cooldown_rule(duration_s: int, **given: Any) -> CooldownRule:
    """A cool-down by number."""
    own: dict[str, Any] = {
        "id": f"TEST-cooldown-{duration_s}",
        "key": (KeyPart.NUMBER,),
        "after": frozenset(),
        "after_refusal": False,
        "after_inbound": False,
        "unless_agent_reserved": False,
    }
    return CooldownRule(**{**EVERYBODY, **own, **given}, duration_s=duration_s)


def policy_table() -> dict[str, Any]:
    """A house policy that leaves everything open from six to twenty-two."""
    week = {"mon-sun": ["06:00-22:00"]}
    return {
        "country": "POLICY",
        "name": "House policy",
        "reviewed": date(2026, 1, 1),
        "hours": [
            {
                "id": "POLICY-hours",
                "from": date(2020, 1, 1),
                "purposes": ["marketing", "debt", "survey", "service"],
                "source": "test",
                "mark": "policy",
                "week": week,
            }
        ],
    }


def spain_table(**given: Any) -> dict[str, Any]:
    """A Spain without rules, and with what is given."""
    return {
        "country": "ES",
        "name": "Spain",
        "reviewed": date(2026, 1, 1),
        "zones": ["Europe/Madrid", "Africa/Ceuta", "Atlantic/Canary"],
        **given,
    }


def rule_table(name: str, **given: Any) -> dict[str, Any]:
    """The keys that every rule in a file needs, and those given."""
    return {
        "id": name,
        "from": date(2020, 1, 1),
        "purposes": ["marketing"],
        "source": "test",
        "mark": "M",
        **given,
    }


def book_of(*tables: Mapping[str, Any]) -> RuleBook:
    """A book of these countries and the policy of `policy_table`, unless one of them is a policy."""
    own = list(tables)
    if not any(table["country"] == "POLICY" for table in own):
        own.append(policy_table())
    return RuleBook([parse_jurisdiction(table) for table in own], "test")
