"""Traces of a node: off unless the settings name a collector, and then nothing here is in the way of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from litestar.types import ASGIApp

from dialer.intake.desk import Listener
from dialer.runtime.dispatcher import Projection
from dialer.tracing.arrivals import Arrivals
from dialer.tracing.callers import hearing_callers
from dialer.tracing.calls import CallTraces
from dialer.tracing.site import TracingSite


class NodeTracing:
    """What a node puts in its places.

    Args:
        site: None: nothing is traced.
        now: the clock.
    """

    def __init__(self, site: TracingSite | None, now: Callable[[], float]) -> None:
        self._site: Final = site
        #: Take the engine's notices, and what it does not tell of calls that are over.
        self.projections: tuple[Projection, ...] = ()
        #: Hears of contacts that come in.
        self.arrivals: Listener | None = None
        if site is not None:
            self.projections = (CallTraces(site.places, site.outlet.put),)
            self.arrivals = Arrivals(site.places, site.outlet.put, now)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application as it is to be served."""
        return app if self._site is None else hearing_callers(app)

    async def close(self) -> None:
        """Send what waits."""
        if self._site is not None:
            await self._site.close()
