"""Live answers, abandoned ones and what agents said of sampled machine verdicts, campaign by campaign, in SQL."""

from __future__ import annotations

import random
from typing import Any

from dialer.compliance.machine_error import AnswerCounts
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId
from dialer.core.outcome import Outcome
from dialer.storage.attempts import Attempts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.testing import FakeAttempts
from tests.record_values import attempt

START = 1_700_000_000.0
TALK = {"answered_at": START, "connected_at": START + 0.5, "outcome": Outcome.CONNECTED}
SAMPLED: dict[str, Any] = {**TALK, "machine_verdict": "machine", "machine_sampled": True}


async def test_every_kind_is_counted_once(database: Database) -> None:
    made = [
        attempt(1),  # nobody answered
        attempt(2, **TALK),
        attempt(3, **{**TALK, "connected_at": START + 2.5, "connect_within_s": 2.0}),
        attempt(4, outcome=Outcome.ABANDONED, answered_at=START),
        attempt(5, outcome=Outcome.HUNG_UP, answered_at=START),
        attempt(6, outcome=Outcome.MACHINE, answered_at=START, machine_verdict="machine"),
        attempt(7, **SAMPLED),  # a person
        attempt(8, **SAMPLED),  # first said to be a person, and then a machine
        attempt(9, **SAMPLED),  # nobody said what it was
        attempt(10, **TALK),  # not of the sample, whatever is said of it
        attempt(11, campaign=CampaignId("other"), **TALK),
        attempt(12, ended_at=START - 1.0, **TALK),  # before
    ]
    await Attempts(database).record([(one, None) for one in made])
    said = [("call-7", "SALE", 1.0), ("call-8", "SALE", 1.0), ("call-8", "MACHINE", 2.0), ("call-10", "MACHINE", 1.0)]
    for number, (call, code, at) in enumerate(said):
        await Dispositions(database).add(Disposition(call=CallId(call), code=code, at=at, ref=f"m{number}"))  # type: ignore[arg-type]
    found = await Attempts(database).answer_counts(START, START + 1_000.0)
    assert found == {
        # calls 2, 3, 4, 5, 7, 9 and 10; of these 3 was late and 4 abandoned
        CampaignId("winter"): AnswerCounts(
            live_answers=7, abandoned=2, hung_up_as_machine=1, judged=2, judged_people=1
        ),
        CampaignId("other"): AnswerCounts(live_answers=1),
    }
    assert await Attempts(database).answer_counts(START + 2_000.0, START + 3_000.0) == {}


async def test_the_double_for_tests_counts_alike(database: Database) -> None:
    choose, fake, made = random.Random(4), FakeAttempts(), list[Attempt]()
    for number in range(60):
        kind: dict[str, Any] = choose.choice(
            [TALK, SAMPLED, {"outcome": Outcome.ABANDONED, "answered_at": START}, {},
             {"outcome": Outcome.MACHINE, "answered_at": START}]
        )  # fmt: skip
        made.append(attempt(number, campaign=CampaignId(choose.choice(["a", "b"])), **kind))
    await Attempts(database).record([(one, None) for one in made])
    fake.rows = made
    for one in made:
        if one.machine_sampled and choose.random() < 0.7:
            code = choose.choice(["SALE", "MACHINE"])
            fake.codes[one.call] = code
            await Dispositions(database).add(Disposition(call=one.call, code=code, at=1.0))
    assert await Attempts(database).answer_counts(START, START + 100.0) == await fake.answer_counts(
        START, START + 100.0
    )
