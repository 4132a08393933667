"""Whom a request is about, as far as its address tells: an agent, a call, or nobody who is at home anywhere. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class About(Enum):
    """What decides on the node that must carry a request out."""

    #: Nothing: any node can.
    ANYBODY = auto()
    #: An agent, named in the path.
    AGENT = auto()
    #: The same, who signs in: they may be at home nowhere yet.
    SIGN_IN = auto()
    #: A call, named in the path.
    CALL = auto()
    #: The agent whose session it is.
    OWN_DESK = auto()
    OWN_SIGN_IN = auto()
    #: An agent, or a call, named in the body.
    BODY_AGENT = auto()
    BODY_CALL = auto()
    #: A campaign, named in the path or in the body: of another shard it is for a node there.
    CAMPAIGN = auto()
    BODY_CAMPAIGN = auto()


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom a request is about."""

    about: About
    name: str = ""


_ANYBODY: Final = Concern(About.ANYBODY)
_NAME: Final = r"(?P<name>[^/]{1,200})"
_REST: Final = r"(?:/[^?]*)?\Z"
#: The first that fits counts.
_PLACES: Final = tuple(
    (method, re.compile(pattern), about)
    for method, pattern, about in (
        ("POST", rf"/api/v1/agents/{_NAME}/sign-in\Z", About.SIGN_IN),
        # A token is signed, not kept: any node makes it.
        ("POST", rf"/api/v1/agents/{_NAME}/snippet-token\Z", About.ANYBODY),
        ("", rf"/api/v1/agents/{_NAME}{_REST}", About.AGENT),
        ("POST", r"/api/v1/calls\Z", About.BODY_AGENT),
        ("POST", r"/api/v1/dispositions\Z", About.BODY_CALL),
        ("", r"/api/v1/calls/live\Z", About.ANYBODY),
        ("", rf"/api/v1/(?:snippet/)?calls/{_NAME}{_REST}", About.CALL),
        ("", rf"/api/v1/campaigns/{_NAME}{_REST}", About.CAMPAIGN),
        ("POST", r"/api/v1/(?:campaigns|segments)\Z", About.BODY_CAMPAIGN),
        ("", rf"/console/campaigns/{_NAME}{_REST}", About.CAMPAIGN),
        ("POST", r"/console/desk/sign-in\Z", About.OWN_SIGN_IN),
        ("", rf"/console/desk{_REST}", About.OWN_DESK),
        ("", r"/console/stream/(?:desk|messages)\Z", About.OWN_DESK),
        ("", rf"/console/stream/agent/{_NAME}\Z", About.AGENT),
        ("", rf"/console/agents/{_NAME}{_REST}", About.AGENT),
    )
)


def concern(method: str, path: str) -> Concern:
    """Whom a request is about.

    Args:
        method: in capitals.
        path: without the query, as the server has decoded it.
    """
    for wanted, pattern, about in _PLACES:
        if wanted not in {"", method}:
            continue
        found = pattern.match(path)
        if found is not None:
            return _ANYBODY if about is About.ANYBODY else Concern(about, found.groupdict().get("name") or "")
    return _ANYBODY


def node_of_call(call: str) -> tuple[str, str] | None:
    """The node that made a call, and its name for the run; None: no call of ours is called so."""
    parts = call.rsplit("-", 2)
    if len(parts) != 3 or not all(parts) or not parts[2].isascii() or not parts[2].isdigit():
        return None
    return parts[0], parts[1]
