"""Server-sent events: bytes in, events out; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dialer.client import wire

#: A call comes to each of these once at most.
_ONCE = frozenset({"call.started", "call.answered", "call.connected", "call.abandoned", "call.ended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `name` is result, live, missed or dropped; a result's kind is ``data["type"]``."""

    #: Give it as `after` to go on behind it.
    id: str
    name: str
    data: dict[str, Any]

    @property
    def key(self) -> str:
        """By which a result is known: one that is told again has another id, and the key that it had."""
        kind, call = self.data.get("type", ""), self.data.get("call", "")
        if call and kind in _ONCE:
            return f"{kind}/{call}"
        if call and kind == "call.disposed":
            return f"{kind}/{call}/{self.data.get('at', '')}"
        return f"{kind}/{json.dumps(self.data, sort_keys=True)}"


class EventReader:
    """Takes the stream in as it comes, and remembers the id of the last event."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._held = b""
        self._name = ""
        self._data: list[str] = []
        self._id = ""

    def receive(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        *lines, self._held = (self._held + chunk).split(b"\n")
        found = []
        for line in lines:
            event = self._line(line.rstrip(b"\r").decode("utf-8", "replace"))
            if event is not None:
                found.append(event)
        return found

    def begin(self) -> None:
        """A new connection: what was half read is told again."""
        self._held, self._name, self._data, self._id = b"", "", [], ""

    def _line(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._name = value
            elif name == "data":
                self._data.append(value)
            elif name == "id":
                self._id = value
            return None
        name, text, id = self._name, "\n".join(self._data), self._id
        self._name, self._data, self._id = "", [], ""
        if not text:
            return None
        try:
            data = json.loads(text)
        except ValueError:
            return None
        self.last_id = id or self.last_id
        return Event(id=id, name=name or "message", data=data if isinstance(data, dict) else {"value": data})


def events_request(
    types: str = "", campaign: str | None = None, agent: str | None = None, last_id: str = ""
) -> wire.Request:
    """The request that listens."""
    listen = wire.get("/events", types=types, campaign=campaign, agent=agent)
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    return wire.Request(method="GET", path=listen.path, headers=headers)
