"""What goes on now: a snapshot, and server-sent events of results and of the live view."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Final

from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter

from dialer.api.auth import requires
from dialer.api.errors import KEYED, ApiError, documented
from dialer.api.event_stream import COMMENT, EventStream, event
from dialer.api.ports import ApiKey, ApiPorts, Role, Subscription
from dialer.api.requests import KeyedRequest, Ports
from dialer.projections.live_rows import LiveSnapshot

#: Results that a listener may be behind before it is cut off: some seconds of a busy node.
CAPACITY: Final = 2_000
WRITE_TIMEOUT_S: Final = 15.0
_LIVE_EVERY_S: Final = 1.0
_COMMENT_EVERY_S: Final = 15.0

Types = Annotated[
    str,
    QueryParameter(
        max_length=500, description="Result types, separated by commas; `call.*` for all of a kind. Default: all"
    ),
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
            description="Events `result`, `live`, `dropped`",
            generate_examples=False,
        )
    },
    description=(
        "Server-sent events: `result` for each result as it goes to the CRM, and with `live=true` the event `live` "
        "with a snapshot whenever something has changed, at most once a second. A client that does not keep up gets "
        "the event `dropped` and is hung up on; what it missed is on the results stream. An agent's key gets its own "
        "results only."
    ),
)
async def events(
    request: KeyedRequest,
    ports: Ports,
    types: Types = "",
    campaign: FromQuery[str | None] = None,
    live: FromQuery[bool] = False,
) -> EventStream:
    """Listen to what happens."""
    if live and request.auth.role is Role.AGENT:
        raise ApiError(403, "an agent's key gets its own results, not the live view; leave out live=true")
    subscription = ports.results.subscribe(CAPACITY)
    if subscription is None:
        raise ApiError(503, "too many clients listen already", headers={"retry-after": "30"})
    wanted = _Wanted(request.auth, types, campaign)
    shared: LiveCache = request.app.state.live_cache
    return EventStream(_feed(ports, subscription, wanted, shared if live else None), WRITE_TIMEOUT_S)


class LiveCache:
    """One snapshot a second for everybody who listens: its cost must not grow with the listeners."""

    def __init__(self) -> None:
        self._snapshot: LiveSnapshot | None = None
        self._encoded = b""
        self._taken_at = 0.0

    def at(self, ports: ApiPorts, now: float) -> tuple[LiveSnapshot, bytes]:
        """A snapshot younger than a second, and the event that carries it."""
        kept = self._snapshot
        if kept is None or now - self._taken_at >= _LIVE_EVERY_S:
            self._taken_at = now
            fresh = ports.control.live().snapshot(now)
            # Where nothing has changed the same object stays, so that listeners compare by identity.
            if kept is None or _changed(kept, fresh):
                self._snapshot = kept = fresh
                self._encoded = event("live", fresh)
        return kept, self._encoded


class _Wanted:
    """Which results one client gets."""

    def __init__(self, key: ApiKey, types: str, campaign: str | None) -> None:
        self._types = tuple(kind.strip() for kind in types.split(",") if kind.strip())
        self._campaign = campaign
        self._key = key

    def __call__(self, result: Mapping[str, object]) -> bool:
        if self._key.role is Role.AGENT and (self._key.agent is None or result.get("agent") != self._key.agent):
            return False
        if self._campaign is not None and result.get("campaign") != self._campaign:
            return False
        kind = str(result.get("type", ""))
        return not self._types or any(
            kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted for wanted in self._types
        )


async def _feed(
    ports: ApiPorts, subscription: Subscription, wanted: _Wanted, live: LiveCache | None
) -> AsyncGenerator[bytes, None]:
    sent = 0
    shown: LiveSnapshot | None = None
    quiet_since = shown_at = ports.clock.now()
    try:
        # Says at once that the connection stands; without it a proxy may wait for the first result.
        yield COMMENT
        while True:
            result = await subscription.next(_COMMENT_EVERY_S if live is None else _LIVE_EVERY_S)
            now = ports.clock.now()
            if result is not None and wanted(result):
                sent += 1
                quiet_since = now
                yield event("result", result, sent)
            if subscription.dropped:
                yield event("dropped", {"message": "you did not keep up; read what you missed from the results stream"})
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
    finally:
        subscription.close()


def _changed(before: LiveSnapshot, after: LiveSnapshot) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in before.__struct_fields__ if name != "at")


routes = Router("/", route_handlers=[live, events], tags=["live"])
