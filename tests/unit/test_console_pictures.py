"""Every page of the console is drawn, in both looks, and the pictures are there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.console_pages import left_out

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
#: Those that the script goes to by a way of their own.
DRAWN_APART = {
    "login": ("sign-in",),
    "desk": ("desk", "desk-sign-in"),
    "new-campaign": ("new-campaign-errors",),
    "campaigns/x/what-if": ("what-if",),
    "campaigns/x/crm": ("crm", "crm-mapping"),
    "account": ("second-factor",),
}


def test_no_page_goes_without_its_picture(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="the pictures need pillow, of the extra `plots`")
    drawn = runpy.run_path(str(ROOT / "scripts" / "console-pictures"))
    places: dict[str, str] = drawn["PLACES"] | drawn["MANAGERS"]
    assert left_out(tmp_path, (*places.values(), *DRAWN_APART)) == []
    names = {*places, *(f"crowd-{name}" for name in drawn["CROWD"]), *sum(DRAWN_APART.values(), ())}
    wanted = {f"console-{name}-{theme}.png" for name in names for theme, _ in drawn["LOOKS"]}
    assert wanted == {path.name for path in IMAGES.glob("console-*.png")}
