"""One connection to one Asterisk server: the pure `AmiConnection` wired to a transport and the loop's timer.

What carries the bytes is a `Wire`: asyncio's own transport (`dialer.switch.native`) or pyst2's threads
(`dialer.switch.pyst2`). All else is the same for both, so both keep the same promises: an action is with the wire when
`Link.send` returns, is never sent again, and ends in exactly one answer, time-out or loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dialer.ami import (
    Action,
    ActionTimedOut,
    AmiConnection,
    AmiEvent,
    AmiState,
    Authentication,
    Closed,
    EventReceived,
    LoggedIn,
    LoginRefused,
    Message,
    PongReceived,
    ResponseReceived,
    UnmatchedResponse,
)
from dialer.errors import RemoteProtocolError, SwitchError
from dialer.settings import Ami, Asterisk

#: Connecting and log-in together; the far end's own limit for a log-in is 10 to 30 s.
LOGIN_TIMEOUT_S = 10.0
#: In what Asterisk answers to each and every action, a log-in too, once it has been told to stop.
_STOPPING = "shutting down"


class Wire(Protocol):
    """What carries bytes to the server."""

    def write(self, data: bytes) -> None:
        """Hand over bytes; never blocks."""

    def waiting_bytes(self) -> int:
        """Bytes handed over that the operating system has not taken yet."""

    def pause_reading(self) -> None:
        """Take nothing more from the network for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def close(self) -> None:
        """Close at once; `Link.on_lost` follows or has been called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of an action: a response, or None where none came."""

    message: Message | None
    events: tuple[Message, ...] = ()
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether Asterisk did, or began to do, what was asked for."""
        return self.message is not None and self.message.response in {"Success", "Follows", "Goodbye"}

    @property
    def stopping(self) -> bool:
        """Whether it was refused, and nothing done, because Asterisk is about to stop."""
        said = self.message.get("Message", "") if self.message is not None and not self.ok else ""
        return _STOPPING in said.lower()


class Link:
    """A connection, from the moment its wire is there."""

    def __init__(
        self,
        *,
        server: Asterisk,
        ami: Ami,
        events: str,
        on_message: Callable[[Message], None] | None = None,
        rest_s: float = 0.0,
    ) -> None:
        """A link that will log in as soon as a wire is attached.

        Args:
            server: whom to speak to.
            ami: time-outs and limits.
            events: classes of events to get, or ``off``.
            on_message: gets every event that belongs to no action.
            rest_s: once logged in, how long what comes after a read may wait for the next one.
        """
        self.rest_s = rest_s
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._on_message = on_message
        self._connection = AmiConnection(
            username=server.username,
            secret=server.secret,
            now=self._loop.time(),
            events=events,
            authentication=Authentication(server.auth),
            login_timeout_s=LOGIN_TIMEOUT_S,
            action_timeout_s=ami.action_timeout_s,
            ping_interval_s=ami.ping_every_s,
        )
        self._write_limit_bytes = ami.write_limit_bytes
        self._wire: Wire | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._answers: dict[str, Callable[[Answer], None]] = {}
        self._number = 0
        self._paused = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._over: asyncio.Future[str] = self._loop.create_future()
        #: Seconds of the last ping's round trip; None before the first.
        self.round_trip_s: float | None = None
        #: Responses that answered nothing: late ones, mostly.
        self.unmatched = 0
        self.timeouts = 0

    # ---- for its owner

    async def opened(self) -> None:
        """Wait for the end of the log-in.

        Raises:
            SwitchError: it came to nothing; the text says what to do about it.
        """
        await asyncio.shield(self._opened)

    async def over(self) -> str:
        """Wait for the end of the connection; returns why it ended."""
        return await asyncio.shield(self._over)

    @property
    def ready(self) -> bool:
        """Whether actions can be sent."""
        return self._wire is not None and self._connection.state is AmiState.READY

    @property
    def congested(self) -> bool:
        """Whether so much waits, to be written or to be answered, that what is sent now would wait too long."""
        return self._connection.full or (
            self._wire is not None and self._wire.waiting_bytes() > self._write_limit_bytes
        )

    def send(
        self,
        action: Action,
        action_id: str | None = None,
        answer: Callable[[Answer], None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> None:
        """Hand an action to the wire, now. `answer` is called once: response, time-out or loss.

        Raises:
            LocalProtocolError: it cannot be sent; nothing was.
        """
        if action_id is None:
            self._number += 1
            action_id = f"{action.name.lower()}/{self._number}"
        self._connection.send(action, action_id, self._loop.time(), timeout_s=timeout_s)
        if answer is not None:
            self._answers[action_id] = answer
        self._flush()

    async def ask(self, action: Action, *, timeout_s: float | None = None) -> Answer:
        """Send an action and wait for its answer; raises as `send` does."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self.send(action, None, lambda found: None if future.done() else future.set_result(found), timeout_s=timeout_s)
        return await future

    def pause_reading(self) -> None:
        """Take nothing more from the network for now."""
        self._paused = True
        if self._wire is not None:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._paused = False
        if self._wire is not None:
            self._wire.resume_reading()

    async def close(self) -> None:
        """Log off and close."""
        self._handle(self._connection.close(self._loop.time()))
        if self._wire is None:
            self._finish("closed")
        await self.over()

    def abort(self) -> None:
        """Close at once."""
        self._finish("closed")
        self._connection.receive_eof()

    # ---- for its wire

    def attach(self, wire: Wire) -> None:
        """The wire is there: begin."""
        self._wire = wire
        self._flush()

    def on_data(self, data: bytes) -> None:
        """Bytes came."""
        self._handle(self._connection.receive_data(data, self._loop.time()))

    def on_banner(self, version: tuple[int, ...]) -> None:
        """A greeting came, read by the wire."""
        self._handle(self._connection.receive_banner(version, self._loop.time()))

    def on_messages(self, messages: Iterable[Message]) -> None:
        """Messages came, decoded by the wire."""
        self._handle(self._connection.receive_messages(messages, self._loop.time()))

    def on_garbage(self, error: RemoteProtocolError) -> None:
        """Something came that the wire could not decode."""
        self._handle(self._connection.receive_error(error))

    def on_lost(self, reason: str = "") -> None:
        """The wire is closed; `reason` where it was not the peer who closed it properly."""
        self._handle(self._connection.receive_eof())
        self._finish(reason or "the server closed the connection")

    # ---- inside

    def _handle(self, events: list[AmiEvent]) -> None:
        for event in events:
            match event:
                case EventReceived(message=message):
                    if self._on_message is not None:
                        self._on_message(message)
                case ResponseReceived():
                    self._answer(event.action_id, Answer(message=event.message, events=event.events))
                case ActionTimedOut():
                    self.timeouts += 1
                    self._answer(event.action_id, Answer(message=None, problem="no response in time"))
                case PongReceived():
                    self.round_trip_s = event.round_trip_s
                case LoggedIn():
                    if not self._opened.done():
                        self._opened.set_result(None)
                case LoginRefused():
                    if not self._opened.done():
                        self._opened.set_exception(self._refusal(event.reason))
                case UnmatchedResponse():
                    self.unmatched += 1
                case Closed():
                    self._finish(event.reason)
        self._flush()

    def _answer(self, action_id: str, answer: Answer) -> None:
        then = self._answers.pop(action_id, None)
        if then is not None:
            then(answer)

    def _flush(self) -> None:
        if self._over.done():
            return
        if self._wire is not None:
            data = self._connection.data_to_send()
            if data:
                self._wire.write(data)
        deadline = self._connection.next_deadline()
        if deadline is None:
            self._disarm()
        elif deadline < self._timer_at or self._timer is None:
            # A timer that is too early does no harm, and moving it for every byte would cost more.
            self._disarm()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        now = max(self._timer_at, self._loop.time())
        self._timer, self._timer_at = None, float("inf")
        if self._paused:
            # The silence is our own doing, and no sign of the server's end.
            self._handle(self._connection.receive_messages((), now))
        self._handle(self._connection.handle_timer(now))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, float("inf")

    def _finish(self, reason: str) -> None:
        if self._over.done():
            return
        self._over.set_result(reason)
        self._disarm()
        if not self._opened.done():
            lost = SwitchError(
                f"{self._where()}: {reason}", code="server_lost", server=self._server.name, problem=reason
            )
            self._opened.set_exception(lost)
        self._opened.exception()  # seen here, whether or not somebody waits for it
        waiting, self._answers = self._answers, {}
        for then in waiting.values():
            then(Answer(message=None, problem=f"the connection was lost: {reason}"))
        if self._wire is not None:
            self._wire.close()

    def _where(self) -> str:
        return f"Asterisk server {self._server.name!r} ({self._server.host}:{self._server.port})"

    def _refusal(self, reason: str) -> SwitchError:
        user = self._server.username
        if _STOPPING in reason.lower():
            says = f"{self._where()} is about to stop and takes no calls; those that it has go on"
            return SwitchError(says, code="server_stopping", server=self._server.name)
        return SwitchError(
            f"{self._where()} refused the log-in of user {user!r}: {reason}. Compare secret and permit in section "
            f"[{user}] of its manager.conf with the settings of this server",
            retryable=False,
            code="server_log_in",
            server=self._server.name,
            user=user,
            problem=reason,
        )
