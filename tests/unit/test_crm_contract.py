"""The published contract: schemas and AsyncAPI document are those of the types, and what is told keeps to them."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.attempt import Attempt
from dialer.core.commands import ReportPurge
from dialer.core.disposition import DEFAULT_DISPOSITIONS
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, MessageId, Phone, RecordingId, ServerName
from dialer.core.notices import (
    CallConnected,
    CallOptedOut,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
    ContactWasOffered,
    OfferClosed,
    RecordingChanged,
)
from dialer.core.offer import Offer, OfferEnd
from dialer.core.outcome import Outcome
from dialer.core.recording import RecordingState
from dialer.crm.contract import EXAMPLES, MESSAGES, RESULTS
from dialer.errors import InputError
from dialer.intake.messages import Rejected, read_callback, read_contact, read_contacts, read_disposition
from dialer.intake.phones import PhoneReader
from dialer.intake.record import Refusal
from dialer.intake.segments import read_segment
from dialer.queues import results
from dialer.queues.removals import parse_do_not_call, parse_removal
from tests.schemas import PUBLISHED as SCHEMAS
from tests.schemas import published, validator

ROOT = Path(__file__).resolve().parents[2]
PHONES = PhoneReader("ES")


def wrong_with(name: str, value: object) -> list[str]:
    """What the published schema has against a value."""
    return [error.message for error in published(name).iter_errors(value)]


def test_what_is_published_is_what_the_types_say() -> None:
    files: Callable[[], dict[Path, str]] = runpy.run_path(str(ROOT / "scripts" / "crm-contract"))["files"]
    made = files()
    stale = [path.name for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert stale == [], "run scripts/crm-contract"
    assert {path for path in made if path.suffix == ".json"} == set((ROOT / "docs" / "crm" / "schemas").iterdir())


def test_schemas_are_schemas_and_their_examples_keep_to_them() -> None:
    assert set(SCHEMAS) == set(MESSAGES) | set(RESULTS) == set(EXAMPLES)
    for name, schema in SCHEMAS.items():
        validator(schema).check_schema(schema)
        assert wrong_with(name, EXAMPLES[name]) == [], name
        assert wrong_with(name, {}) != [], f"{name} refuses nothing"


def test_the_asyncapi_document_keeps_to_the_official_schema() -> None:
    document = yaml.safe_load((ROOT / "docs" / "crm" / "asyncapi.yaml").read_text(encoding="utf-8"))
    official = json.loads((ROOT / "tests" / "data" / "asyncapi" / "3.0.0.json").read_text(encoding="utf-8"))
    assert [error.message for error in validator(official, "7").iter_errors(document)] == []
    told = {ref["$ref"].rpartition("/")[2] for c in document["channels"].values() for ref in c["messages"].values()}
    assert told == set(document["components"]["messages"]) == set(SCHEMAS)
    assert {channel["address"] for channel in document["channels"].values()} == {
        f"cadencia:{stream}" for stream in (*MESSAGES, "results")
    }
    del document["channels"]["results"]["address"], document["info"]
    assert list(validator(official, "7").iter_errors(document)) != [], "the schema refuses nothing"


def read(stream: str, data: bytes) -> bool:
    """Whether a message is taken, as far as its form goes."""
    try:
        match stream:
            case "contacts":
                batch = read_contacts(data, PHONES)
                return not isinstance(batch, Rejected) and not batch.rejected
            case "callbacks":
                return not isinstance(read_callback(data, PHONES), Rejected)
            case "dispositions":
                return not isinstance(read_disposition(data, PHONES), Rejected)
            case "segments":
                segment = read_segment(data)
                made = [read_contact(contact, segment.campaign, PHONES) for contact in segment.contacts]
                return not any(isinstance(each, Refusal) for each in made)
            case "removals":
                parse_removal(data)
            case "dnc":
                parse_do_not_call(data)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("stream", MESSAGES)
def test_examples_are_taken(stream: str) -> None:
    assert read(stream, json.dumps(EXAMPLES[stream]).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(stream=st.sampled_from(sorted(MESSAGES)), data=st.data())
def test_what_the_schema_refuses_is_not_taken(stream: str, data: st.DataObject) -> None:
    message = dict(EXAMPLES[stream])
    key = data.draw(st.sampled_from(sorted(SCHEMAS[stream]["properties"])))
    if data.draw(st.booleans()):
        message[key] = data.draw(JSON)
    else:
        message.pop(key, None)
    if wrong_with(stream, message):
        assert not read(stream, json.dumps(message).encode()), message


# ---- what is told

AT = 1_800_000_000.25
OF = {
    "call": CallId("n1-beef0001-0000000001"),
    "campaign": CampaignId("winter"),
    "contact": ContactId("crm-17"),
    "phone": Phone("+34600111222"),
}
ANNA = AgentId("anna")
REF = MessageId("m-1")


def told() -> list[results.Result]:
    """One or more of each kind of result that is made in Python."""
    made: Any = OF
    pop = CallConnected(at=AT, **made, agent=ANNA, wait_s=0.01, screen_pop="https://crm.example/17")
    disposed = CallWasDisposed(
        at=AT, **made, code="SALE", agent=ANNA, amount="1.5", notes="x", ref=REF, currency="EUR", by="crm",
        meaning=DEFAULT_DISPOSITIONS[0],
    )  # fmt: skip
    recorded = RecordingChanged(
        at=AT, **made, recording=RecordingId("r-1"), agent=ANNA, server=ServerName("a"), by="anna", started_at=AT - 9,
        state=RecordingState.ENDED, previous=RecordingState.ON, complete=True,
    )  # fmt: skip
    attempt = Attempt(
        **made, attempt_number=1, outcome=Outcome.CONNECTED, reason="cause 16", started_at=AT - 60, ended_at=AT,
        agent=ANNA, ringing_at=AT - 55, answered_at=AT - 50, connected_at=AT - 49,
    )  # fmt: skip
    purge: Any = {**OF, "ref": REF, "kind": "removal", "reason": "paid"}
    offer = Offer(
        campaign=made["campaign"], contact=made["contact"], phone=made["phone"], attempt_number=1, kept_until=AT + 45
    )
    contact: Any = {"campaign": OF["campaign"], "contact": OF["contact"]}
    return [
        results.notice_result(CallStarted(at=AT, **made, server=ServerName("a"), trunk=None, attempt_number=1)),
        results.notice_result(CallWasAnswered(at=AT, **made, ring_s=5.0)),
        results.notice_result(pop),
        results.screen_popped(pop),
        results.notice_result(CallWasAbandoned(at=AT, **made, wait_s=2.0)),
        results.notice_result(CallOptedOut(at=AT, **made, scope="*", by="key")),
        results.notice_result(disposed),
        results.notice_result(recorded),
        results.call_ended(attempt),
        results.call_ended(attempt, retry_at=AT + 60),
        results.agent_message(AT, id="9f", agent=ANNA, text="Well done.", by="user:marta"),
        results.purge_result(ReportPurge(effect="cancelled", **purge), AT),
        results.purge_result(ReportPurge(effect="too_late", **purge), AT),
        results.contact_accepted(AT, **contact, ref=REF),
        results.contact_rejected(AT, **contact, reason="removed: x"),
        results.segment_accepted(
            AT, campaign=CampaignId("c"), ref=REF, created=True, started=False, accepted=0, rejected=0
        ),
        results.message_rejected(AT, reason="x", ref=None),
        results.action_requested(
            AT, **contact, id="a-1", phone=None, call=None, rule="r", action="sms", template="t", reason="x"
        ),
        results.callback_accepted(AT, **contact, phone=Phone("+34600111222"), ref=REF),
        results.callback_rejected(AT, campaign="winter", contact=None, reason="x", ref=None),
        results.callback_due_soon(AT, **contact, due_at=AT + 300, agent=ANNA),
        results.callback_due_soon(AT, **contact, due_at=AT + 300, agent=None),
        results.offer_result(ContactWasOffered(at=AT, agent=ANNA, offer=offer, answer_by_at=AT + 30, url="https://x")),
        results.offer_result(
            OfferClosed(at=AT, agent=ANNA, end=OfferEnd.REFUSED, reason="hours", retry_at=AT + 60, **made)
        ),
    ]


def test_results_keep_to_their_schemas() -> None:
    found = told()
    for result in found:
        assert wrong_with(str(result["type"]), json.loads(json.dumps(result))) == [], result
        names = set(SCHEMAS[str(result["type"])]["properties"])
        assert set(result) <= names, f"{result['type']} tells what its schema does not"
    source = (ROOT / "dialer" / "queues" / "results.py").read_text(encoding="utf-8")
    literal = set(re.findall(r'_result\(\s*"([a-z_.]+)"', source))
    assert literal - {str(result["type"]) for result in found} == set(), "results that this test does not make"


def test_every_type_of_result_has_a_schema() -> None:
    """Those of the gate's scripts and of the in-memory queues too."""
    kind = re.compile(r"""['"]((?:contact|message|removal|dnc|callback|call|segment|agent|action)\.[a-z_]+)['"]""")
    for path in [*(ROOT / "dialer" / "queues").rglob("*.lua"), *(ROOT / "dialer" / "queues").glob("*.py")]:
        for name in kind.findall(path.read_text(encoding="utf-8")):
            assert name in RESULTS, f"{path.name} tells {name}: add it to dialer/crm/contract.py"
