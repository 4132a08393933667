"""One session of the manager interface, as Asterisk holds it: bytes in, text out; no I/O.

Right and wrong are answered in Asterisk's words. What the session has to say piles up in `take_output`; `close_at`
says when the connection is to be closed by the exchange.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from dialer.ami import Decoder, Message
from dialer.errors import RemoteProtocolError
from dialer.simulation.channels import EventClass
from dialer.simulation.commands import ActionFailed, Commands
from dialer.simulation.switchboard import Switchboard
from dialer.simulation.users import Filter, FilterError, User, parse_filter

BANNER: Final = "Asterisk Call Manager/11.0.0\r\n"
#: A session that is refused is closed this much later.
REFUSAL_DELAY_S: Final = 1.0
#: Actions longer than this are no actions.
_MAX_ACTION_BYTES: Final = 128 * 1025


class Host(Protocol):
    """What a session needs of the exchange."""

    @property
    def users(self) -> Mapping[str, User]:
        """Who may log in."""

    @property
    def switchboard(self) -> Switchboard:
        """The calls."""

    @property
    def commands(self) -> Commands:
        """The actions beyond those of the session itself."""

    def clock(self) -> float:
        """Unix seconds."""

    def uptime_s(self) -> int:
        """Seconds since the start."""

    def challenge(self) -> str:
        """A new challenge for MD5."""

    def subscriptions_changed(self) -> None:
        """Some session now wants other events."""


class ManagerSession:
    """What one client said and is to hear."""

    def __init__(self, host: Host, *, opened_at: float, auth_timeout_s: float = 10.0) -> None:
        self._host = host
        self._decoder = Decoder(expect_banner=False, max_message_bytes=_MAX_ACTION_BYTES)
        self._output: list[str] = [BANNER]
        self._challenge = ""
        self.user: User | None = None
        self.mask = EventClass.all()
        self._includes: list[Filter] = []
        self._excludes: list[Filter] = []
        #: Whether events of a name are taken, as far as class and user decide.
        self._taken: dict[str, bool] = {}
        #: When the exchange must close the connection; None: not.
        self.close_at: float | None = opened_at + auth_timeout_s
        #: Nothing more is read.
        self.finished = False
        self._own: Mapping[str, Callable[[Message, float], None]] = {
            "login": self._login,
            "challenge": self._give_challenge,
            "logoff": self._logoff,
            "ping": self._ping,
            "events": self._events,
            "filter": self._filter,
        }

    # ---- output

    def take_output(self) -> str:
        """All that is to be written, and forgets it."""
        if not self._output:
            return ""
        text = "".join(self._output)
        self._output.clear()
        return text

    @property
    def has_output(self) -> bool:
        """Whether something is to be written."""
        return bool(self._output)

    def write(self, text: str) -> None:
        """Say `text`, a whole message."""
        self._output.append(text)

    @property
    def readable(self) -> EventClass:
        """The classes of events that this session gets."""
        return EventClass(0) if self.user is None else self.mask & self.user.read

    @property
    def excluded_names(self) -> frozenset[str]:
        """Names of events that this session never gets."""
        return frozenset() if self.user is None else self.user.excludes

    def takes(self, kind: EventClass, name: str, text: str) -> bool:
        """Whether this session gets an event. All events of one name are of one class."""
        taken = self._taken.get(name)
        if taken is None:
            taken = bool(kind & self.readable) and name not in self.excluded_names
            self._taken[name] = taken
        if not taken or self.finished:
            return False
        if self._includes and not any(item.matches(name, text) for item in self._includes):
            return False
        return not any(item.matches(name, text) for item in self._excludes)

    def _subscribe(self, mask: EventClass) -> None:
        self.mask = mask
        self._taken.clear()
        self._host.subscriptions_changed()

    # ---- input

    def receive(self, data: bytes, now: float) -> None:
        """Take what the client sent; answers are in `take_output`."""
        if self.finished:
            return
        try:
            messages = self._decoder.receive_data(data)
        except RemoteProtocolError:
            messages = []
        for message in messages:
            if self.finished:
                break
            self._act(message, now)
        if self._decoder.error is not None and not self.finished:
            self._finish(now)

    def _act(self, message: Message, now: float) -> None:
        name = (message.get("Action") or "").strip()
        if not name:
            self._error(message, "Missing action in request")
            return
        own = self._own.get(name.lower())
        if self.user is None and name.lower() not in {"login", "challenge", "logoff"}:
            self._error(message, "Permission denied")
            return
        if own is not None:
            own(message, now)
            return
        command = self._host.commands.find(name)
        if command is None:
            self._error(
                message,
                f"Invalid/unknown command: {name}. Use Action: ListCommands to show available commands.",
            )
            return
        user = self.user
        if user is None or (command.rights and not command.rights & user.write):
            self._error(message, "Permission denied")
            return
        try:
            command.run(message, now, Reply(self, message))
        except ActionFailed as failure:
            self._error(message, str(failure))

    def _login(self, message: Message, now: float) -> None:
        user = self._host.users.get(message.get("Username", ""))
        if user is None or not self._proves(user, message):
            self._error(message, "Authentication failed")
            self._finish(now, REFUSAL_DELAY_S)
            return
        self.user = user
        for criteria, text in user.filters:
            made = parse_filter(text, criteria)
            (self._excludes if made.exclude else self._includes).append(made)
        self.close_at = None
        mask = EventClass.parse(message.get("Events", ""))
        self._subscribe(mask if mask is not None else self.mask)
        Reply(self, message).success("Authentication accepted")
        if EventClass.SYSTEM & self.readable:
            seconds = self._host.uptime_s()
            self.write(
                f"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: {seconds}\r\nLastReload: {seconds}\r\n"
                "Status: Fully Booted\r\n\r\n"
            )

    def _proves(self, user: User, message: Message) -> bool:
        if (message.get("AuthType") or "").upper() == "MD5":
            if not self._challenge:
                return False
            digest = hashlib.md5((self._challenge + user.secret).encode(), usedforsecurity=False).hexdigest()
            return hmac.compare_digest(digest.encode(), message.get("Key", "").encode())
        return hmac.compare_digest(user.secret.encode(), message.get("Secret", "").encode())

    def _give_challenge(self, message: Message, _now: float) -> None:
        if (message.get("AuthType") or "").upper() != "MD5":
            self._error(message, "Must specify AuthType")
            return
        self._challenge = self._host.challenge()
        Reply(self, message).headers(("Challenge", self._challenge))

    def _logoff(self, message: Message, now: float) -> None:
        self.write(f"Response: Goodbye\r\n{id_line(message)}Message: Thanks for all the fish.\r\n\r\n")
        self._finish(now)

    def _ping(self, message: Message, _now: float) -> None:
        Reply(self, message).headers(("Ping", "Pong"), ("Timestamp", f"{self._host.clock():.6f}"))

    def _events(self, message: Message, _now: float) -> None:
        mask = EventClass.parse(message.get("EventMask", ""))
        if mask is None:
            self._error(message, "Invalid event mask")
            return
        self._subscribe(mask)
        Reply(self, message).headers(("Events", "On" if mask else "Off"))

    def _filter(self, message: Message, _now: float) -> None:
        if self.user is None or not self.user.write & EventClass.SYSTEM:
            self._error(message, "Permission denied")
            return
        if message.get("Operation", "").lower() != "add":
            self._error(message, "Unknown operation")
            return
        try:
            made = parse_filter(message.get("Filter", ""), message.get("MatchCriteria", ""))
        except FilterError as error:
            self._error(message, str(error))
            return
        (self._excludes if made.exclude else self._includes).append(made)
        Reply(self, message).success("Filter added successfully")

    def _error(self, message: Message, text: str) -> None:
        self.write(f"Response: Error\r\n{id_line(message)}Message: {text}\r\n\r\n")

    def _finish(self, now: float, delay_s: float = 0.0) -> None:
        self.finished = True
        self.close_at = now + delay_s
        self._host.subscriptions_changed()


class Reply:
    """The answer to one action."""

    def __init__(self, session: ManagerSession, message: Message) -> None:
        self._session = session
        self._id = id_line(message)

    def success(self, text: str) -> None:
        """It was done."""
        self._session.write(f"Response: Success\r\n{self._id}Message: {text}\r\n\r\n")

    def error(self, text: str) -> None:
        """It was not done."""
        self._session.write(f"Response: Error\r\n{self._id}Message: {text}\r\n\r\n")

    def headers(self, *headers: tuple[str, str], response: str = "Success") -> None:
        """It was done, and this came of it."""
        body = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._session.write(f"Response: {response}\r\n{self._id}{body}\r\n")

    def listing(self, text: str, event: str, rows: list[str], complete: str) -> None:
        """A list: `rows` are the headers of each item, with line ends."""
        write = self._session.write
        write(f"Response: Success\r\n{self._id}EventList: start\r\nMessage: {text}\r\n\r\n")
        for row in rows:
            write(f"Event: {event}\r\n{self._id}{row}\r\n")
        write(f"Event: {complete}\r\n{self._id}EventList: Complete\r\nListItems: {len(rows)}\r\n\r\n")


def id_line(message: Message) -> str:
    """The ActionID of `message` as a header line; empty where it has none."""
    action_id = (message.action_id or "").partition("\n")[0]
    return f"ActionID: {action_id}\r\n" if action_id else ""
