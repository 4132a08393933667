"""What the nodes and workers of an installation tell each other, as shapes that can be kept: `tests/data/releases`.

    python -m tests.releases > tests/data/releases/$(revision of the tables).json

A release adds its file, named after the version of its tables; those of releases that need not run beside this one any
more are taken away (docs/adr/0021). So an earlier release is there without its sources: what it wrote can be made from
its shapes, and what it could read can be held against them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from dialer.intake.jobs import FUNCTIONS
from dialer.queues.server_check import LAYOUT

_FOLDER: Final = Path(__file__).parent / "data" / "releases"
#: Versions of the tables of the releases that may run beside this one, the oldest one first.
RELEASES: Final = tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))
#: What is told -> its type, and in what it is written.
MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    # Redis, every second
    "that a node lives": ("dialer.runtime.neighbours:Neighbour", "msgpack"),
    "what goes on at a node": ("dialer.runtime.neighbours:Picture", "msgpack"),
    # from node to node
    "a request that is handed on": ("dialer.runtime.node_seals:Ticket", "json"),
    "a call that is closed": ("dialer.core.events:CallDisposed", "json"),
    "why it is not": ("dialer.runtime.node_client:Refused", "json"),
    # Redis, until somebody reads it
    "an attempt that has ended": ("dialer.queues.journal:JournalEntry", "json"),
    "a refusal": ("dialer.queues.journal:RefusalEntry", "json"),
    "a contact that waits": ("dialer.queues.wire:Payload", "json"),
    "a removal of somebody who is called": ("dialer.queues.wire:InboxEntry", "json"),
    "an answer to a key": ("dialer.api.idempotency:_RedisEntry", "msgpack"),
    # the database
    "a campaign": ("dialer.core.campaign:Campaign", "json"),
    "numbers of a contact": ("dialer.core.contact_phone:PhoneTerms", "json"),
    "a filter": ("dialer.core.filters_in_force:_Written", "json"),
    "a look through a list": ("dialer.storage.list_checks:CheckCounts", "json"),
    # from worker to node
    "what-if": ("dialer.api.what_if_ports:WhatIfFound", "json"),
}


def type_of(message: str) -> Any:
    """The type of a message."""
    module, _, name = MESSAGES[message][0].partition(":")
    return getattr(importlib.import_module(module), name)


def shapes() -> dict[str, Any]:
    """All messages as JSON Schema, and all jobs with their arguments."""
    types = {message: type_of(message) for message in MESSAGES}
    told, parts = msgspec.json.schema_components(
        types.values(), schema_hook=lambda _: {"description": "anything"}, ref_template="#/$defs/{name}"
    )
    return {
        "layout": LAYOUT,
        "messages": dict(zip(types, _bare(told), strict=True)),
        "$defs": _bare(parts),
        "jobs": {function: arguments_of(function) for function in FUNCTIONS},
    }


def _bare(schema: Any) -> Any:
    """Without what is for people."""
    match schema:
        case dict():
            words = {"title", "description"}
            return {key: _bare(value) for key, value in schema.items() if key not in words or isinstance(value, dict)}
        case list() | tuple():
            return [_bare(value) for value in schema]
    return schema


def arguments_of(function: str) -> dict[str, bool]:
    """Arguments of a job, and whether each must be given."""
    module, _, name = function.rpartition(".")
    found = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    return {one.name: one.default is inspect.Parameter.empty for one in found}


def shapes_of(release: str) -> dict[str, Any]:
    """Those of an earlier release."""
    kept: dict[str, Any] = json.loads((_FOLDER / f"{release}.json").read_text(encoding="utf-8"))
    return kept


if __name__ == "__main__":
    json.dump(shapes(), sys.stdout, indent=1, sort_keys=True)
    print()
