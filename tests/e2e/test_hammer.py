"""The hammer in its short form: two nodes race removals and do-not-call entries, one is killed; and it can fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# the benchmarks are no part of the installed packages
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.hammer import Plan, hammer

pytestmark = pytest.mark.slow

ENTRIES = 2_400


@pytest.mark.postgres
def test_nobody_is_dialed_after_the_acknowledgement_whoever_is_killed(postgres_url: str) -> None:
    plan = Plan(
        entries=ENTRIES,
        kill_every_s=0.0,
        kills_at=(0.3,),
        kill_valkey_at=(),
        database_url=postgres_url,
    )
    verdict = hammer(plan)
    assert (verdict.late, verdict.late_by_stamps, verdict.dialed_twice) == (0, 0, 0)
    assert verdict.entries == ENTRIES
    assert verdict.kills_of_nodes == 1
    assert verdict.by_rest > 0
    # It was a race: some were called and some not, in whatever way they were withdrawn.
    assert len(verdict.forms) == 6
    assert set(verdict.dialed_by_form) == set(verdict.forms)
    assert all(0 < verdict.dialed_by_form[form] < count for form, count in verdict.forms.items())
    assert verdict.cancelled > 0


def test_a_dial_after_the_acknowledgement_is_found(sqlite_url: str) -> None:
    """A CRM that says so before it has written makes the promise impossible to keep: ledger and stamps both tell."""
    plan = Plan(
        entries=ENTRIES // 2,
        nodes=1,
        kill_every_s=0.0,
        kill_valkey_at=(),
        rest_share=0.0,
        sabotage="early",
        database_url=sqlite_url,
    )
    verdict = hammer(plan)
    assert verdict.late > 0
    assert verdict.late_by_stamps > 0
    assert not verdict.kept
