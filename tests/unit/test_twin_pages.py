"""Pages and plots: self-contained, escaped, and with every curve where its numbers are."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dialer.errors import InputError
from dialer.twin import plots
from dialer.twin.comparison import picture_of, remarks, row_of, shown_row
from dialer.twin.drawing import drawn
from dialer.twin.page import page
from dialer.twin.picture import Picture, clock, frontier, share
from dialer.twin.scale import scales
from pacing.floor import Floor, Shift, Steps
from pacing.scenario import Scenario
from pacing.trials import Trial, run_days

HOSTILE = '<script>alert("x")</script> & "quotes"'
SCENARIO = Scenario(floor=Floor(shifts=(Shift(agents=4),), answer=Steps(0.4), hours=1.0), name=HOSTILE, days=2)


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return [
        run_days(SCENARIO, "ratio", label=f"ratio {HOSTILE}", watch=True),
        run_days(SCENARIO, "progressive", watch=True),
    ]


@pytest.fixture(scope="module")
def picture(trials: list[Trial]) -> Picture:
    return picture_of(SCENARIO, trials, [("ratio", [("ratio 1", trials[0]), ("ratio 2", trials[1])])])


def test_the_page_asks_nobody_for_anything_and_runs_nothing(picture: Picture) -> None:
    text = page(picture)
    assert "<script" not in text
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://""", text)
    assert "default-src 'none'" in text
    assert "&lt;script&gt;" in text


def test_the_page_has_the_table_the_charts_and_both_lights(picture: Picture) -> None:
    text = page(picture)
    assert text.count("<svg") == len(picture.charts) == 4
    assert "prefers-color-scheme: dark" in text
    for name in picture.columns:
        assert f"<th>{name}</th>" in text


def test_every_chart_is_xml_and_its_curves_stay_inside(picture: Picture) -> None:
    for chart in picture.charts:
        root = ElementTree.fromstring(drawn(chart))
        width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
        for line in root.iter("polyline"):
            for point in line.attrib["points"].split():
                x, y = (float(part) for part in point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height
        horizontal, vertical = scales(chart)
        for curve in chart.curves:
            assert all(horizontal.low <= x <= horizontal.high for x, _ in curve.points)
            assert all(vertical.low <= y <= vertical.high for _, y in curve.points)


def test_a_day_without_answers_is_drawn_all_the_same() -> None:
    silent = Scenario(floor=Floor(shifts=(Shift(agents=2),), answer=Steps(0.0), hours=0.2))
    trial = run_days(silent, "progressive", watch=True)
    assert "<svg" in page(picture_of(silent, [trial]))
    assert any("Nobody answered" in text for text in remarks([trial]))
    assert shown_row(row_of(trial))["abandoned"] == "0.00 %"


def test_the_frontier_has_lines_for_what_was_swept_and_points_for_the_rest(trials: list[Trial]) -> None:
    chart = frontier(trials, [("progressive", [("limit 1 %", trials[0]), ("limit 3 %", trials[1])])])
    assert [len(curve.points) for curve in chart.curves] == [2, 1, 1]
    assert chart.curves[0].label == "progressive, limit 1 % to 3 %"
    assert chart.curves[0].color == chart.curves[2].color


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_plot_is_a_picture_of_its_kind(picture: Picture, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    plots.plot(picture, path)
    head = path.read_bytes()[:200]
    assert head.startswith(b"\x89PNG") if kind == "png" else b"<?xml" in head


def test_without_matplotlib_an_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'cadencia\[plots\]'"):
        plots.check(tmp_path / "x.png")


@pytest.mark.parametrize(("name", "says"), [("x.pdf", "must end in"), ("missing/x.png", "does not exist")])
def test_a_plot_that_cannot_be_written_is_refused_beforehand(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        plots.check(tmp_path / name)


def test_numbers_for_people() -> None:
    assert (share(0.03), share(0.0251), clock(9.5), clock(25.0)) == ("3 %", "2.5 %", "09:30", "01:00")
