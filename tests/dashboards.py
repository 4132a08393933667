"""What the committed dashboards ask of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

#: Each variable's "all of them".
_ALL = {"$campaign": ".*", "$instance": ".*"}


def queries_of(path: Path) -> Iterator[tuple[str, str]]:
    """Title of the panel and the expression, all campaigns and nodes picked."""
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            expr = target["expr"]
            for name, value in _ALL.items():
                expr = expr.replace(name, value)
            yield panel["title"], expr
