"""Cells of sweeps. The dotted names of this package stand in Redis: they never change."""

from __future__ import annotations

import json

from dialer.errors import InputError
from dialer.twin.cells import decode_cell, encode, run_cell


def simulate_cell(cell: str) -> str:
    """Simulate one cell; see `dialer.twin.cells`.

    Args:
        cell: as JSON.

    Returns:
        What came of it, as JSON; ``{"error": ...}`` where its scenario cannot be used: trying again would not help.
    """
    try:
        return encode(run_cell(decode_cell(cell)))
    except InputError as error:
        return json.dumps({"error": str(error)})
