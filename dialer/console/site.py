"""The console as one thing: what its pages share, and the samples behind its charts."""

from __future__ import annotations

import asyncio
from typing import Final

from dialer.api.auth import Authenticator
from dialer.api.ports import ApiPorts
from dialer.console.accounts import Accounts
from dialer.console.pages import Pages
from dialer.console.series import EVERY_S, Series
from dialer.console.sessions import Sessions
from dialer.console.texts import Texts
from dialer.console.visit import Door
from dialer.projections.live_rows import LiveSnapshot


class Console:
    """One a node. `run` it in a task; `dialer.console.routes.router` serves it."""

    def __init__(self, ports: ApiPorts, secret: bytes) -> None:
        """`secret`: for signing sessions, see `dialer.console.sessions.kept_secret`."""
        self.ports: Final = ports
        self.pages: Final = Pages()
        self.series: Final = Series()
        accounts = None if ports.users is None else Accounts(ports.users, ports.clock)
        self.door: Final = Door(Sessions(secret), Authenticator(ports.keys, ports.clock), accounts)
        self._parts: Final[dict[tuple[str, str, str], tuple[LiveSnapshot, bytes]]] = {}

    async def run(self) -> None:
        """Take samples for ever."""
        while True:
            self.series.add(self.ports.control.live().snapshot(self.ports.clock.now()))
            await asyncio.sleep(EVERY_S)

    def part(self, name: str, texts: Texts, view: LiveSnapshot, campaign: str = "") -> bytes:
        """The event with a live part of a page, rendered once for all who look at the same."""
        key = (name, texts.language, campaign)
        kept = self._parts.get(key)
        if kept is not None and kept[0] is view:
            return kept[1]
        encoded = fragment(self.pages.render(f"part_{name}", texts, view=view, shown=campaign))
        if len(self._parts) >= _MOST_PARTS:
            self._parts.clear()
        self._parts[key] = (view, encoded)
        return encoded


def fragment(html: str) -> bytes:
    """The event that carries a part of a page."""
    return b"".join(b"data: %s\n" % line.encode() for line in html.splitlines() if line.strip()) + b"\n"


_MOST_PARTS: Final = 500
