"""Prometheus for tests: its programs, the rules that are shipped, and which names an expression may use.

The programs are in Debian's package prometheus; CI requires them.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialer.projections.metrics import Metrics

FOLDER = Path(__file__).resolve().parents[1] / "config" / "prometheus"
_NAME = re.compile(r"(?:\b[a-z_]+:)?\bcadencia[_:]\w+(?::\w+)?")
#: The expression of all queues names them by a pattern.
_PATTERNS = ("cadencia_.+_queue_depth", "cadencia_(.+)_queue_depth")


def program(name: str) -> str:
    """Path of `promtool` or `prometheus`; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CADENCIA_REQUIRE_LAB") == "1":
            pytest.fail(f"{name} is required here; it is in Debian's package prometheus")
        pytest.skip(f"{name} is not installed (Debian package prometheus)")
    return found


def read(text: str) -> Any:
    """YAML; the loader in C is ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def rules(file: str) -> list[dict[str, Any]]:
    """All rules of one file."""
    groups = read((FOLDER / file).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


RECORDED = {rule["record"]: rule for rule in rules("recording.yml")}


def exported() -> set[str]:
    """Names that a scrape can have, with those of a histogram's series."""
    names = set()
    for metric in Metrics("n").registry.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        names |= {metric.name + ending for ending in endings}
    return names


def names_in(expr: str) -> set[str]:
    """Metrics and recorded figures that an expression asks for."""
    for pattern in _PATTERNS:
        expr = expr.replace(pattern, "")
    return set(_NAME.findall(expr))
