"""Reports that are sent: the job of a worker with a real database, a real mail server, and the record of webhooks."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller

from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.core.outcome import Outcome
from dialer.crm.mail import Attachment, compose, send
from dialer.errors import MailError
from dialer.settings import Mail
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.webhooks import Webhooks
from tests.record_values import attempt
from workers.jobs.reports import make_report

HOOK = "https://crm.example/hook"
DUE = datetime(2026, 3, 30, 7, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()


class Inbox:
    """What a mail server got; it may refuse."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answer.startswith("250"):
            self.messages.append(message_from_bytes(envelope.content, policy=default))
        return self.answer


class MailServer(Controller):
    """On whatever port is free, which the original would not look at."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # of aiosmtpd


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler = Inbox()
    server = MailServer(handler, hostname="127.0.0.1", port=0)
    server.start()
    try:
        yield handler, server.port
    finally:
        server.stop()


async def _fill(url: str) -> None:
    database = Database(url)
    await Campaigns(database).create(Campaign(id=CampaignId("winter")), 1.0)
    ended = {"outcome": Outcome.BUSY, "ended_at": DUE - 20 * 3_600}
    await Attempts(database).record([(attempt(number, **ended), None) for number in range(3)])
    await database.close()


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path, inbox: tuple[Inbox, int], monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """A worker whose settings have two schedules."""
    asyncio.run(_fill(sqlite_url))
    path = tmp_path / "cadencia.toml"
    path.write_text(
        f"""
[database]
url = "{sqlite_url}"
[redis]
url = "redis://127.0.0.1:1/0"
[mail]
host = "127.0.0.1"
port = {inbox[1]}
security = "none"
sender = "Cadencia <cadencia@example.com>"
[[webhooks]]
url = "{HOOK}"
[[reports.schedules]]
name = "daily"
cron = "0 7 * * *"
timezone = "Europe/Madrid"
by = "outcome"
mail = ["ana@example.com", "ben@example.com"]
[[reports.schedules]]
name = "posted"
cron = "0 7 * * *"
timezone = "Europe/Madrid"
webhook = "{HOOK}"
"""
    )
    monkeypatch.setenv("CADENCIA_CONFIG", str(path))
    return inbox[0]


def test_a_report_is_mailed_with_its_rows(site: Inbox) -> None:
    assert make_report("daily", DUE) == {"rows": 1, "mailed": 2, "posted": False}
    (message,) = site.messages
    assert isinstance(message, EmailMessage)
    assert message["To"] == "ana@example.com, ben@example.com"
    assert message["Subject"] == "Cadencia: daily, 2026-03-28"
    body = message.get_body()
    assert body is not None
    assert "attempts: 3" in body.get_content()
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "daily-2026-03-30.csv"
    raw = attachment.get_payload(decode=True)
    assert isinstance(raw, bytes)
    (row,) = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
    assert (row["outcome"], row["attempts"]) == ("busy", "3")
    # Sent again by a worker that died before it could say so, it has the same name.
    make_report("daily", DUE)
    assert site.messages[1]["Message-ID"] == message["Message-ID"]


def test_a_report_is_posted_by_the_record_of_webhooks_once(site: Inbox, sqlite_url: str) -> None:
    for _ in range(2):
        assert make_report("posted", DUE) == {"rows": 1, "mailed": 0, "posted": True}

    async def deliveries() -> list[Any]:
        database = Database(sqlite_url)
        try:
            return list(await Webhooks(database).claim(HOOK, DUE + 10**9, 10, 1.0))
        finally:
            await database.close()

    (delivery,) = asyncio.run(deliveries())
    assert (delivery.url, delivery.type) == (HOOK, "report.made")
    told = json.loads(delivery.payload)
    assert (told["type"], told["report"], told["rows"][0]["attempts"]) == ("report.made", "posted", 3)
    assert site.messages == []


def test_a_schedule_that_is_gone_is_a_result(site: Inbox) -> None:
    assert "no schedule 'weekly'" in str(make_report("weekly", DUE)["error"])


@pytest.mark.parametrize(
    ("answer", "retryable"), [("451 try later", True), ("554 no such luck", False)], ids=["later", "never"]
)
def test_a_mail_server_that_refuses_says_whether_waiting_helps(site: Inbox, answer: str, retryable: bool) -> None:
    site.answer = answer
    with pytest.raises(MailError) as refused:
        make_report("daily", DUE)
    assert refused.value.retryable is retryable
    assert "ana@example.com" not in str(refused.value)


def test_a_mail_server_that_is_not_there_or_knows_no_tls_is_named(inbox: tuple[Inbox, int]) -> None:
    attachment = Attachment(name="x.csv", media_type="text/csv", content=b"x")
    here = Mail(host="127.0.0.1", port=inbox[1], sender="a@example.com", timeout_s=5.0)
    message = compose(here, ["b@example.com"], subject="x", text="x", attachment=attachment, message_id="<x@example>")
    with pytest.raises(MailError, match="STARTTLS") as refused:
        send(here, message)
    assert not refused.value.retryable
    with pytest.raises(MailError, match="out of reach"):
        send(Mail(host="127.0.0.1", port=1, security="none", sender="a@example.com", timeout_s=2.0), message)


def test_a_subject_cannot_smuggle_a_header() -> None:
    attachment = Attachment(name="x.csv", media_type="text/csv", content=b"x")
    with pytest.raises(ValueError, match="Header"):
        compose(
            Mail(sender="a@example.com"),
            ["b@example.com"],
            subject="x\nBcc: c@example.com",
            text="x",
            attachment=attachment,
            message_id="<x@example>",
        )
