"""The console as one thing: what its pages share, and the samples behind its charts."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Final

from dialer.api.auth import Authenticator
from dialer.api.live_routes import LiveCache
from dialer.api.ports import ApiPorts
from dialer.api.tenant_ports import narrowed
from dialer.console.accounts import Accounts
from dialer.console.alarms import Alarms
from dialer.console.holders import Holders
from dialer.console.pages import Pages
from dialer.console.series import EVERY_S, Series
from dialer.console.sessions import Sessions
from dialer.console.texts import Texts
from dialer.console.visit import Door
from dialer.projections.live_rows import LiveSnapshot


class Console:
    """One a node. `run` it in a task; `dialer.console.routes.router` serves it."""

    def __init__(self, ports: ApiPorts, secret: bytes, whole: Console | None = None) -> None:
        """`secret`: for signing sessions, the same at all nodes; `whole`: it is a part of that."""
        self.ports: Final = ports
        self.pages: Final[Pages] = Pages() if whole is None else whole.pages
        self.series: Final[Series] = Series() if whole is None else whole.series
        self.alarms: Final[Alarms] = Alarms() if whole is None else whole.alarms
        accounts = None if ports.users is None else Accounts(ports.users, ports.clock, ports.guesses)
        door = Door(Sessions(secret), Authenticator(ports.keys, ports.clock, ports.guesses), accounts)
        self.door: Final[Door] = door if whole is None else whole.door
        #: A tenant's own: whose key another one is, is none of its business.
        self.holders: Final = Holders(ports.key_book, ports.clock)
        self._tenants: Final[dict[str, Console]] = {}
        #: What is shown is at most this old when it is rendered; with the way to the screen it stays below a second.
        self.live: Final = LiveCache(every_s=0.5)
        self._parts: Final[dict[tuple[Hashable, ...], tuple[LiveSnapshot, bytes]]] = {}

    def of(self, tenant: str) -> Console:
        """The console as a tenant sees it."""
        if tenant == self.ports.tenant:
            return self
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = Console(narrowed(self.ports, tenant), b"", self)
        return found

    async def run(self) -> None:
        """Take samples for ever, and see what goes wrong."""
        while True:
            whole = self.ports.control.live().snapshot(self.ports.clock.now())
            self.series.add(whole)
            self.alarms.look(whole)
            await asyncio.sleep(EVERY_S)

    def part(self, name: str, texts: Texts, view: LiveSnapshot, **chosen: Hashable) -> bytes:
        """The event with a live part of a page, rendered once for all who look at the same.

        `chosen`: what of the view is shown, as values of its template.
        """
        key = (name, texts.language, *chosen.items())
        kept = self._parts.get(key)
        if kept is not None and kept[0] is view:
            return kept[1]
        shared = {"view": view, "alarms": self.alarms.of(view), "holders": self.holders}
        html = self.pages.render(f"part_{name}", texts, **shared, **chosen)
        encoded = fragment(html)
        if len(self._parts) >= _MOST_PARTS:
            self._parts.clear()
        self._parts[key] = (view, encoded)
        return encoded


def fragment(html: str) -> bytes:
    """The event that carries a part of a page."""
    return b"".join(b"data: %s\n" % line.encode() for line in html.splitlines() if line.strip()) + b"\n"


_MOST_PARTS: Final = 500
