"""The examples of the documentation are read by the code as it says."""

from __future__ import annotations

import io
import re
from pathlib import Path

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId
from dialer.crm.webhooks import RETRIES_S
from dialer.intake.messages import (
    Callback,
    ContactBatch,
    Disposition,
    read_callback,
    read_contacts,
    read_disposition,
)
from dialer.intake.phones import PhoneReader
from dialer.intake.record import RejectReason
from dialer.intake.rows import ListReader
from dialer.intake.segments import read_segment
from dialer.queues.removals import parse_do_not_call, parse_removal

DOCS = Path(__file__).parents[2] / "docs"
PHONES = PhoneReader("ES")


def blocks(page: str, kind: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        body for title, body in re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if title == kind
    ]


def test_the_example_of_contacts() -> None:
    (example,) = blocks("crm/messages.md", "json contacts")
    batch = read_contacts(example.encode(), PHONES)
    assert isinstance(batch, ContactBatch)
    assert [item.contact.id for item in batch.accepted] == ["crm-17", "crm-18"]
    assert not batch.rejected
    assert batch.accepted[0].contact.phones == ("+34600111222", "+34910000017")


def test_the_command_line_example() -> None:
    (example,) = (block for block in blocks("crm/messages.md", "") if block.startswith("XADD"))
    found = re.fullmatch(r"XADD cadencia:contacts \* data '(.*)'\n", example)
    assert found is not None
    assert isinstance(read_contacts(found[1].encode(), PHONES), ContactBatch)


def test_the_examples_of_callbacks_and_dispositions() -> None:
    (callback,) = blocks("crm/messages.md", "json callbacks")
    assert isinstance(read_callback(callback.encode(), PHONES), Callback)
    for disposition in blocks("crm/messages.md", "json dispositions"):
        assert isinstance(read_disposition(disposition.encode(), PHONES), Disposition)


def test_the_example_of_segments() -> None:
    (example,) = blocks("crm/messages.md", "json segments")
    assert read_segment(example.encode()).campaign == "loyalty-7"


def test_the_example_list() -> None:
    (example,) = blocks("lists.md", "csv")
    found = list(ListReader(io.BytesIO(example.encode()), CampaignId("winter"), PHONES))
    contacts = [row for row in found if isinstance(row, Contact)]
    assert len(contacts) == len(found) == 2
    assert contacts[0].phones == ("+34910000017", "+34600111222")
    assert contacts[0].fields == {"deuda": "1.234,50"}


def test_every_reason_is_explained() -> None:
    text = (DOCS / "crm/messages.md").read_text(encoding="utf-8") + (DOCS / "lists.md").read_text(encoding="utf-8")
    assert {str(reason) for reason in RejectReason} <= set(re.findall(r"`([a-z_]+)`", text))


def test_the_delays_of_webhooks_are_those_of_the_page() -> None:
    text = (DOCS / "crm/webhooks.md").read_text(encoding="utf-8")
    units = {"s": 1, "min": 60, "h": 3_600}
    told = re.search(r"tried again after (.*?) \(or", text.replace("\n", " "))
    assert told is not None
    delays = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", told[1])]
    assert tuple(delays) == RETRIES_S


def test_the_examples_of_removals_and_do_not_call() -> None:
    (removal,) = blocks("crm/messages.md", "json removals")
    assert parse_removal(removal.encode()).contact == "crm-17"
    (entry,) = blocks("crm/messages.md", "json dnc")
    listed = parse_do_not_call(entry.encode())
    assert (listed.add, listed.phone, listed.source, listed.by) == (True, "+34600111222", "letters", "Eva")
