"""Traces hang together whatever telephony delivers, tell of those that are chosen alone, and leave nothing behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core import notices as ntc
from dialer.core.floor import Output
from dialer.core.ids import CallId, CampaignId, ContactId
from dialer.tracing.calls import CallTraces
from dialer.tracing.places import Place, Places, read_traceparent
from dialer.tracing.spans import Span
from tests.engine_harness import Harness
from tests.property.test_engine_any_order import finish, play, steps

KEY = bytes(range(32))
ids = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=40)
places = st.builds(
    Place, st.integers(min_value=1, max_value=(1 << 128) - 1), st.integers(min_value=1, max_value=(1 << 64) - 1)
)


def traced(outputs: list[Output], places: Places) -> tuple[list[Span], CallTraces]:
    spans: list[Span] = []
    made = CallTraces(places, spans.append)
    for output in outputs:
        if isinstance(output, ntc.Notice):
            made.apply(output)
    return spans, made


@settings(max_examples=40, deadline=None)
@given(script=steps, detection=st.booleans(), share=st.sampled_from([0.0, 0.5, 1.0]))
def test_each_traced_call_is_one_whole_trace(
    script: list[tuple[str, int, float]], detection: bool, share: float
) -> None:
    h = play(script, detection=detection)
    finish(h)
    places = Places(KEY, share)
    spans, made = traced(h.out, places)
    ended = {n.attempt.call: n.attempt for n in h.of(ntc.CallEnded)}
    chosen = {places.call(call).trace: a for call, a in ended.items() if places.traced(a.campaign, a.contact)}
    roots = [span for span in spans if span.name == "attempt"]
    assert sorted(span.place.trace for span in roots) == sorted(chosen), "one root for each"
    assert {span.place.trace for span in spans} <= set(chosen), "nobody else is told of"
    # A moment that is told twice at once is the same one.
    parts = [span for span in spans if span.name not in {"disposition", "objection"}]
    assert len({span.place for span in parts}) == len(parts), "each span is one"
    for span in spans:
        root = places.call(chosen[span.place.trace].call)
        assert span.parent == (None if span.name == "attempt" else root)
        assert span.started_at <= span.ended_at
    for root_span in roots:
        attempt = chosen[root_span.place.trace]
        assert root_span.links == (places.contact(attempt.campaign, attempt.contact),)
        steps_of = [s for s in spans if s.place.trace == root_span.place.trace and s.name in {"dial", "ring", "talk"}]
        assert all(root_span.started_at <= s.started_at <= s.ended_at <= root_span.ended_at for s in steps_of)
        assert ("talk" in {s.name for s in steps_of}) is (attempt.connected_at is not None)
    # Of an agent in wrap-up for ever, and of nothing else.
    assert len(made) <= len(list(h.engine.floor.roster))


def test_a_trace_begins_with_the_decision_that_led_to_the_call() -> None:
    h = Harness()
    h.start("anna", "ben")
    h.advance(0.1)
    for call in h.calls():
        h.hang_up(call)
    spans, made = traced(h.out, Places(KEY, 1.0))
    asked = [span for span in spans if span.name == "request"]
    assert len(asked) == len(h.ended()) > 0
    for span in asked:
        assert (span.attributes["cadencia.requested"], span.attributes["cadencia.pace.idle"]) == (2, 2)
    assert len(made) == 0


@given(place=places)
def test_a_traceparent_is_read_as_it_was_written(place: Place) -> None:
    assert read_traceparent(place.traceparent) == place


@settings(max_examples=50)
@given(text=st.one_of(st.text(max_size=80), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,9}")))
def test_any_header_is_a_place_or_nothing(text: str) -> None:
    found = read_traceparent(text)
    assert found is None or (0 < found.trace < 1 << 128 and 0 < found.span < 1 << 64)


def test_headers_that_are_none() -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    good = f"00-{trace}-{span}-01"
    assert read_traceparent(good) == Place(int(trace, 16), int(span, 16))
    assert read_traceparent(f"cc-{trace}-{span}-01-what-comes-later") is not None, "of a version yet to come"
    for bad in (
        "",
        good.upper(),
        good + "-x",
        good + "\n",
        f"ff-{trace}-{span}-01",
        f"00-{'0' * 32}-{span}-01",
        f"00-{trace}-{'0' * 16}-01",
        f"00-{trace}-{span}",
        f"cc-{trace}-{span}-01-" + "x" * 1_000,
        good.replace("4", "٤"),
    ):
        assert read_traceparent(bad) is None, bad


@given(campaign=ids, contact=ids, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_share_takes_in_the_smaller_one(campaign: str, contact: str, shares: tuple[float, float]) -> None:
    few, many = (Places(KEY, share) for share in sorted(shares))
    who = CampaignId(campaign), ContactId(contact)
    assert not few.traced(*who) or many.traced(*who)
    assert Places(KEY, 1.0).traced(*who)
    assert not Places(KEY, 0.0).traced(*who)


@given(campaign=ids, contact=ids, call=ids)
def test_ids_follow_from_names_and_key_alone(campaign: str, contact: str, call: str) -> None:
    here, there, others = Places(KEY, 1.0), Places(KEY, 0.1), Places(bytes(32), 1.0)
    who = CampaignId(campaign), ContactId(contact)
    assert here.contact(*who) == there.contact(*who) != others.contact(*who)
    assert here.call(CallId(call)) == there.call(CallId(call)) != others.call(CallId(call))
    assert here.contact(*who).trace != here.call(CallId(call)).trace
    part = here.within(here.call(CallId(call)), contact, "1")
    assert part == there.within(there.call(CallId(call)), contact, "1")
    assert part.trace == here.call(CallId(call)).trace
    assert part != here.within(here.call(CallId(call)), contact, "2")


def test_the_share_is_the_share() -> None:
    some = Places(KEY, 0.1)
    chosen = sum(some.traced(CampaignId("winter"), ContactId(f"crm-{n}")) for n in range(10_000))
    # Five standard deviations of a fair draw on either side.
    assert 850 <= chosen <= 1_150
