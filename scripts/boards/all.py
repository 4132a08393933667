"""All dashboards, and their files."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.boards import campaign, compliance, overview, pacing, system, telephony
from scripts.boards.writing import text_of

FOLDER = Path(__file__).resolve().parents[2] / "config" / "grafana" / "dashboards"
BOARDS = (overview.BOARD, campaign.BOARD, pacing.BOARD, compliance.BOARD, telephony.BOARD, system.BOARD)


def write(*, check: bool) -> int:
    """Write every file, or with `check` say which one is not what the code gives; an exit code."""
    wanted = {FOLDER / f"{board.name}.json": text_of(board) for board in BOARDS}
    if not check:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
        return 0
    there = set(FOLDER.glob("*.json"))
    wrong = [path.name for path, text in wanted.items() if path not in there or path.read_text("utf-8") != text]
    wrong += [path.name for path in there - set(wanted)]
    if wrong:
        sys.stderr.write(f"run scripts/dashboards: {', '.join(sorted(wrong))}\n")
    return 1 if wrong else 0
