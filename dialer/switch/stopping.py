"""A server that is about to stop takes no action: it is offered no calls, and asked again to end those it has.

The shutting down may take hours, or be called off, and who was to be hung up would be in their room for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from dialer.ami import actions
from dialer.core.events import ServerTakesCalls, SwitchEvent
from dialer.core.saying import NOTHING, say
from dialer.switch.link import Answer
from dialer.switch.links import Links

_log = structlog.get_logger(__name__)

#: After so long a hang-up that was refused is asked for again.
_HANG_UP_AGAIN_S: Final = 2.0
#: … and whether it was called off is asked for as often.
_STAYS_AGAIN_S: Final = 2.0


class Stopping:
    """Whether a server is about to stop, and what waits for that to be over.

    Args:
        links: to the server.
        deliver: gets its events.
        now: unix seconds.
    """

    def __init__(
        self, links: Links, *, deliver: Callable[[Iterable[SwitchEvent]], None], now: Callable[[], float]
    ) -> None:
        self.is_near = False
        self._links = links
        self._deliver = deliver
        self._now = now
        self._hang_up_timer: asyncio.TimerHandle | None = None
        self._refused_hang_ups: set[str] = set()
        self._stays_timer: asyncio.TimerHandle | None = None

    def heed(self, answer: Answer) -> None:
        """Offer no calls to a server that refuses for this reason, until it says otherwise or is gone."""
        if not answer.stopping or self.is_near or not self._links.connected:
            return
        self.is_near = True
        name = self._links.name
        says = f"Asterisk server {name!r} is about to stop and takes no calls; those that it has go on"
        self._links.set_problem(say(says, code="server_stopping", server=name))
        self._deliver([ServerTakesCalls(at=self._now(), server=name, takes=False)])
        self._ask_whether_it_stays()

    def end_channel(self, uniqueid: str) -> None:
        """Ask for a channel's end, again and again where it is refused for this reason."""

        def answered(answer: Answer) -> None:
            if not answer.stopping:
                return
            self.heed(answer)
            self._refused_hang_ups.add(uniqueid)
            if self._hang_up_timer is None:
                loop = asyncio.get_running_loop()
                self._hang_up_timer = loop.call_later(_HANG_UP_AGAIN_S, self._hang_up_again)

        self._links.send(actions.hangup(uniqueid), answered)

    def over(self) -> None:
        """The connection is over: nothing is asked again."""
        if self._hang_up_timer is not None:
            self._hang_up_timer.cancel()
            self._hang_up_timer = None
        self._refused_hang_ups.clear()
        self._stays()

    def _hang_up_again(self) -> None:
        self._hang_up_timer = None
        refused, self._refused_hang_ups = self._refused_hang_ups, set()
        for uniqueid in refused:
            self.end_channel(uniqueid)

    def _ask_whether_it_stays(self) -> None:
        def answered(answer: Answer) -> None:
            if answer.ok and self.is_near:
                self._stays()
                self._links.problem = NOTHING
                _log.info("asterisk_takes_calls_again", server=self._links.name)
                self._deliver([ServerTakesCalls(at=self._now(), server=self._links.name, takes=True)])

        self._stays_timer = asyncio.get_running_loop().call_later(_STAYS_AGAIN_S, self._ask_whether_it_stays)
        self._links.send(actions.ping(), answered)

    def _stays(self) -> None:
        self.is_near = False
        if self._stays_timer is not None:
            self._stays_timer.cancel()
            self._stays_timer = None
