"""One connection to Asterisk's manager interface: log-in, correlation, lists, time-outs, signs of life.

No I/O: bytes go in with `AmiConnection.receive_data`, and every method that has something to say leaves it for
`AmiConnection.data_to_send`. Time is an argument; `next_deadline` says when `handle_timer` wants to be called.
A response belongs to the action whose ActionID it carries and to nothing else: not to the oldest, not to the latest.

After any call: write `data_to_send()`, handle the events that were returned, set a timer for `next_deadline()`. After
`Closed` the transport must be closed; nothing more comes. What was not answered by then is named in `Closed` and is
never sent again by anybody here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.ami import actions
from dialer.ami.actions import Action, encode_action
from dialer.ami.events import (
    ActionTimedOut,
    AmiEvent,
    Closed,
    EventReceived,
    LoggedIn,
    LoginRefused,
    PongReceived,
    ResponseReceived,
    UnmatchedResponse,
)
from dialer.ami.framing import Decoder
from dialer.ami.messages import Message
from dialer.errors import LocalProtocolError, RemoteProtocolError

#: Asterisk 12 brought version 2 of the interface, with the events that everything here is built on.
MINIMUM_VERSION: Final = 2
#: Members of one list: a row per channel. Servers with ten thousand channels exist, with a hundred thousand not.
MAX_LIST_EVENTS: Final = 100_000
#: Actions without a response yet. At 200 calls/s and a response within 2 s (measured worst) 400 are under way.
MAX_OUTSTANDING: Final = 2_000


class Authentication(StrEnum):
    """How to log in."""

    #: Challenge and MD5 digest: the secret never crosses the network.
    MD5 = "md5"
    PLAIN = "plain"


class AmiState(StrEnum):
    """Where a connection is."""

    CONNECTING = "connecting"  # the banner has not come
    CHALLENGE = "challenge"
    LOGIN = "login"
    READY = "ready"
    CLOSING = "closing"  # Logoff is sent
    CLOSED = "closed"


class _Step(StrEnum):
    BANNER_PLAIN = "banner, plain log-in"
    BANNER_MD5 = "banner, MD5 log-in"
    CHALLENGED = "challenge came"
    ACCEPTED = "log-in accepted"
    LOGOFF = "logoff sent"
    END = "end"


#: Every step that a connection may take. END is possible from everywhere but CLOSED.
TRANSITIONS: Final[Mapping[tuple[AmiState, _Step], AmiState]] = {
    (AmiState.CONNECTING, _Step.BANNER_PLAIN): AmiState.LOGIN,
    (AmiState.CONNECTING, _Step.BANNER_MD5): AmiState.CHALLENGE,
    (AmiState.CONNECTING, _Step.END): AmiState.CLOSED,
    (AmiState.CHALLENGE, _Step.CHALLENGED): AmiState.LOGIN,
    (AmiState.CHALLENGE, _Step.END): AmiState.CLOSED,
    (AmiState.LOGIN, _Step.ACCEPTED): AmiState.READY,
    (AmiState.LOGIN, _Step.END): AmiState.CLOSED,
    (AmiState.READY, _Step.LOGOFF): AmiState.CLOSING,
    (AmiState.READY, _Step.END): AmiState.CLOSED,
    (AmiState.CLOSING, _Step.END): AmiState.CLOSED,
}


@dataclass(slots=True)
class _Pending:
    name: str
    deadline: float
    timeout_s: float
    sent_at: float
    #: Sent by the connection itself (log-in, ping, log-off), so nobody else is told of it.
    own: bool
    response: Message | None = None
    events: list[Message] = field(default_factory=list)


class AmiConnection:
    """The client's side of one connection, from the first byte to the last."""

    def __init__(
        self,
        *,
        username: str,
        secret: str,
        now: float,
        events: str = "off",
        authentication: Authentication = Authentication.MD5,
        login_timeout_s: float = 10.0,
        action_timeout_s: float = 5.0,
        ping_interval_s: float = 10.0,
        max_outstanding: int = MAX_OUTSTANDING,
    ) -> None:
        """A connection whose transport was opened at `now`.

        Args:
            username: section of Asterisk's manager.conf.
            secret: its secret.
            now: the present; any clock that does not go back, as everywhere in this class.
            events: classes of events to get, such as ``off`` or ``call,user``.
            authentication: how to prove who we are.
            login_timeout_s: seconds from here to a finished log-in.
            action_timeout_s: seconds for the response to an action, where `send` is not told otherwise; and for the
                answer to a ping, after which the peer counts as gone.
            ping_interval_s: seconds without a byte from the peer after which it is asked for a sign of life.
            max_outstanding: how many actions may be without a response at one time.
        """
        self._username = username
        self._secret = secret
        self._events = events
        self._authentication = authentication
        self._action_timeout_s = action_timeout_s
        self._ping_interval_s = ping_interval_s
        self._max_outstanding = max_outstanding
        self._decoder = Decoder(expect_banner=True)
        self._state = AmiState.CONNECTING
        self._version: tuple[int, ...] = ()
        self._out = bytearray()
        self._pending: dict[str, _Pending] = {}
        #: No pending action is due before this; it may be too early, never too late.
        self._pending_due = float("inf")
        self._login_deadline: float | None = now + login_timeout_s
        self._login_timeout_s = login_timeout_s
        self._heard_at = now
        self._open_lists = 0
        self._own = 0
        self._ping_sent_at: float | None = None

    @property
    def state(self) -> AmiState:
        """Where the connection is."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._state is AmiState.CLOSED

    @property
    def outstanding(self) -> int:
        """How many actions wait for a response."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether as many actions wait for a response as may."""
        return len(self._pending) >= self._max_outstanding

    def data_to_send(self) -> bytes:
        """What is to be written to the transport now; empty where there is nothing."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def send(self, action: Action, action_id: str, now: float, *, timeout_s: float | None = None) -> None:
        """Put an action into `data_to_send`; its answer comes as `ResponseReceived` or `ActionTimedOut`.

        Raises:
            LocalProtocolError: not ready, the id is in use, too much is outstanding, or the action cannot be encoded.
                Nothing is sent then.
        """
        if self._state is not AmiState.READY:
            raise LocalProtocolError(f"cannot send {action.name}: the connection is {self._state}")
        if self.full:
            raise LocalProtocolError(f"cannot send {action.name}: {len(self._pending)} actions have no response yet")
        self._send(action, action_id, now, self._action_timeout_s if timeout_s is None else timeout_s)

    def receive_data(self, data: bytes, now: float) -> list[AmiEvent]:
        """What the bytes that came at `now` mean. Never raises: a peer that talks nonsense makes a `Closed`."""
        if self.closed:
            return []
        error: RemoteProtocolError | None = None
        messages: list[Message] = []
        try:
            messages = self._decoder.receive_data(data)
            error = self._decoder.error
        except RemoteProtocolError as raised:
            error = raised
        events: list[AmiEvent] = []
        if self._state is AmiState.CONNECTING and self._decoder.version is not None:
            events += self.receive_banner(self._decoder.version, now)
        events += self.receive_messages(messages, now)
        if error is not None:
            events += self.receive_error(error)
        return events

    def receive_banner(self, version: tuple[int, ...], now: float) -> list[AmiEvent]:
        """What a greeting means that something else has read (`receive_data` reads it by itself)."""
        events: list[AmiEvent] = []
        if self._state is AmiState.CONNECTING:
            self._heard_at = now
            self._version = version
            self._on_banner(version, now, events)
        return events

    def receive_messages(self, messages: Iterable[Message], now: float) -> list[AmiEvent]:
        """What messages mean that something else has decoded (`receive_data` decodes by itself)."""
        events: list[AmiEvent] = []
        if self.closed:
            return events
        self._heard_at = now
        for message in messages:
            name = message.event
            if name is not None:
                self._on_event(message, events, now)
            elif message.response is not None:
                self._on_response(message, events, now)
            else:
                return events + self.receive_error(
                    RemoteProtocolError("a message that is neither an event nor a response")
                )
            if self.closed:
                break
        return events

    def receive_error(self, error: RemoteProtocolError) -> list[AmiEvent]:
        """What it means that the peer's bytes could not be read."""
        events: list[AmiEvent] = []
        if not self.closed:
            self._end(events, str(error), error)
        return events

    def receive_eof(self) -> list[AmiEvent]:
        """What it means that the peer closed the connection."""
        events: list[AmiEvent] = []
        if not self.closed:
            cut = self._decoder.buffered_bytes
            if self._state is AmiState.CLOSING:
                reason = "logged off"
            elif cut:
                reason = "the server closed the connection in the middle of a message"
            else:
                reason = "the server closed the connection"
            self._end(events, reason)
        return events

    def handle_timer(self, now: float) -> list[AmiEvent]:
        """What is due at `now`: time-outs, pings."""
        events: list[AmiEvent] = []
        if self.closed:
            return events
        if self._login_deadline is not None and now >= self._login_deadline:
            waited = f"within {self._login_timeout_s:g} s"
            if self._state is AmiState.CLOSING:
                self._end(events, f"no goodbye {waited}")
            elif self._state is AmiState.CONNECTING:
                self._end(events, f"no Asterisk greeting {waited}: is this the port of the manager interface?")
            else:
                self._end(events, f"no answer to the log-in {waited}")
            return events
        if self._state is AmiState.READY and now >= self._ping_due():
            if self._ping_sent_at is None:
                self._ping_sent_at = now
                self._send_own(actions.ping(), now, self._action_timeout_s)
            else:
                self._end(events, f"no sign of life for {now - self._heard_at:.0f} s")
                return events
        if now >= self._pending_due:
            for action_id, pending in [item for item in self._pending.items() if item[1].deadline <= now]:
                self._forget(action_id)
                if pending.own:
                    # No pong, but other bytes came since (else this was the end, above): slow, not dead.
                    self._ping_sent_at = None
                else:
                    events.append(ActionTimedOut(action_id=action_id, name=pending.name))
            self._pending_due = min((item.deadline for item in self._pending.values()), default=float("inf"))
        return events

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called; None: never."""
        if self.closed:
            return None
        deadline = self._pending_due
        if self._login_deadline is not None:
            deadline = min(deadline, self._login_deadline)
        if self._state is AmiState.READY:
            deadline = min(deadline, self._ping_due())
        return deadline if deadline != float("inf") else None

    def close(self, now: float) -> list[AmiEvent]:
        """Begin to log off; where there is no session, the connection is over at once."""
        events: list[AmiEvent] = []
        if self._state is AmiState.READY:
            self._send_own(actions.logoff(), now, self._action_timeout_s)
            self._login_timeout_s = self._action_timeout_s
            self._login_deadline = now + self._action_timeout_s
            self._step(_Step.LOGOFF)
        elif self._state not in {AmiState.CLOSING, AmiState.CLOSED}:
            self._end(events, "closed before the log-in")
        return events

    # ---- inside

    def _ping_due(self) -> float:
        if self._ping_sent_at is not None:
            # Any byte since the ping is a sign of life, so what counts is the silence.
            return max(self._ping_sent_at, self._heard_at) + self._action_timeout_s
        return self._heard_at + self._ping_interval_s

    def _step(self, step: _Step) -> None:
        self._state = TRANSITIONS[self._state, step]

    def _send_own(self, action: Action, now: float, timeout_s: float) -> None:
        self._own += 1
        self._send(action, f"ami/{self._own}", now, timeout_s, own=True)

    def _send(self, action: Action, action_id: str, now: float, timeout_s: float, *, own: bool = False) -> None:
        if action_id in self._pending:
            raise LocalProtocolError(f"an action with this ActionID has no response yet ({action.name})")
        self._out += encode_action(action, action_id)
        deadline = now + timeout_s
        self._pending[action_id] = _Pending(action.name, deadline, timeout_s, now, own)
        self._pending_due = min(self._pending_due, deadline)

    def _on_banner(self, version: tuple[int, ...], now: float, events: list[AmiEvent]) -> None:
        if version[0] < MINIMUM_VERSION:
            text = ".".join(map(str, version))
            reason = f"manager interface {text} is too old: Asterisk 12 or newer is needed"
            self._end(events, reason, RemoteProtocolError(reason))
            return
        if self._authentication is Authentication.MD5:
            self._step(_Step.BANNER_MD5)
            first = actions.challenge()
        else:
            self._step(_Step.BANNER_PLAIN)
            first = actions.login(self._username, self._secret, events=self._events)
        self._send_login(first, now, events)

    def _send_login(self, action: Action, now: float, events: list[AmiEvent]) -> None:
        try:
            self._send_own(action, now, self._login_timeout_s)
        except LocalProtocolError as error:
            # A name or secret from the settings that cannot be written: the operator's mistake, not the peer's.
            self._refuse(events, str(error))

    def _refuse(self, events: list[AmiEvent], reason: str) -> None:
        events.append(LoginRefused(reason=reason))
        self._end(events, f"log-in refused: {reason}")

    def _on_event(self, message: Message, events: list[AmiEvent], now: float) -> None:
        # Without a response that opened a list, an event with our id (OriginateResponse) is one like any other.
        if self._open_lists:
            action_id = message.action_id
            pending = self._pending.get(action_id) if action_id is not None else None
            if action_id is not None and pending is not None and pending.response is not None:
                self._on_list_event(action_id, pending, message, events, now)
                return
        events.append(EventReceived(message=message))

    def _on_list_event(
        self, action_id: str, pending: _Pending, message: Message, events: list[AmiEvent], now: float
    ) -> None:
        pending.events.append(message)
        if len(pending.events) > MAX_LIST_EVENTS:
            error = RemoteProtocolError(f"the list that answers {pending.name} has no end")
            self._end(events, str(error), error)
            return
        # A long list is alive as long as it goes on. (Ever later, so _pending_due need not be told.)
        pending.deadline = now + pending.timeout_s
        ending = message.get("EventList", "").lower()
        if ending in {"complete", "cancelled"} and pending.response is not None:
            self._forget(action_id)
            events.append(ResponseReceived(action_id=action_id, message=pending.response, events=tuple(pending.events)))

    def _forget(self, action_id: str) -> None:
        if self._pending.pop(action_id).response is not None:
            self._open_lists -= 1
        if not self._pending:
            self._pending_due = float("inf")

    def _on_response(self, message: Message, events: list[AmiEvent], now: float) -> None:
        action_id = message.action_id
        pending = self._pending.get(action_id) if action_id is not None else None
        if action_id is None or pending is None or pending.response is not None:
            events.append(UnmatchedResponse(message=message))
            return
        if message.get("EventList", "").lower() == "start":
            pending.response = message
            self._open_lists += 1
            pending.deadline = now + pending.timeout_s
            return
        self._forget(action_id)
        if pending.own:
            self._on_own_response(message, pending, events, now)
        else:
            events.append(ResponseReceived(action_id=action_id, message=message))

    def _on_own_response(self, message: Message, pending: _Pending, events: list[AmiEvent], now: float) -> None:
        success = message.response == "Success"
        match pending.name:
            case "Challenge":
                text = message.get("Challenge", "")
                if not success or not text:
                    self._refuse(events, message.get("Message", "no MD5 challenge to be had"))
                    return
                self._step(_Step.CHALLENGED)
                key = hashlib.md5((text + self._secret).encode(errors="replace"), usedforsecurity=False).hexdigest()
                self._send_login(actions.login_md5(self._username, key, events=self._events), now, events)
            case "Login":
                if not success:
                    self._refuse(events, message.get("Message", "no reason given"))
                    return
                self._login_deadline = None
                self._step(_Step.ACCEPTED)
                events.append(LoggedIn(version=self._version))
            case "Logoff":
                self._end(events, "logged off")
            case _:
                self._ping_sent_at = None
                events.append(PongReceived(round_trip_s=now - pending.sent_at))

    def _end(self, events: list[AmiEvent], reason: str, error: RemoteProtocolError | None = None) -> None:
        unanswered = tuple(action_id for action_id, pending in self._pending.items() if not pending.own)
        self._pending.clear()
        self._out.clear()
        self._login_deadline = None
        self._step(_Step.END)
        events.append(Closed(reason=reason, error=error, unanswered=unanswered))
