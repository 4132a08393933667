"""Simulated days by the thousand: run on several processes, kept in a file, gone on with where they stopped.

Each day is one line of a `.jsonl` file under its key. A second run with the same file computes only what is missing;
days of another version of `pacing/` are not looked at, for they would mix two rules in one table.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pacing
from pacing.simulate import Day

# Student's t, two-sided 95 %, by degrees of freedom; beyond the last the normal.
_T = (
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09,
    2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04, 2.04, 2.04, 2.03, 2.03, 2.03, 2.03, 2.03, 2.02,
)  # fmt: skip

Result = dict[str, Any]


def common_options(description: str) -> argparse.ArgumentParser:
    """Options that every script of simulated days takes."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--json", type=Path, help="write settings, machine and rows here")
    arguments.add_argument("--days-file", type=Path, help="keep finished days here, and go on with them (.jsonl)")
    return arguments


def run(
    work: Callable[[Any], Result], jobs: Sequence[tuple[Any, ...]], *, processes: int, days_file: Path | None
) -> list[Result]:
    """The result of every job, in order; those in `days_file` are not computed again."""
    version = _version()
    known: dict[str, Result] = {}
    if days_file is not None and days_file.exists():
        for line in days_file.read_text().splitlines():
            entry = json.loads(line)
            if entry["version"] == version:
                known[entry["key"]] = entry["result"]
    missing = [job for job in dict.fromkeys(jobs) if _key(work, job) not in known]
    with ProcessPoolExecutor(processes) as pool:
        # Long days (many agents) first would need to know them; jobs are handed out one by one instead.
        waiting = {pool.submit(work, job): job for job in missing}
        for done in as_completed(waiting):
            key, result = _key(work, waiting[done]), done.result()
            known[key] = result
            if days_file is not None:
                with days_file.open("a") as file:
                    file.write(json.dumps({"version": version, "key": key, "result": result}) + "\n")
    return [known[_key(work, job)] for job in jobs]


def of_day(day: Day) -> Result:
    """A day as plain values."""
    return {
        "busy_s": day.busy_s,
        "staffed_s": day.staffed_s,
        "answered": day.answered,
        "abandoned": day.abandoned,
        "dialed": day.dialed,
        "first_200_abandoned": day.first_answers_abandoned,
        "slice_answered": day.slice_answered.tolist(),
        "slice_abandoned": day.slice_abandoned.tolist(),
        "slice_busy_s": day.slice_busy_s.tolist(),
        "slice_staffed_s": day.slice_staffed_s.tolist(),
        "worst_half_hour": day.worst_slice,
    }


def occupancy(days: Iterable[Result]) -> float:
    """Busy over staffed time of all days together."""
    days = list(days)
    return float(sum(day["busy_s"] for day in days) / sum(day["staffed_s"] for day in days))


def abandonment(days: Iterable[Result]) -> float:
    """Abandoned over answered of all days together."""
    days = list(days)
    return float(sum(day["abandoned"] for day in days) / max(sum(day["answered"] for day in days), 1))


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of the mean of these; not a number for one value."""
    if len(values) < 2:
        return math.nan
    degrees = len(values) - 1
    quantile = _T[degrees - 1] if degrees <= len(_T) else 1.96
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def show(rows: Sequence[Result]) -> None:
    """The rows as a table."""
    if rows:
        print(" | ".join(rows[0]))
    for row in rows:
        print(" | ".join(str(value) for value in row.values()), flush=True)


def write(path: Path | None, **content: object) -> None:
    """What a plot or a page needs, with the machine it was made on."""
    if path is None:
        return
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    # A row a line: small, and a change of one row is a change of one line.
    parts = [f'"machine": {json.dumps(machine)}']
    for name, value in content.items():
        rows = ",\n".join(json.dumps(row, default=str) for row in value) if isinstance(value, list) else ""
        parts.append(f"{json.dumps(name)}: " + (f"[\n{rows}\n]" if rows else json.dumps(value, default=str)))
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _key(work: Callable[..., Result], job: tuple[Any, ...]) -> str:
    return f"{work.__name__}{job!r}"


def _version() -> str:
    """Of the sources that decide what a simulated day comes to; what is only said in them does not count."""
    digest = hashlib.sha256()
    for path in sorted(Path(pacing.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        digest.update(path.name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()[:16]
