"""What goes on now: a snapshot, and server-sent events of results and of the live view."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Final

from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, QueryParameter

from dialer.api.auth import requires
from dialer.api.errors import KEYED, ApiError, documented
from dialer.api.event_stream import COMMENT, EventStream, event
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Ports
from dialer.api.result_ports import ResultHistory, Subscription
from dialer.errors import InputError, QueueError
from dialer.projections.live_rows import LiveSnapshot

#: Results that a listener may be behind before it is cut off: some seconds of a busy node.
CAPACITY: Final = 2_000
WRITE_TIMEOUT_S: Final = 15.0
_LIVE_EVERY_S: Final = 1.0
_COMMENT_EVERY_S: Final = 15.0
#: The follower of the stream looks at it at least once a second.
_POSITION_TIMEOUT_S: Final = 5.0
#: Results read from the stream at once for a client that comes back.
_PAGE: Final = 500
_ENTRY_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
_DROPPED: Final = "you did not keep up; come back with the id of your last result, or read the results stream"
#: The id with which a client asks for everything that is kept.
_BEGINNING: Final = "0-0"

Types = Annotated[
    str,
    QueryParameter(
        max_length=500, description="Result types, separated by commas; `call.*` for all of a kind. Default: all"
    ),
]

LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Id of the last result that was read")
]
After = Annotated[
    str | None, QueryParameter(description="The same for clients that cannot set headers; `0-0`: all that is kept")
]


@get("/live", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED))
async def live(ports: Ports) -> LiveSnapshot:
    """Campaigns, agents, servers and calls in flight now. Moments are unix seconds here."""
    return ports.control.live().snapshot(ports.clock.now())


@get(
    "/events",
    guards=[requires(Role.SUPERVISOR, Role.CRM, Role.AGENT)],
    responses=documented(*KEYED, 422, 503)
    | {
        200: ResponseSpec(
            str,
            media_type="text/event-stream",
            description="Events `result`, `live`, `missed`, `dropped`",
            generate_examples=False,
        )
    },
    description=(
        "Server-sent events: `result` for each result as it goes to the CRM, and with `live=true` the event `live` "
        "with a snapshot whenever something has changed, at most once a second. Each result has its id; a client that "
        "comes back with `Last-Event-ID` gets what it has missed, and the event `missed` where that is not kept any "
        "more. A client that does not keep up gets the event `dropped` and is hung up on. An agent's key gets its own "
        "results only."
    ),
)
async def events(
    request: KeyedRequest,
    ports: Ports,
    types: Types = "",
    campaign: FromQuery[str | None] = None,
    agent: FromQuery[str | None] = None,
    live: FromQuery[bool] = False,
    last_event_id: LastEventId = None,
    after: After = None,
) -> EventStream:
    """Listen to what happens."""
    # Browsers send the header by themselves; an empty one is that of a stream that never had an id.
    since = _entry_id(last_event_id or after or None)
    if live and request.auth.role is Role.AGENT:
        raise ApiError(403, "an agent's key gets its own results, not the live view; leave out live=true")
    subscription = ports.results.subscribe(CAPACITY)
    if subscription is None:
        raise ApiError(503, "too many clients listen already", headers={"retry-after": "30"})
    wanted = _Wanted(request.auth, types, campaign, agent)
    shared: LiveCache = request.app.state.live_cache
    return EventStream(_feed(ports, subscription, wanted, shared if live else None, since), WRITE_TIMEOUT_S)


class LiveCache:
    """One snapshot every `every_s` for everybody who listens: its cost must not grow with the listeners."""

    def __init__(self, every_s: float = _LIVE_EVERY_S) -> None:
        self._every_s = every_s
        #: Of each tenant: when it was taken, the snapshot, the event.
        self._kept: Final[dict[str, tuple[float, LiveSnapshot, bytes]]] = {}

    def at(self, ports: ApiPorts, now: float) -> tuple[LiveSnapshot, bytes]:
        """A snapshot younger than `every_s`, and the event that carries it."""
        taken_at, snapshot, encoded = self._kept.get(ports.tenant, (0.0, None, b""))
        if snapshot is None or now - taken_at >= self._every_s:
            fresh = ports.control.live().snapshot(now)
            # Where nothing has changed the same object stays, so that listeners compare by identity.
            if snapshot is None or _changed(snapshot, fresh):
                snapshot, encoded = fresh, event("live", fresh)
            self._kept[ports.tenant] = (now, snapshot, encoded)
        return snapshot, encoded


class _Wanted:
    """Which results one client gets."""

    def __init__(self, key: ApiKey, types: str, campaign: str | None, agent: str | None) -> None:
        self._types = tuple(kind.strip() for kind in types.split(",") if kind.strip())
        self._campaign = campaign
        self._agent = agent
        self._key = key

    def __call__(self, result: Mapping[str, object]) -> bool:
        if self._key.role is Role.AGENT and (self._key.agent is None or result.get("agent") != self._key.agent):
            return False
        if self._campaign is not None and result.get("campaign") != self._campaign:
            return False
        if self._agent is not None and result.get("agent") != self._agent:
            return False
        kind = str(result.get("type", ""))
        return not self._types or any(
            kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted for wanted in self._types
        )


async def _feed(
    ports: ApiPorts, subscription: Subscription, wanted: _Wanted, live: LiveCache | None, since: str | None
) -> AsyncGenerator[bytes, None]:
    shown: LiveSnapshot | None = None
    quiet_since = shown_at = ports.clock.now()
    told = ""
    try:
        # Says at once that the connection stands; without it a proxy may wait for the first result.
        yield COMMENT
        if since is not None and ports.history is not None:
            async with asyncio.timeout(_POSITION_TIMEOUT_S):
                until = await ports.results.position()
            async for chunk in _missed(ports.history, wanted, since, until):
                yield chunk
            # What was published since the subscription began may be among it.
            told = max(since, until, key=_place)
        while True:
            heard = await subscription.next(_COMMENT_EVERY_S if live is None else _LIVE_EVERY_S)
            now = ports.clock.now()
            if heard is not None and (not told or _place(heard.id) > _place(told)) and wanted(heard.result):
                quiet_since = now
                yield event("result", heard.result, heard.id)
            if subscription.dropped:
                yield event("dropped", {"message": _DROPPED})
                return
            if live is not None and (shown is None or now - shown_at >= _LIVE_EVERY_S):
                shown_at = now
                snapshot, encoded = live.at(ports, now)
                if snapshot is not shown:
                    shown, quiet_since = snapshot, now
                    yield encoded
            if now - quiet_since >= _COMMENT_EVERY_S:
                quiet_since = now
                yield COMMENT
    except (TimeoutError, QueueError):
        return  # Redis is out of reach: the client comes back with its last id
    finally:
        subscription.close()


async def _missed(history: ResultHistory, wanted: _Wanted, since: str, until: str) -> AsyncGenerator[bytes, None]:
    oldest = await history.oldest()
    if since != _BEGINNING and oldest is not None and _place(since) < _place(oldest):
        yield event("missed", {"message": "results older than these are not kept any more", "oldest": oldest})
    while True:
        page = await history.between(since, until, _PAGE)
        for id, result in page:
            since = id
            if wanted(result):
                yield event("result", result, id)
        if len(page) < _PAGE:
            return


def _entry_id(text: str | None) -> str | None:
    if text is not None and _ENTRY_ID.fullmatch(text) is None:
        raise InputError("Last-Event-ID: must be the id of an event of this stream, such as 1767225600000-0")
    return text


def _place(id: str) -> tuple[int, int]:
    milliseconds, _, number = id.partition("-")
    return int(milliseconds or 0), int(number or 0)


def _changed(before: LiveSnapshot, after: LiveSnapshot) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in before.__struct_fields__ if name != "at")


routes = Router("/", route_handlers=[live, events], tags=["live"])
