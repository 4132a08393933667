"""JSON for the CRM and for SQL: shapes, moments, absent keys."""

from __future__ import annotations

import pytest

from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from dialer.queues.journal import JournalEntry, decode_entry, encode_entry
from dialer.queues.keys import Keys
from dialer.queues.removals import parse_moment
from dialer.queues.results import call_ended, message_rejected, rfc3339
from dialer.queues.scripts import Scripts

ATTEMPT = Attempt(
    call=CallId("n1-1"),
    campaign=CampaignId("winter"),
    contact=ContactId("crm-17"),
    phone=Phone("+34600111222"),
    attempt_number=2,
    outcome=Outcome.CONNECTED,
    reason="",
    started_at=1_800_000_000.0,
    ringing_at=1_800_000_002.5,
    answered_at=1_800_000_010.0,
    connected_at=1_800_000_010.25,
    ended_at=1_800_000_070.25,
    agent=AgentId("ana"),
)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_800_000_000.123456, "2027-01-15T08:00:00.123456Z"),
        (951_782_400.9999996, "2000-02-29T00:00:01.000000Z"),
    ],
)
def test_moments_have_microseconds(at: float, text: str) -> None:
    assert rfc3339(at) == text
    assert parse_moment(text) == pytest.approx(at, abs=1e-6)


def test_end_of_a_call_has_its_durations_and_no_empty_keys() -> None:
    assert call_ended(ATTEMPT) == {
        "type": "call.ended",
        "at": "2027-01-15T08:01:10.250000Z",
        "campaign": "winter",
        "contact": "crm-17",
        "phone": "+34600111222",
        "call": "n1-1",
        "agent": "ana",
        "outcome": "connected",
        "attempt": 2,
        "started_at": "2027-01-15T08:00:00.000000Z",
        "duration_s": 70.25,
        "ring_s": 7.5,
        "wait_s": 0.25,
        "talk_s": 60.0,
    }
    assert "ref" not in message_rejected(0.0, reason="no JSON")


def test_journal_gives_back_what_it_took() -> None:
    entry = JournalEntry(attempt=ATTEMPT, retry_at=None, fencing_token=7)
    assert decode_entry(encode_entry(entry)) == entry
    for wrong in (b"", b"{}", b"\xff", b'{"attempt": 1}'):
        with pytest.raises(InputError, match="not a journal entry"):
            decode_entry(wrong)


def test_prefix_cannot_break_out_of_the_scripts() -> None:
    for prefix in ("a'b", "a b", "x" * 65, "ñ"):
        with pytest.raises(ValueError, match="key prefix"):
            Keys(prefix)
    assert Scripts(Keys("a:"))["gate"] != Scripts(Keys("b:"))["gate"]
