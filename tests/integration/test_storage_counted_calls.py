"""The calls behind the figures of abandonment are as many as the figures say, however they are paged."""

from __future__ import annotations

import random
from typing import Any

from dialer.compliance.machine_error import AnswerCounts, Counted
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId
from dialer.core.outcome import Outcome
from dialer.storage.attempts import Attempts
from dialer.storage.counted_calls import counted_calls
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from tests.record_values import attempt

START = 1_700_000_000.0
TALK = {"answered_at": START, "connected_at": START + 0.5, "outcome": Outcome.CONNECTED}
LATE = {**TALK, "connected_at": START + 2.5, "connect_within_s": 2.0}
SAMPLED = {"machine_verdict": "machine", "machine_sampled": True}
KINDS: list[dict[str, Any]] = [
    {},
    TALK,
    LATE,
    {**LATE, "connect_within_s": 3.0},
    {**LATE, "connect_within_s": None},
    {**TALK, **SAMPLED},
    {**LATE, **SAMPLED},
    {"outcome": Outcome.ABANDONED, "answered_at": START},
    {"outcome": Outcome.ABANDONED, "answered_at": START, **SAMPLED},
    {"outcome": Outcome.HUNG_UP, "answered_at": START},
    {"outcome": Outcome.MACHINE, "answered_at": START},
]


async def all_of(
    database: Database, campaign: CampaignId, figure: Counted, since: float, until: float, limit: int
) -> list[Attempt]:
    found: list[Attempt] = []
    before: tuple[float, CallId] | None = None
    while page := await counted_calls(database, campaign, figure, since, until, before=before, limit=limit):
        assert len(page) <= limit
        found += page
        before = page[-1].ended_at, page[-1].call
    return found


async def test_as_many_as_are_counted_on_pages_of_any_length(database: Database) -> None:
    choose = random.Random(5)
    campaigns = [CampaignId("a"), CampaignId("b")]
    made = [
        attempt(
            number, campaign=choose.choice(campaigns), ended_at=START + choose.randrange(40), **choose.choice(KINDS)
        )
        for number in range(60)
    ]
    await Attempts(database).record([(one, None) for one in made])
    for one in made:
        for at in range(choose.randrange(3) if one.machine_sampled else 0):
            code = choose.choice(["SALE", "MACHINE"])
            await Dispositions(database).add(Disposition(call=one.call, code=code, at=float(at)))
    for since, until in ((START, START + 100.0), (START + 10.0, START + 20.0), (START + 50.0, START + 60.0)):
        counts = await Attempts(database).answer_counts(since, until)
        for campaign in campaigns:
            for figure in Counted:
                whole = await all_of(database, campaign, figure, since, until, 1_000)
                assert len(whole) == getattr(counts.get(campaign, AnswerCounts()), figure)
                assert all(one.campaign == campaign and since <= one.ended_at < until for one in whole)
                assert whole == sorted(whole, key=lambda one: (one.ended_at, one.call), reverse=True)
                assert await all_of(database, campaign, figure, since, until, 2) == whole
