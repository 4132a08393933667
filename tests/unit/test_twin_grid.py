"""Sweeps as they are typed, and the scenarios that they span."""

from __future__ import annotations

import pytest

from dialer.errors import InputError
from dialer.twin.cells import Cell, by_day, decode_cell, encode
from dialer.twin.comparison import swept_cells
from dialer.twin.grid import placed, points, read_axis


def test_ranges_and_lists() -> None:
    assert read_axis("agents=10..30:5").values == (10.0, 15.0, 20.0, 25.0, 30.0)
    assert read_axis("max_abandonment=0.01,0.03").path == "pacing.max_abandonment"
    assert read_axis("answer.rate=0.1..0.3:0.1").values == (0.1, 0.2, 0.3)
    assert read_axis("ratio=1,1,2").values == (1.0, 2.0)


@pytest.mark.parametrize(
    "text", ["agents", "agents=", "=1,2", "agents=a,b", "agents=5..1:1", "agents=1..5:0", "agents=1..inf:1", "a b=1"]
)
def test_what_cannot_be_understood_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(InputError, match="write it as"):
        read_axis(text)


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="too long"):
        read_axis("agents=1..1000000:1")
    with pytest.raises(InputError, match="larger steps"):
        points([read_axis("agents=1..100:1"), read_axis("ratio=1..4:0.05")])
    with pytest.raises(InputError, match="swept twice"):
        points([read_axis("ratio=1,2"), read_axis("pacing.ratio=3")])


def test_a_value_is_placed_without_touching_the_original() -> None:
    raw = {"talk": {"mean_s": 100}}
    assert placed(raw, "talk.mean_s", 50.0) == {"talk": {"mean_s": 50}}
    assert placed(raw, "wrapup.mean_s", 5.5)["wrapup"] == {"family": "lognormal", "cv": 0.5, "mean_s": 5.5}
    assert raw == {"talk": {"mean_s": 100}}
    with pytest.raises(InputError, match="no table"):
        placed({"hours": 4}, "hours.x", 1.0)


def test_a_sweep_has_a_cell_for_each_point_and_method() -> None:
    raw = {"methods": ["ratio", "progressive"], "days": 2}
    where, cells = swept_cells(raw, [read_axis("agents=5,6"), read_axis("max_abandonment=0.01,0.03")])
    assert len(cells) == len(where) == 8
    assert {cell.agents for cell in cells} == {5, 6}
    assert {cell.scenario["pacing"]["max_abandonment"] for cell in cells} == {0.01, 0.03}
    with pytest.raises(InputError, match=r"answer\.rate"):
        swept_cells(raw, [read_axis("answer_rate=0.5,1.5")])
    with pytest.raises(InputError, match="did you mean"):
        swept_cells(raw, [read_axis("talk.mean=5")])


def test_days_are_pieces_of_their_own_unless_a_list_holds_them_together() -> None:
    free = Cell(scenario={"days": 3}, method="ratio", watch=True)
    assert [(piece.first_day, piece.days, piece.watch) for piece in by_day([free])] == [
        (0, 1, True),
        (1, 1, False),
        (2, 1, False),
    ]
    tied = Cell(scenario={"days": 3, "list": {"contacts": 10}}, method="ratio")
    assert len(by_day([tied])) == 1


def test_a_cell_goes_through_json_and_garbage_does_not() -> None:
    cell = Cell(scenario={"talk": {"values_s": [1.5, 2]}}, method="ratio", agents=3, pacing={"ratio": 2.0})
    assert decode_cell(encode(cell)) == cell
    for text in ("", "[]", '{"method": 1}', '{"scenario": {}, "method": "ratio", "more": 1}'):
        with pytest.raises(InputError, match="no cell"):
            decode_cell(text)
