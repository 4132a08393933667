"""Who may log in to the exchange, and event filters: the counterpart of manager.conf."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dialer.simulation.channels import EventClass

#: What config/asterisk/manager.conf filters out for the user of the dialer.
LEAN_EXCLUDES: Final = frozenset(
    {
        "NewCallerid",
        "NewConnectedLine",
        "NewAccountCode",
        "Newexten",
        "VarSet",
        "RTCPSent",
        "RTCPReceived",
        "BridgeCreate",
        "BridgeDestroy",
        "BridgeEnter",
        "BridgeLeave",
        "ConfbridgeTalking",
        "DeviceStateChange",
        "ExtensionStatus",
        "MusicOnHoldStart",
        "MixMonitorMute",
        "MixMonitorStart",
        "MusicOnHoldStop",
        "SoftHangupRequest",
        "DialBegin",
        "DialEnd",
        "TestEvent",
    }
)
#: And those of its filters that look into an event: criteria and expression.
LEAN_FILTERS: Final = (("action(exclude),name(DialState),header(DialStatus),method(exact)", "RINGING"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user of the manager interface."""

    name: str
    secret: str
    #: Classes of events that reach this user, and of actions that they may send.
    read: EventClass
    write: EventClass
    #: Names of events that never do.
    excludes: frozenset[str] = frozenset()
    #: Further filters that every session of theirs begins with: criteria and expression, as in manager.conf.
    filters: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Without the secret."""
        return f"<User {self.name!r}>"


def dialer_user(secret: str, name: str = "cadencia") -> User:
    """The user of config/asterisk/manager.conf, with exactly its rights."""
    return User(
        name=name,
        secret=secret,
        read=EventClass.CALL | EventClass.USER,
        write=EventClass.ORIGINATE | EventClass.CALL | EventClass.REPORTING,
        excludes=LEAN_EXCLUDES,
        filters=LEAN_FILTERS,
    )


def full_user(secret: str, name: str = "full") -> User:
    """A user who may do and see everything."""
    return User(name=name, secret=secret, read=EventClass.all(), write=EventClass.all())


class FilterError(ValueError):
    """An event filter cannot be understood; the text is Asterisk's."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One event filter of a session."""

    exclude: bool
    matches: Callable[[str, str], bool]


def parse_filter(text: str, criteria: str) -> Filter:
    """The filter of action Filter: `text` is an expression, `criteria` the newer ``action(…),name(…),…``.

    Raises:
        FilterError: it cannot be understood.
    """
    if not criteria.strip():
        exclude = text.startswith("!")
        pattern = _compile(text.removeprefix("!"))
        return Filter(exclude, lambda _name, event: pattern.search(event) is not None)
    parts = dict(re.findall(r"(action|name|header|method)\(([^()]*)\)", criteria))
    known = ",".join(f"{key}({value})" for key, value in re.findall(r"(\w+)\(([^()]*)\)", criteria))
    if known != criteria.replace(" ", "") or not parts or parts.get("action", "include") not in {"include", "exclude"}:
        raise FilterError("Filter was formatted incorrectly.  Check the syntax of the filter given.")
    name, header = parts.get("name"), parts.get("header")
    test = _test(parts.get("method", "none" if not text else "regex"), text)

    def matches(event_name: str, event: str) -> bool:
        if name is not None and name != event_name:
            return False
        if header is None:
            return test(event)
        lines = (line for line in event.split("\r\n") if line.partition(":")[0] == header.rstrip(":"))
        return any(test(line.partition(":")[2].removeprefix(" ")) for line in lines)

    return Filter(parts.get("action") == "exclude", matches)


def _test(method: str, text: str) -> Callable[[str], bool]:
    match method:
        case "none":
            return lambda _value: True
        case "exact":
            return lambda value: value == text
        case "starts_with":
            return lambda value: value.startswith(text)
        case "ends_with":
            return lambda value: value.endswith(text)
        case "contains":
            return lambda value: text in value
        case "regex":
            pattern = _compile(text)
            return lambda value: pattern.search(value) is not None
        case _:
            raise FilterError("Filter was formatted incorrectly.  Check the syntax of the filter given.")


def _compile(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise FilterError("Filter did not compile.  Check the syntax of the filter given.") from error
