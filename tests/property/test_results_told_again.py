"""Whatever a server forgets of its results, telling again what it lacks makes them whole, and no other way around."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.client.events import Event
from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.queues.encoding import to_json
from dialer.queues.recent_results import RecentResults
from dialer.queues.result_keys import ONCE, missing, result_key
from dialer.queues.results import rfc3339, told_of

KINDS: Final = (*sorted(ONCE), "call.disposed", "call.recorded", "contact.accepted", "dnc.applied")
MOMENTS: Final = st.floats(1_700_000_000.0, 1_700_000_100.0)
CALLS: Final = st.sampled_from(["n-1", "n-2", "n-3"])
RESULTS: Final = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "at": st.sampled_from([1_700_000_000.0, 1_700_000_000.000001]).map(rfc3339)},
    optional={"call": CALLS, "contact": st.text(max_size=2), "talk_s": st.sampled_from([0.5, 61.1])},
).map(lambda result: to_json(dict(sorted(result.items()))))


@settings(max_examples=60)
@given(st.lists(RESULTS, max_size=12), st.data())
def test_what_is_told_again_makes_the_stream_whole(told: list[bytes], data: st.DataObject) -> None:
    kept = told[: data.draw(st.integers(0, len(told)), "the server was set back to")]
    news = data.draw(st.lists(RESULTS, max_size=5), "told since")
    stream = kept + news
    again = missing(told, {result_key(one) for one in stream})
    assert {result_key(one) for one in stream + again} == {result_key(one) for one in told + news}
    keys = [result_key(one) for one in again]
    assert len(set(keys)) == len(keys)
    assert not {result_key(one) for one in stream} & set(keys)
    # In their order, and word by word; a second look finds nothing.
    places = [told.index(one) for one in again]
    assert places == sorted(places)
    assert missing(told, {result_key(one) for one in stream + again}) == []
    assert [to_json(msgspec.json.decode(one)) for one in again] == again


@given(RESULTS, RESULTS)
def test_two_results_have_one_key_only_where_they_are_one(one: bytes, other: bytes) -> None:
    def said(data: bytes) -> tuple[Any, ...]:
        result = json.loads(data)
        if "call" in result and result["type"] in ONCE:
            return result["type"], result["call"]
        if "call" in result and result["type"] == "call.disposed":
            return result["type"], result["call"], result["at"]
        return tuple(result.items())

    same = said(one) == said(other)
    assert (result_key(one) == result_key(other)) is same
    # As a CRM's side sees them, which has not the bytes.
    mine, theirs = (Event(id="1-0", name="result", data=json.loads(data)).key for data in (one, other))
    assert (mine == theirs) is same


@given(st.binary(max_size=40))
def test_what_is_no_result_has_a_key_of_its_own(data: bytes) -> None:
    assert result_key(data) == result_key(data)
    assert result_key(data) != result_key(data + b" ")


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    started, *later = sorted(draw(st.lists(MOMENTS, min_size=4, max_size=4)))
    reached = draw(st.integers(0, 2))
    return Attempt(
        call=CallId("n-1"),
        campaign=CampaignId("winter"),
        contact=ContactId("crm-1"),
        phone=Phone("+34600111222"),
        attempt_number=1,
        outcome=(Outcome.NO_ANSWER, Outcome.ABANDONED, Outcome.CONNECTED)[reached],
        reason="",
        started_at=started,
        answered_at=later[0] if reached else None,
        connected_at=later[1] if reached == 2 else None,
        agent=AgentId("ana") if reached == 2 else None,
        ended_at=later[2],
    )


@given(attempts(), st.none() | MOMENTS)
def test_a_call_is_told_from_its_record_in_order_and_to_its_end(attempt: Attempt, retry_at: float | None) -> None:
    told = told_of(attempt, retry_at)
    kinds = {
        Outcome.NO_ANSWER: ["call.started", "call.ended"],
        Outcome.ABANDONED: ["call.started", "call.answered", "call.abandoned", "call.ended"],
        Outcome.CONNECTED: ["call.started", "call.answered", "call.connected", "call.ended"],
    }
    assert [one["type"] for one in told] == kinds[attempt.outcome]
    moments = [str(one["at"]) for one in told]
    assert moments == sorted(moments)
    assert {result_key(to_json(one)) for one in told} == {f"{kind}/n-1" for kind in kinds[attempt.outcome]}


@given(st.lists(st.floats(0.0, 200.0), max_size=30).map(sorted), st.integers(1, 10))
def test_what_is_remembered_is_young_and_not_too_much(moments: list[float], most: int) -> None:
    recent = RecentResults(keep_s=60.0, most=most)
    for at in moments:
        recent.note(b"{}", at)
    assert [at for at, _ in recent.all(200.0)] == [at for at in moments if at >= 140.0][-most:]
    assert len(recent) <= most
