"""Health, readiness and metrics: for load balancers, orchestrators and Prometheus."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from dialer.api.auth import requires
from dialer.api.errors import KEYED, documented
from dialer.api.health_ports import HealthCheck
from dialer.api.key_ports import Role
from dialer.api.requests import Ports
from dialer.projections.metrics import CONTENT_TYPE
from dialer.settings import Settings

_CHECKS_TIMEOUT_S: Final = 3.0


class Alive(Struct, kw_only=True):
    """The process answers."""

    status: str = "alive"


class CheckOut(Struct, kw_only=True):
    """How one part is doing."""

    name: str
    ok: bool
    problem: str


class ReadyOut(Struct, kw_only=True):
    """Whether this node can work, and what it lacks."""

    ready: bool
    checks: list[CheckOut]


@get("/healthz", responses=documented(500), tags=["health"])
async def healthz() -> Alive:
    """Whether the process is alive: its event loop answers. Restart it when it does not."""
    return Alive()


@get(
    "/readyz",
    responses=documented(500) | {503: ResponseSpec(ReadyOut, description="Not ready.", generate_examples=False)},
    tags=["health"],
)
async def readyz(ports: Ports) -> Response[ReadyOut]:
    """Whether Redis, database, Asterisk and the gate are at hand: 200, or 503 with what is missing."""
    try:
        async with asyncio.timeout(_CHECKS_TIMEOUT_S):
            checks = await ports.health.checks()
    except TimeoutError:
        checks = [HealthCheck(name="checks", ok=False, problem="the checks did not end in time")]
    ready = all(check.ok for check in checks)
    rows = [CheckOut(name=check.name, ok=check.ok, problem=check.problem) for check in checks]
    return Response(ReadyOut(ready=ready, checks=rows), status_code=200 if ready else 503)


class Scrape:
    """One scrape at a time: rendering takes a thread, and impatient scrapers must not fill the pool."""

    def __init__(self) -> None:
        self._lock: Final = asyncio.Lock()

    async def __call__(self, ports: Ports) -> bytes:
        """The metrics as of now."""
        async with self._lock:
            ports.metrics.refresh(ports.control.live().snapshot(ports.clock.now()))
            return await asyncio.to_thread(ports.metrics.render)


def _metrics_guard(connection: Any, handler: Any) -> None:
    settings: Settings = connection.app.state.settings
    if not settings.api.open_metrics:
        requires(Role.METRICS)(connection, handler)


@get(
    "/metrics",
    guards=[_metrics_guard],
    responses=documented(*KEYED)
    | {200: ResponseSpec(str, media_type="text/plain", description="Prometheus text format", generate_examples=False)},
    media_type="text/plain",
    tags=["metrics"],
)
async def metrics(request: Request[Any, Any, Any], ports: Ports) -> Response[bytes]:
    """Metrics for Prometheus, without a key where the setting `api.open_metrics` says so."""
    scrape: Scrape = request.app.state.scrape
    return Response(await scrape(ports), headers={"content-type": CONTENT_TYPE}, media_type="text/plain")


routes: Final = [healthz, readyz, metrics]
