"""What an agent's page is made of: the script with its fields, the person's calendar, and what of a person is shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.api.desk_ports import CallingTimes
from dialer.campaigns import parse_campaign
from dialer.console.desk_script import script_html
from dialer.console.desk_times import DAYS, calendar, picked, shift_end
from dialer.console.desk_view import KEYS, code_name, seen
from dialer.console.texts import texts
from dialer.core.disposition import DEFAULT_DISPOSITIONS, DispositionCategory, DispositionCode
from dialer.errors import InputError

MOMENTS = st.integers(1_767_225_600, 1_798_761_600).map(lambda at: datetime.fromtimestamp(at, UTC))
LINES = st.lists(
    st.sampled_from(["# Hello {name}", "- **{name}** of {city}", "plain", "", "**open", "{{brace}}", "## x"])
)
VALUES = st.text(max_size=40) | st.sampled_from(
    ["<script>alert(1)</script>", "**x**", "{name}", "\u202eabc", "# h", "&amp;"]
)


class _Elements(HTMLParser):
    """The elements of a page, and whether each that was opened was closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.text: list[str] = []
        self.balanced = True

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.balanced &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


# ---- the script


@given(LINES, VALUES, VALUES)
def test_fields_never_make_markup_of_a_script(lines: list[str], name: str, city: str) -> None:
    page = _Elements()
    page.feed(str(script_html("\n".join(lines), {"name": name, "city": city})))
    page.close()
    assert page.seen <= {"h3", "h4", "ul", "li", "p", "br", "strong", "mark"}
    assert page.balanced
    assert page.open == []
    if any("{name}" in line for line in lines) and name.strip() and "\x00" not in name and "\r" not in name:
        assert name in "".join(page.text)


def test_a_script_reads_as_it_was_written() -> None:
    page = script_html(
        "# Good day\nI am **Ana**\nof {company}\n\n- You owe {debt}\n- {missing}", {"company": "A&B", "debt": "5"}
    )
    assert page == (
        "<h3>Good day</h3><p>I am <strong>Ana</strong><br>of <mark>A&amp;B</mark></p>"
        '<ul><li>You owe <mark>5</mark></li><li><mark class="missing">{missing}</mark></li></ul>'
    )


@pytest.mark.parametrize("script", ["{", "a } b", "{name!r}", "{name.x}", "{0:>5}", "{a b}"])
def test_a_script_with_a_brace_that_is_no_field_is_refused(script: str) -> None:
    with pytest.raises(InputError, match=r"^script: "):
        parse_campaign({"id": "winter", "script": script})
    assert "<script" not in script_html(script + "<script>", {})  # one that is on record all the same is text


# ---- the calendar


@given(
    st.sampled_from(["Europe/Madrid", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe"]),
    st.lists(st.tuples(st.integers(0, 13 * 86_400), st.integers(0, 40 * 3_600)), max_size=6),
)
def test_every_moment_of_the_hours_is_in_the_calendar(zone: str, spans: list[tuple[int, int]]) -> None:
    now = 1_792_000_000.0
    times = CallingTimes(zone=zone, spans=tuple((now + begin, now + begin + length) for begin, length in spans))
    days = {day.iso: day.hours for day in calendar(times, now)}
    assert len(days) == DAYS
    for begin, end in times.spans:
        for at in (begin, (begin + end) / 2, end):
            local = datetime.fromtimestamp(at, ZoneInfo(zone))
            if local.date().isoformat() in days:
                hour = f"{local:%H:%M}"
                assert any(one[:5] <= hour <= one[6:] for one in days[local.date().isoformat()])


@given(MOMENTS, st.sampled_from(["Europe/Madrid", "America/New_York"]))
def test_what_was_picked_is_that_moment_by_the_persons_clock(local: datetime, zone: str) -> None:
    local = local.replace(second=0, microsecond=0, tzinfo=None)
    try:
        at = picked(local.date().isoformat(), f"{local:%H:%M}", zone, 0.0)
    except InputError:  # the hour that spring leaves out
        aware = local.replace(tzinfo=ZoneInfo(zone))
        assert aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local
        return
    assert datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None) == local


@pytest.mark.parametrize(
    ("day", "hour"),
    [("", ""), ("2026-12-01", ""), ("2026-13-01", "10:00"), ("2026-12-01", "25:00"), ("9" * 400, "10:00"),
     ("2026-03-29", "02:30"), ("2020-01-01", "10:00"), ("2026-12-01", "10:00+05:00")],
)  # fmt: skip
def test_what_is_no_moment_to_come_is_refused(day: str, hour: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    with pytest.raises(InputError, match=r"^callback: "):
        picked(day, hour, "Europe/Madrid", now)


# ---- what is shown


@given(st.lists(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True) | st.text(max_size=10)))
def test_no_number_is_whole_where_it_may_not_be(parts: list[str]) -> None:
    text = " ".join(parts)
    assert re.search(r"\+[1-9][0-9]{6,14}", seen(text, whole=False)) is None
    assert seen(text, whole=True) == text


def test_our_own_codes_are_named_in_the_visitors_language_and_a_campaigns_as_it_says() -> None:
    assert code_name(DEFAULT_DISPOSITIONS[0], texts("es")) == "Venta"
    for language in ("en", "es"):
        assert all(texts(language).has(f"desk.code.{code.code}") for code in DEFAULT_DISPOSITIONS)
    own = DispositionCode(code="SALE", name="Sold!", category=DispositionCategory.SALE)
    assert code_name(own, texts("es")) == "Sold!"


@given(MOMENTS, st.times(timezones=st.none()), st.sampled_from(["Europe/Madrid", "America/Bogota", "Asia/Kathmandu"]))
def test_a_shift_ends_when_the_clock_shows_that_hour_next(now: datetime, hour: time, zone: str) -> None:
    hour = hour.replace(second=0, microsecond=0)
    at = shift_end(hour.isoformat("minutes"), zone, now.timestamp())
    assert now.timestamp() < at <= now.timestamp() + timedelta(hours=25).total_seconds()
    shown = datetime.fromtimestamp(at, ZoneInfo(zone)).time()
    # On the night in spring when the clocks leave an hour out, it is the one after.
    assert shown == hour or shown == hour.replace(hour=(hour.hour + 1) % 24)


@pytest.mark.parametrize("hour", ["", "soon", "25:00", "16:30+02:00", "<script>"])
def test_what_is_no_hour_ends_no_shift(hour: str) -> None:
    with pytest.raises(InputError):
        shift_end(hour, "Europe/Madrid", 1_800_000_000.0)


def test_codes_have_keys_that_are_not_twice() -> None:
    assert len(set(KEYS)) == len(KEYS) == 36
    assert KEYS.isalnum()
    assert KEYS.islower()
