"""JSON Schema for tests. What reads it takes a second and a half to load, so only those who ask load it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

#: What is told to CRMs, by its type.
PUBLISHED: Final = {
    path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parents[1] / "docs" / "crm" / "schemas").glob("*.json")
}


def validator(schema: Any, draft: str = "202012") -> Any:
    """What says of documents whether they are as a schema says."""
    import jsonschema

    return getattr(jsonschema, f"Draft{draft}Validator")(schema)


@cache
def published(name: str) -> Any:
    """The validator of a type of message."""
    return validator(PUBLISHED[name])
