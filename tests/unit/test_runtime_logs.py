"""No phone number reaches a log in full, calls can be followed by their id, and the last lines are kept."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.notices import (
    AnyNotice,
    CallConnected,
    CallEnded,
    CallOptedOut,
    CallRang,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
    ServerChanged,
)
from dialer.core.outcome import Outcome
from dialer.errors import ConfigError
from dialer.runtime.call_log import CallLog
from dialer.runtime.logs import configure, kept_files, kept_log, mask_phones
from dialer.settings import Log

PHONE, CONTACT = Phone("+34600111222"), ContactId("crm-17-garcia")
CALL, CAMPAIGN, AGENT = CallId("n1-ab-7"), CampaignId("winter"), AgentId("anna")
T = 1_800_000_000.0


def test_numbers_are_masked_wherever_they_stand_in_a_text() -> None:
    event = {"event": "call to +34600111222 failed", "phone": "+34600111222", "n": 5}
    assert mask_phones(None, "info", event) == {"event": "call to +34…22 failed", "phone": "+34…22", "n": 5}


def test_numbers_are_masked_in_dial_strings_and_deep_inside() -> None:
    event = {
        "channel": "PJSIP/34600111222@carrier-00000a1b",
        "rows": [{"phone": PHONE}, (PHONE, 5)],
        "at": T,
        "entry": "1699999999999-0",
    }
    masked = mask_phones(None, "info", event)
    assert masked["channel"] == "PJSIP/+34…22@carrier-00000a1b"
    assert masked["rows"] == [{"phone": "+34…22"}, ["+34…22", 5]]
    # Neither moments nor ids of stream entries are numbers that anybody could call.
    assert (masked["at"], masked["entry"]) == (T, "1699999999999-0")


NESTED = st.recursive(
    st.just("x") | st.integers() | st.none(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3),
    max_leaves=8,
)


@given(
    before=st.text(max_size=20),
    number=st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    after=st.text(max_size=20).filter(lambda text: not text[:1].isdigit()),
    around=NESTED,
)
def test_no_number_passes_in_any_text(before: str, number: str, after: str, around: Any) -> None:
    text = f"{before}{number}{after}"
    event = mask_phones(None, "info", {"event": text, "deep": [around, {"more": [text]}]})
    assert number not in repr(event)


def notices() -> list[AnyNotice]:
    """One of each kind that is about a call."""
    whose: dict[str, Any] = {"at": T, "call": CALL, "campaign": CAMPAIGN, "contact": CONTACT, "phone": PHONE}
    attempt = Attempt(
        call=CALL,
        campaign=CAMPAIGN,
        contact=CONTACT,
        phone=PHONE,
        attempt_number=3,
        outcome=Outcome.CONNECTED,
        reason=f"PJSIP/{PHONE[1:]}@carrier said 200",
        started_at=T,
        ended_at=T + 70,
        answered_at=T + 9,
        connected_at=T + 9.4,
    )
    return [
        CallStarted(**whose, server=ServerName("a1"), trunk=TrunkName("t"), attempt_number=3),
        CallRang(at=T, call=CALL, campaign=CAMPAIGN),
        CallWasAnswered(**whose, ring_s=9.0),
        CallConnected(**whose, agent=AGENT, wait_s=0.4, screen_pop=f"https://crm.example/{CONTACT}"),
        CallWasAbandoned(**whose, wait_s=2.0),
        CallOptedOut(**whose, scope="*", by="key"),
        CallEnded(at=T + 70, attempt=attempt, retry_at=None),
        CallWasDisposed(**whose, code="SALE", agent=AGENT, amount="10", notes="lives at Calle Mayor", ref=None),
    ]


def test_each_step_of_a_call_has_a_line_with_its_ids_and_nobody_named() -> None:
    with structlog.testing.capture_logs() as lines:
        log = CallLog()
        for notice in notices():
            log.apply(notice)
        log.apply(ServerChanged(at=T, server=ServerName("a1"), connected=True))
    assert len(lines) == len(notices())
    assert all(line["call"] == CALL and line["campaign"] == CAMPAIGN for line in lines)
    assert {line["attempt"] for line in lines if "attempt" in line} == {3}
    text = repr([mask_phones(None, "info", line) for line in lines])
    for secret in (PHONE, PHONE[1:], CONTACT, "Calle Mayor"):
        assert secret not in text


PROGRAM = """
import logging, sys, structlog
from pathlib import Path
from dialer.runtime import logs
from dialer.settings import Log
logs.configure(Log(json=True, keep_mb=0.02), logs.kept_log(Path(sys.argv[1]), "n1"))
log = structlog.get_logger("x")
log.info("call to +34600111222", call="n1-ab-7")
logging.getLogger("a.library").warning("cannot reach sip:%s", "PJSIP/34600111222@carrier")
try:
    raise ValueError("for +34600111222")
except ValueError:
    log.exception("it failed")
for n in range(int(sys.argv[2])):
    log.info("filler", n=n, text="x" * 200)
"""


def run(folder: Path, fillers: int) -> list[dict[str, Any]]:
    """The lines on standard error of a process that logs and ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(fillers)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_process_logs_json_and_keeps_the_same_lines(tmp_path: Path) -> None:
    shown = run(tmp_path, 0)
    kept = [json.loads(line) for line in kept_log(tmp_path, "n1").read_text(encoding="utf-8").splitlines()]
    assert kept == shown
    assert [line["event"] for line in shown] == ["call to +34…22", "cannot reach sip:PJSIP/+34…22@carrier", "it failed"]
    assert shown[0]["call"] == CALL
    assert shown[1]["logger"] == "a.library"
    assert "ValueError" in shown[2]["exception"]
    assert "600111222" not in repr(shown)
    assert kept_log(tmp_path, "n1").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"log\.keep_mb = 0"):
        configure(Log(), kept_log(tmp_path / "var", "n1"))


def test_a_data_folder_that_is_made_here_is_for_its_owner_alone(tmp_path: Path) -> None:
    run(tmp_path / "new" / "var", 0)
    assert (tmp_path / "new" / "var").stat().st_mode & 0o077 == 0


def test_what_is_kept_does_not_grow_without_end(tmp_path: Path) -> None:
    run(tmp_path, 300)
    files = kept_files(tmp_path)
    assert 1 < len(files) <= 4
    assert sum(path.stat().st_size for path in files) <= 20_000
    lines = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    numbers = [line["n"] for line in lines]
    assert numbers == list(range(300 - len(numbers), 300))


def test_a_disk_that_stalls_costs_lines_of_the_file_and_no_time() -> None:
    from queue import Queue

    from dialer.runtime.logs import _Bounded

    waiting: Queue[logging.LogRecord] = Queue(2)
    handler = _Bounded(waiting)
    for n in range(5):
        handler.emit(logging.makeLogRecord({"msg": str(n)}))
    assert waiting.qsize() == 2


@pytest.mark.parametrize("missing", ["", "logs"])
def test_no_files_are_no_error(tmp_path: Path, missing: str) -> None:
    assert kept_files(tmp_path / missing) == []
