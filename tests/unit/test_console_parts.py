"""What the console is made of: catalogues, sessions, samples for charts, and words for the pace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.console.pages import orders, pace_words, span
from dialer.console.series import EVERY_S, Series
from dialer.console.sessions import Sessions, former_secret
from dialer.console.texts import LANGUAGES, chosen, texts
from dialer.core.campaign import ORDERS, CampaignState
from dialer.projections.live_rows import (
    AbandonmentRow,
    CampaignRow,
    CountsRow,
    HopperRow,
    LiveSnapshot,
    PaceRow,
    ServerRow,
)


def pace(limit: str, dial: int = 2) -> PaceRow:
    return PaceRow(
        at=0.0, method="predictive", dial=dial, limit=limit, explanation="because", expected_abandonment=0.011,
        threshold=0.016, budget_left=212.0, answer_rate=0.3, mean_talk_s=60.0, mean_wrapup_s=10.0, idle=1, busy=9,
        waiting=0, in_flight=4,
    )  # fmt: skip


def row(id: str = "winter", *, state: str = "running", ratio: float = 0.01, budget: int = 5, ready: int = 9,
        shown: PaceRow | None = None) -> CampaignRow:  # fmt: skip
    lost = AbandonmentRow(
        day_ratio=ratio, day_live_answers=1_000, day_abandoned=int(1_000 * ratio), legal_ratio=ratio,
        legal_live_answers=1_000, legal_abandoned=int(1_000 * ratio), max_ratio=0.03, budget_left=budget,
    )  # fmt: skip
    return CampaignRow(
        id=id, state=state, pace=shown, calls={"ringing": 3}, agents={"talking": 8, "idle": 1},
        hopper=HopperRow(ready=ready, later=0), today=CountsRow(started=9, answered=3, connected=3, abandoned=0,
        outcomes={}), abandonment=lost, answer_rate=0.3, occupancy=0.8, occupancy_hour=0.8, refused={},
    )  # fmt: skip


def view(*rows: CampaignRow, at: float = 0.0, servers: tuple[ServerRow, ...] = ()) -> LiveSnapshot:
    return LiveSnapshot(at=at, campaigns=rows, agents=(), servers=servers, calls={}, occupancy=None, events_ignored=0)


# ---- texts


def one_languages_own(key: str) -> bool:
    """Explanations that come in English anyway, and words for several where others have none."""
    return key.startswith(("pace.because.", "told.", "law.")) or ".many_" in key


def test_every_language_has_every_text_with_the_same_values() -> None:
    ours, theirs = (texts(language) for language in LANGUAGES)
    assert {key for key in ours.keys() ^ theirs.keys() if not one_languages_own(key)} == set()
    for key in ours.keys() & theirs.keys():
        holes = [sorted(re.findall(r"{(\w+)}", catalogue(key))) for catalogue in (ours, theirs)]
        assert holes[0] == holes[1], key


@pytest.mark.parametrize(("language", "number", "percent"), [("en", "1,234.5", "2.75 %"), ("es", "1.234,5", "2,75 %")])
def test_numbers_are_written_as_the_language_does(language: str, number: str, percent: str) -> None:
    assert texts(language).number(1_234.5, 1) == number
    assert texts(language).percent(0.0275, 2) == percent


@given(st.text(max_size=40), st.text(max_size=80))
def test_any_header_and_cookie_chooses_a_language_that_there_is(cookie: str, header: str) -> None:
    assert chosen(cookie, header) in LANGUAGES


@pytest.mark.parametrize("limit", ["threshold", "idle", "budget", "trunks", "something_new"])
def test_the_pace_is_explained_in_both_languages(limit: str) -> None:
    shown = row(shown=pace(limit))
    assert pace_words(shown, texts("en")) == "because"
    spanish = pace_words(shown, texts("es"))
    assert spanish == "because" if limit == "something_new" else spanish.startswith("2 llamadas más")
    assert "{" not in spanish


@pytest.mark.parametrize("limit", ["threshold", "budget"])
def test_what_one_more_would_risk_is_told_where_none_is_dialed(limit: str) -> None:
    spanish = pace_words(row(shown=pace(limit, dial=0)), texts("es"))
    assert spanish.startswith("ninguna llamada ahora: con una más")
    assert "1,6 %" in spanish
    assert "212" in spanish


# ---- sessions


@given(st.text(min_size=1, max_size=100))
def test_a_cookie_says_whose_key_it_stands_for_and_nothing_of_the_key(key: str) -> None:
    sessions = Sessions(b"1" * 32)
    first, second = sessions.read(sessions.begin(key)), sessions.read(sessions.begin(key))
    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    assert first.csrf != second.csrf


@given(st.text(max_size=200))
def test_nonsense_is_no_session(cookie: str) -> None:
    assert Sessions(b"1" * 32).read(cookie) is None


def test_what_a_node_signed_with_before_is_taken_over_if_it_is_of_use(tmp_path: Path) -> None:
    assert former_secret(tmp_path) is None
    (tmp_path / "console.secret").write_bytes(b"cut")
    assert former_secret(tmp_path) is None
    (tmp_path / "console.secret").write_bytes(bytes(range(32)))
    assert former_secret(tmp_path) == bytes(range(32))


# ---- pictures and words


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_600), st.sampled_from([60.0, 3_600.0, 86_400.0]))
def test_a_chart_is_short_recent_and_ends_with_the_latest(samples: int, seconds: float) -> None:
    series = Series()
    for i in range(samples):
        series.add(view(row(), at=i * EVERY_S))
    chart = series.chart("winter", seconds)
    assert len(chart.at) <= 720
    assert chart.at == sorted(chart.at)
    assert {len(getattr(chart, name)) for name in ("occupancy", "abandonment", "talking", "idle")} == {len(chart.at)}
    if samples:
        assert chart.at[-1] == (samples - 1) * EVERY_S
        assert chart.at[0] > chart.at[-1] - seconds


def test_a_campaign_that_is_gone_leaves_nothing() -> None:
    series = Series()
    series.add(view(row("a"), row("b")))
    series.add(view(row("b"), at=10.0))
    assert series.chart("a", 3_600).at == []
    assert len(series.chart("b", 3_600).at) == 2


def test_the_orders_shown_are_those_that_are_possible() -> None:
    for state in CampaignState:
        assert len(orders(state.value)) == len(ORDERS[state])
    assert orders("running") == ["pause", "drain", "stop"]


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0:00"), (7.9, "0:07"), (750, "12:30"), (11_100, "3:05:00")])
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
