"""Both links to one Asterisk server, kept up for ever.

Actions go over a link of their own (``Events: off``), because Asterisk serves each connection with one thread: on one
that also carries events, actions were seen to queue for seconds at 200 calls/s. The other one carries events.

After every (re)connect the server is asked which channels exist, over the *events* link: there the list stands in one
order with the events, so no hang-up can come before the list that still has its channel.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from random import Random

import structlog

from dialer.ami import Action, Message, actions
from dialer.core.ids import ServerName
from dialer.core.saying import NOTHING, Saying, of_error, say
from dialer.errors import LocalProtocolError, SwitchError
from dialer.settings import Ami, Asterisk
from dialer.switch import mapping, native, pyst2
from dialer.switch.backoff import Backoff
from dialer.switch.link import Answer, Link
from dialer.switch.port import ServerStatus

_log = structlog.get_logger(__name__)

#: Classes of events that the tracker reads; manager.conf should allow no more.
EVENT_CLASSES = "call,user"
#: After a read the next one waits for up to so long. Asterisk writes each event by itself: without this a call would be
#: a dozen wake-ups, each of which finds cold caches and costs more than its event. Nobody hears 20 ms before "hello".
EVENTS_REST_S = 0.02
#: Of answers to actions only refusals mean anything, and nobody waits for those.
ACTIONS_REST_S = 0.1
#: A connection that held this long was a good one: the next failure is the first.
_GOOD_AFTER_S = 30.0
#: A list of ten thousand channels takes Asterisk a second or two.
_SNAPSHOT_TIMEOUT_S = 30.0
#: A server that does not say goodbye by then is left without one.
_LOG_OFF_S = 2.0


class Links:
    """Keeps one server connected.

    Args:
        server: where it is and how to log in.
        ami: driver, time-outs, limits.
        random: for the jitter of reconnects.
        on_channels: gets the list of channels, inside the reading of its last message: what comes after it meets
            somebody who has the list.
        on_event: gets every event after that list.
        on_over: is told of the end of every connection, and whether the server was ours by then: its channels listed.
    """

    def __init__(
        self,
        server: Asterisk,
        ami: Ami,
        *,
        random: Random,
        on_channels: Callable[[Sequence[Message]], None],
        on_event: Callable[[Message], None],
        on_over: Callable[[bool], None],
    ) -> None:
        self.name = ServerName(server.name)
        self.connected = False
        #: Why it is not, or what is wrong all the same.
        self.problem = say("not connected yet", code="server_not_yet")
        self._server = server
        self._ami = ami
        self._on_channels = on_channels
        self._on_event = on_event
        self._on_over = on_over
        self._backoff = Backoff(shortest_s=ami.reconnect_min_s, longest_s=ami.reconnect_max_s, random=random)
        self._actions: Link | None = None
        self._events: Link | None = None
        self._closing = asyncio.Event()
        self._paused = False
        self._version = ""
        self._reconnects = 0
        self._round_trip_s: float | None = None

    async def run(self) -> None:
        """Connect, and connect again whenever that is lost, until `close`."""
        loop = asyncio.get_running_loop()
        while not self._closing.is_set():
            began = loop.time()
            hopeless = False
            try:
                await self._session_until_closing()
            except SwitchError as error:
                hopeless = not error.retryable
                self.set_problem(of_error(error))
            if self._closing.is_set():
                break
            if loop.time() - began >= _GOOD_AFTER_S:
                self._backoff.reset()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._backoff.failed(hopeless=hopeless))
            self._reconnects += 1

    async def close(self) -> None:
        """End the session, log off. Calls go on in Asterisk."""
        self._closing.set()
        links = [link for link in (self._actions, self._events) if link is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOG_OFF_S):
                await asyncio.gather(*(link.close() for link in links))
        for link in links:
            link.abort()

    def flow(self, go: bool) -> None:
        """Whether events may be read now; the engine is behind where they may not."""
        self._paused = not go
        if self._events is not None:
            if go:
                self._events.resume_reading()
            else:
                self._events.pause_reading()

    def status(self) -> ServerStatus:
        """How it is doing."""
        for link in (self._actions, self._events):
            if link is not None and link.round_trip_s is not None:
                self._round_trip_s = link.round_trip_s
                break
        return ServerStatus(
            server=self.name,
            connected=self.connected,
            version=self._version if self.connected else "",
            problem=self.problem.says,
            code=self.problem.code,
            arguments=self.problem.arguments,
            reconnects=self._reconnects,
            round_trip_s=self._round_trip_s,
        )

    @property
    def writable(self) -> Link | None:
        """The link for actions, where it can be written to."""
        return self._actions if self._actions is not None and self._actions.ready else None

    def send(self, action: Action, answered: Callable[[Answer], None] | None = None) -> None:
        """Hand over an action whose effect comes as events; where it cannot be sent, a snapshot will come instead."""
        link = self.writable
        if link is None:
            return
        try:
            link.send(action, None, answered)
        except LocalProtocolError as error:
            _log.warning("action_not_sent", server=self.name, action=action.name, reason=str(error))

    async def _session_until_closing(self) -> None:
        session = asyncio.ensure_future(self._session())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({session, closing}, return_when=asyncio.FIRST_COMPLETED)
            if self.connected:
                # `close` logs off; that ends the session, or the time-out of the log-off does.
                await asyncio.wait({session})
        finally:
            session.cancel()
            closing.cancel()
            await asyncio.wait({session, closing})
        if not session.cancelled():
            session.result()

    async def _session(self) -> None:
        connect = pyst2.connect if self._ami.driver == "pyst2" else native.connect
        links: list[Link] = []
        try:
            self._events = events = Link(
                server=self._server,
                ami=self._ami,
                events=EVENT_CLASSES,
                on_message=self._heard,
                rest_s=EVENTS_REST_S,
            )
            links.append(events)
            await connect(events, self._server)
            await events.opened()
            self._actions = acts = Link(server=self._server, ami=self._ami, events="off", rest_s=ACTIONS_REST_S)
            links.append(acts)
            await connect(acts, self._server)
            await acts.opened()
            settings = await acts.ask(actions.core_settings())
            if settings.ok and settings.message is not None:
                self._version = settings.message.get("AsteriskVersion", "")
            await self._see_dialplan(acts)
            await self._take_snapshot(events)
            ended = await self._until_one_is_over(events, acts)
            if not self._closing.is_set():
                says = f"Asterisk server {self.name!r}: {ended}"
                self.set_problem(say(says, code="server_lost", server=self.name, problem=ended))
        except LocalProtocolError as error:
            # The connection went between one step and the next.
            raise SwitchError(f"Asterisk server {self.name!r}: {error}") from error
        finally:
            self._disconnected()
            for link in links:
                link.abort()
            self._events = self._actions = None

    async def _see_dialplan(self, acts: Link) -> None:
        """Asterisk lets us in half a second before it has loaded its dialplan, and until then refuses every call."""
        answer = await acts.ask(actions.show_dialplan(mapping.CONTEXT_AGENT))
        said = answer.message.get("Message", "") if answer.message is not None else ""
        if said.startswith("Did not find context"):
            raise SwitchError(
                f"Asterisk server {self.name!r} has no context {mapping.CONTEXT_AGENT}: it is still starting, or "
                "config/asterisk/extensions.conf is not installed",
                code="server_no_dialplan",
                server=self.name,
                context=mapping.CONTEXT_AGENT,
            )

    async def _take_snapshot(self, events: Link) -> None:
        found: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def take(answer: Answer) -> None:
            if answer.ok:
                rows = [row for row in answer.events if row.event == "CoreShowChannel"]
                self.connected, self.problem = True, NOTHING
                _log.info("asterisk_connected", server=self.name, version=self._version, channels=len(rows))
                self._on_channels(rows)
            if not found.done():
                found.set_result(answer)

        events.send(actions.core_show_channels(), None, take, timeout_s=_SNAPSHOT_TIMEOUT_S)
        answer = await found
        if not answer.ok:
            said = answer.problem or (answer.message.get("Message", "") if answer.message is not None else "")
            raise SwitchError(
                f"Asterisk server {self.name!r} does not list its channels: {said}. The manager.conf section "
                f"[{self._server.username}] needs write = originate,call,reporting",
                code="server_no_channels",
                server=self.name,
                user=self._server.username,
                problem=said,
            )
        if self._paused:
            events.pause_reading()

    async def _until_one_is_over(self, events: Link, acts: Link) -> str:
        waits = [asyncio.ensure_future(link.over()) for link in (events, acts)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(wait.result() for wait in waits if wait.done())
        finally:
            for wait in waits:
                wait.cancel()

    def _disconnected(self) -> None:
        was, self.connected = self.connected, False
        if was:
            _log.warning("asterisk_lost", server=self.name, reason=self.problem.says)
        self._on_over(was)

    def _heard(self, message: Message) -> None:
        # Before the list of channels has come there is nothing to compare with: it will hold what these events say.
        if self.connected:
            self._on_event(message)

    def set_problem(self, problem: Saying) -> None:
        """Something is wrong, connected or not."""
        if problem != self.problem:
            _log.warning("asterisk_problem", server=self.name, problem=problem.says)
        self.problem = problem
