"""One cell of a comparison: a scenario, a method, some days. The unit of work, here and on RQ workers alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dialer.errors import InputError
from dialer.twin.files import scenario_of
from pacing.scenario import Scenario, ScenarioError
from pacing.trials import Trial, joined, run_days


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be simulated, in JSON's own types."""

    #: The tables of a scenario, observed values and all.
    scenario: dict[str, Any]
    method: str
    #: For people; empty: the method's name.
    label: str = ""
    #: Number of agents instead of the scenario's.
    agents: int | None = None
    #: Settings of the method instead of the scenario's.
    pacing: dict[str, float] = {}
    first_day: int = 0
    #: How many days; None: all of the scenario.
    days: int | None = None
    #: Length of the last day; None: like the others.
    last_day_hours: float | None = None
    #: Instead of the scenario's.
    seed: int | None = None
    watch: bool = False
    #: Where it belongs: cells with the same key are days of one trial.
    key: str = ""


def encode(value: Cell | Trial) -> str:
    """As JSON."""
    return msgspec.json.encode(value).decode()


def decode_cell(text: str) -> Cell:
    """A cell from JSON.

    Raises:
        InputError: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Cell)
    except msgspec.DecodeError as error:
        raise InputError(f"this is no cell of a sweep: {error}") from error


def decode_trial(text: str) -> Trial:
    """What came of a cell.

    Raises:
        InputError: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Trial)
    except msgspec.DecodeError as error:
        raise InputError(f"a worker answered with something else than a simulated day: {error}") from error


def scenario_in(cell: Cell) -> Scenario:
    """The scenario of a cell.

    Raises:
        InputError: it cannot be used; the text names the key.
    """
    raw = dict(cell.scenario)
    if cell.pacing:
        raw["pacing"] = {**raw.get("pacing", {}), **cell.pacing}
    if cell.seed is not None:
        raw["seed"] = cell.seed
    scenario = scenario_of(raw)
    if cell.agents is None:
        return scenario
    try:
        return scenario.with_agents(cell.agents)
    except ScenarioError as error:
        raise InputError(str(error)) from error


def run_cell(cell: Cell) -> Trial:
    """Simulate a cell.

    Raises:
        InputError: its scenario cannot be used.
    """
    scenario = scenario_in(cell)
    return run_days(scenario, cell.method, label=cell.label, first_day=cell.first_day, days=cell.days, watch=cell.watch)


def by_day(cells: Sequence[Cell]) -> list[Cell]:
    """The same work in smaller pieces: one for each day, where the days do not hang together by a list."""
    pieces: list[Cell] = []
    for place, cell in enumerate(cells):
        days = int(cell.days or cell.scenario.get("days", 1))
        key = cell.key or str(place)
        if "list" in cell.scenario or days == 1 or cell.last_day_hours is not None:
            pieces.append(msgspec.structs.replace(cell, key=key))
            continue
        pieces += [
            msgspec.structs.replace(cell, key=key, first_day=cell.first_day + day, days=1, watch=cell.watch and not day)
            for day in range(days)
        ]
    return pieces


def together(pieces: Sequence[Cell], trials: Mapping[int, Trial]) -> list[Trial]:
    """The trials of pieces, in their order, with days that belong together in one."""
    groups: dict[str, list[Trial]] = {}
    for place, piece in enumerate(pieces):
        groups.setdefault(piece.key, []).append(trials[place])
    return [joined(group) for group in groups.values()]
