"""A plain AMI client for checking the lab itself: a socket, a list of what came, and the exact bytes.

It shares nothing with the dialer's own AMI code, so the two can disagree.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final

Message = dict[str, str]

#: What must come is waited for so long: longer than a busy machine needs.
PATIENCE_S: Final = 30.0


class Ami:
    """One logged-in connection. Messages are kept in `seen` in the order in which they came."""

    def __init__(self, port: int, user: str, secret: str, *, events: bool = True, host: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""
        self._counter = 0
        self.received = b""
        self.sent = b""
        self.seen: list[Message] = []
        #: time.monotonic() of each message in `seen`
        self.seen_at: list[float] = []
        self.banner = self._receive(5.0).decode()
        if not self.banner.startswith("Asterisk Call Manager") or not self.banner.endswith("\r\n"):
            raise ConnectionError(f"this is not AMI: {self.banner!r}")
        answer = self.action("Login", Username=user, Secret=secret, Events="on" if events else "off")
        if answer["Response"] != "Success":
            raise ConnectionError(answer["Message"])

    def __enter__(self) -> Ami:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, action: str, *, variables: dict[str, str] | None = None, **headers: Any) -> str:
        """Writes an action without waiting for anything; its ActionID is returned."""
        self._counter += 1
        action_id = str(headers.pop("ActionID", f"lab-{self._counter}"))
        lines = [f"Action: {action}", f"ActionID: {action_id}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Variable: {name}={value}" for name, value in (variables or {}).items()]
        data = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.sent += data
        self._socket.sendall(data)
        return action_id

    def action(self, action: str, *, variables: dict[str, str] | None = None, **headers: Any) -> Message:
        """Writes an action and returns its response."""
        action_id = self.send(action, variables=variables, **headers)
        return self.wait(lambda it: "Response" in it and it.get("ActionID") == action_id and "Event" not in it)

    def wait(self, wanted: Callable[[Message], bool], *, seconds: float = PATIENCE_S, since: int = 0) -> Message:
        """The first message from position `since` on that is wanted; TimeoutError with the last events otherwise."""
        deadline = time.monotonic() + seconds
        position = since
        while True:
            for message in self.seen[position:]:
                if wanted(message):
                    return message
            position = len(self.seen)
            left = deadline - time.monotonic()
            if left <= 0:
                tail = [f"{it.get('Event') or it.get('Response')} {it.get('Uniqueid', '')}" for it in self.seen[-12:]]
                raise TimeoutError(f"not seen within {seconds:g} s; last: {tail}")
            self._read(left)

    def event(self, name: str, *, seconds: float = PATIENCE_S, since: int = 0, **headers: str) -> Message:
        """The first event of a name whose headers have these values."""

        def wanted(message: Message) -> bool:
            return message.get("Event") == name and all(message.get(key) == value for key, value in headers.items())

        try:
            return self.wait(wanted, seconds=seconds, since=since)
        except TimeoutError as error:
            raise TimeoutError(f"{name} {headers}: {error}") from None

    def collect(self, seconds: float) -> None:
        """Reads whatever comes in this time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def events(self, name: str, **headers: str) -> list[Message]:
        """All events of a name seen so far."""
        return [it for it in self.seen if it.get("Event") == name and all(it.get(k) == v for k, v in headers.items())]

    def when(self, message: Message) -> float:
        """time.monotonic() at which a message of `seen` was read."""
        return self.seen_at[next(index for index, it in enumerate(self.seen) if it is message)]

    def _receive(self, seconds: float) -> bytes:
        self._socket.settimeout(max(seconds, 0.001))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionError("Asterisk closed the AMI connection")
        self.received += data
        return data

    def _read(self, seconds: float) -> None:
        *whole, self._pending = (self._pending + self._receive(seconds)).split(b"\r\n\r\n")
        for block in whole:
            message: Message = {}
            for line in block.decode("utf-8", "replace").split("\r\n"):
                name, _, value = line.partition(": ")
                message.setdefault(name, value)
            self.seen.append(message)
            self.seen_at.append(time.monotonic())
