"""Tokens of the snippet: each says what it was made for, for as long as it holds, and nobody makes another."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dialer.api.snippet_tokens import PREFIX, SnippetTokens
from dialer.core.ids import AgentId

SECRET = bytes(range(32))
TOKENS = SnippetTokens(SECRET, lasts_s=600.0, longest_s=3_600.0)
ORIGIN = "https://crm.example"
moments = st.floats(0.0, 4e9)


@given(now=moments, later_s=st.floats(0.0, 10_000.0))
def test_a_token_holds_for_its_time_and_says_what_it_was_made_for(now: float, later_s: float) -> None:
    text, made = TOKENS.make(AgentId("ana"), ORIGIN, "ab" * 32, now)
    assert text.startswith(PREFIX)
    read = TOKENS.read(text, now + later_s)
    if now + later_s < made.expires_at:
        assert read == made
        assert (made.agent, made.origin, made.since) == ("ana", ORIGIN, now)
    else:
        assert read is None


@given(steps=st.lists(st.floats(1.0, 599.0), max_size=40))
def test_however_often_it_is_renewed_it_ends_when_the_day_does(steps: list[float]) -> None:
    now = 1_000_000.0
    _, token = TOKENS.make(AgentId("ana"), ORIGIN, "ab" * 32, now)
    for step in steps:
        now += step
        if now >= token.expires_at:
            break
        renewed = TOKENS.renew(token, now)
        if renewed is None:
            assert now >= 1_000_000.0 + TOKENS.longest_s
            break
        token = renewed[1]
        assert token.expires_at <= 1_000_000.0 + TOKENS.longest_s
        assert token.since == 1_000_000.0


@given(place=st.integers(0, 400), change=st.characters(codec="ascii"))
def test_a_changed_token_is_none(place: int, change: str) -> None:
    text, made = TOKENS.make(AgentId("ana"), ORIGIN, "ab" * 32, 1_000.0)
    at = len(PREFIX) + place % (len(text) - len(PREFIX) - 1)
    assume(text[at] != change)
    changed = text[:at] + change + text[at + 1 :]
    assert TOKENS.read(changed, 1_001.0) in {None, made}, "at most the same token in other letters"


@pytest.mark.parametrize("text", ["", "snippet.", "snippet.a.b", "cad_x", "snippet." + "a" * 5_000, "snippet.\u00e9"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert TOKENS.read(text, 0.0) is None


def test_another_node_makes_other_tokens() -> None:
    text, _ = TOKENS.make(AgentId("ana"), ORIGIN, "ab" * 32, 1_000.0)
    assert SnippetTokens(bytes(32), lasts_s=600.0, longest_s=3_600.0).read(text, 1_001.0) is None
