"""Records lose the person when the law of their number no longer wants them; and it is on record that they did."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from dialer.compliance.evidence import EvidenceKind
from dialer.compliance.retention import Keep, Retention
from dialer.compliance.rules import Purpose
from dialer.core.ids import CallId, Phone
from dialer.intake import jobs
from dialer.settings import Compliance, Settings
from dialer.settings import Database as DatabaseSettings
from dialer.storage.attempts import Attempts
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from dialer.storage.retention import RetentionRun
from tests.compliance_rules import shipped_book
from tests.record_values import attempt
from workers.jobs.retention import apply

DAY = 86_400.0
NOW = 1_795_687_200.0
TODAY = date(2026, 11, 26)
LONDON, MADRID, BERLIN = Phone("+442071838750"), Phone("+34910000001"), Phone("+4930123456")


@pytest.mark.parametrize(
    ("phone", "purpose", "days", "rule"),
    [
        (LONDON, Purpose.MARKETING, 183, "GB-retention@2020-01-01"),
        (MADRID, Purpose.DEBT, 1825, "POLICY-retention@2020-01-01"),
        (Phone("+999123456789"), Purpose.DEBT, 1825, "POLICY-retention@2020-01-01"),
    ],
)
def test_the_law_of_the_number_says_how_long(phone: Phone, purpose: Purpose, days: int, rule: str) -> None:
    assert Retention(shipped_book(), TODAY).of(phone, purpose) == Keep(days, rule)


def test_of_several_countries_of_one_code_and_of_unknown_purposes_the_longest_counts() -> None:
    rules = Retention(shipped_book(), TODAY)
    american = rules.of(Phone("+12125551234"), Purpose.MARKETING)
    assert american is not None
    assert american.days == 1826, "Canada's 1,096 days are shorter"
    unknown, known = rules.of(LONDON, None), [rules.of(LONDON, purpose) for purpose in Purpose]
    assert unknown is not None
    assert unknown.days == max(keep.days for keep in known if keep is not None)
    assert rules.shortest_s == 183 * DAY


def keep_of(phone: str, campaign: str | None) -> Keep | None:
    return {"+44": Keep(183, "GB"), "+34": Keep(1825, "POLICY")}.get(phone[:3])


async def fill(database: Database) -> None:
    made = [
        attempt(n, phone=phone, started_at=NOW - days * DAY - 60, ended_at=NOW - days * DAY)
        for n, (phone, days) in enumerate(
            [(LONDON, 184), (LONDON, 182), (MADRID, 1824), (MADRID, 1826), (BERLIN, 9_999)]
        )
    ]
    await Attempts(database).record([(one, None) for one in made])


async def kept(database: Database) -> list[str]:
    return [one.phone for n in range(5) if (one := await Attempts(database).get(CallId(f"call-{n}")))]


async def test_whose_time_is_over_goes_and_the_chain_stays_whole(database: Database) -> None:
    await fill(database)
    expired = await RetentionRun(database, keep_of, 183 * DAY, NOW).apply()
    assert expired.rows == {"attempts": 2, "recordings": 0, "evidence": 2}
    assert await kept(database) == ["", LONDON, MADRID, "", BERLIN]
    store = EvidenceStore(database)
    links = [link async for link in store.find(EvidenceFilter(kind=EvidenceKind.ATTEMPT))]
    assert [link.personal is None for link in sorted(links, key=lambda link: link.reference)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert (await store.verify()).problem == ""
    [note] = [link async for link in store.find(EvidenceFilter(kind=EvidenceKind.ERASURE))]
    assert json.loads(note.facts) == {
        "rows": {"attempts": 2, "evidence": 2},
        "rules": {"GB": 2, "POLICY": 2},
        "who": "retention",
    }
    again = await RetentionRun(database, keep_of, 183 * DAY, NOW).apply()
    assert again.rows == {}
    assert len([link async for link in store.find(EvidenceFilter(kind=EvidenceKind.ERASURE))]) == 1


async def test_the_boundary_is_the_moment_itself(database: Database) -> None:
    await fill(database)
    await RetentionRun(database, keep_of, 183 * DAY, NOW + DAY - 1.0).apply()
    assert (await kept(database))[1:3] == [LONDON, MADRID]
    await RetentionRun(database, keep_of, 183 * DAY, NOW + DAY).apply()
    assert (await kept(database))[1:3] == ["", ""]


async def test_the_job_goes_by_the_rules_on_file(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    await fill(database)
    settings = Settings(database=DatabaseSettings(url=database_url), compliance=Compliance())
    told = await apply(settings, NOW)
    assert told["rows"] == {"attempts": 3, "recordings": 0, "evidence": 3}, "of Germany five years are kept"
    assert await kept(database) == ["", LONDON, MADRID, "", ""]
    await database.close()


def test_a_day_has_one_such_job() -> None:
    assert jobs.apply_retention(NOW).id == jobs.apply_retention(NOW + 60).id
    assert jobs.apply_retention(NOW).id != jobs.apply_retention(NOW + DAY).id
    assert jobs.APPLY_RETENTION in jobs.FUNCTIONS
