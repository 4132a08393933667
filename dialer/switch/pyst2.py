"""The pyst2 driver (``ami.driver = "pyst2"``): the `asterisk.manager` of pyst2 as the wire, made fit for a dialer.

pyst2 opens the connection, reads and parses in its threads, and dispatches; what it does wrongly is left out or mended:

* It reads one byte per system call; here its file is buffered, with a limit to the length of a line.
* It matches responses first in, first out; here nothing of that is used: every message is passed on, and the same
  `AmiConnection` as everywhere matches by ActionID, keeps time-outs and sends log-in and pings.
* It writes values as they come, line ends and all; here all that is written comes from `dialer.ami.actions.encode`.
* It blocks; here a thread writes, and messages cross into the event loop in batches.
* One ``ChanVariable`` header ends its reading thread (``dict.has_key``); here those headers never reach its parser.

See ``docs/adr/0003-native-ami-driver.md`` for why this is not the default.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from dialer.ami.framing import MAX_MESSAGE_BYTES
from dialer.ami.messages import Message
from dialer.errors import RemoteProtocolError, SwitchError
from dialer.settings import Asterisk
from dialer.switch.link import LOGIN_TIMEOUT_S, Link
from dialer.switch.native import drop_unsent, unreachable

with warnings.catch_warnings():
    # Its invalid escape sequences warn where it is compiled for the first time.
    warnings.simplefilter("ignore")
    from asterisk.manager import Event, Manager, ManagerMsg

#: No header that Asterisk writes comes near; without a limit, a peer that sends no line end would fill the memory.
MAX_LINE_BYTES: Final = 65_536
#: Messages read and not yet taken by the event loop, above which reading waits.
MAX_WAITING: Final = 10_000
_READ_BUFFER_BYTES: Final = 262_144


class _Garbage(OSError):
    """What came is no AMI. An OSError, because that is what pyst2's reading loop ends on."""


class _Lines:
    """What pyst2 believes to be its socket's file: lines out of a buffer, bytes counted for the limits."""

    def __init__(self, sock: socket.socket, gate: threading.Event) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=_READ_BUFFER_BYTES)
        self._gate = gate
        self._first = True
        self._message_bytes = 0
        self.error: str = ""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._gate.wait()
        line = self._file.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        if self._first:
            self._first = False
            if not line.startswith(b"Asterisk Call Manager/"):
                self._fail(f"not an Asterisk manager interface: it begins with {line[:40]!r}")
        if not line.endswith(b"\n") and len(line) >= MAX_LINE_BYTES:
            self._fail(f"a line is longer than {MAX_LINE_BYTES:,} bytes")
        self._message_bytes = 0 if line == b"\r\n" else self._message_bytes + len(line)
        if self._message_bytes > MAX_MESSAGE_BYTES:
            self._fail(f"a message is longer than {MAX_MESSAGE_BYTES:,} bytes")
        return line

    def _fail(self, reason: str) -> None:
        self.error = reason
        raise _Garbage(reason)

    def close(self) -> None:
        self._file.close()
        self._sock.close()


class _Flag(threading.Event):
    """With the name that pyst2 uses; the inherited one of that name warns at each call."""

    isSet = threading.Event.is_set  # noqa: N815


class _BridgedManager(Manager):  # type: ignore[misc]  # pyst2 has no types
    """pyst2's manager on a socket that we opened, telling a `_Pyst2Wire` what it reads."""

    def __init__(self, wire: _Pyst2Wire, lines: _Lines) -> None:
        with warnings.catch_warnings():
            # Thread.setDaemon is deprecated since Python 3.10, and pyst2 is not kept up any more.
            warnings.simplefilter("ignore", DeprecationWarning)
            super().__init__()
        self._wire = wire
        self._sock = lines
        self._connected = _Flag()
        self._running = _Flag()
        self._message_queue: queue.Queue[list[str] | None] = queue.Queue(maxsize=MAX_WAITING)

    def start(self) -> None:
        """Begin to read. (`Manager.connect` would open a socket of its own, without TLS and without a buffer.)"""
        self._connected.set()
        self._running.set()
        self.message_thread.start()

    def message_loop(self) -> None:
        """As pyst2's, but each message goes to the wire as it is, responses and events in one order."""
        reader = threading.Thread(target=self._read_quietly, daemon=True, name="pyst2-read")
        reader.start()
        try:
            while lines := self._message_queue.get():
                if self._sock.error:
                    continue  # only so that the reading thread is never stuck on a full queue
                try:
                    self._wire.came(_message_of(lines))
                except RemoteProtocolError as error:
                    self._sock.error = str(error)
                    self._wire.break_off()
        finally:
            self._running.clear()
            self._connected.clear()
            self._wire.ended(self._sock.error)

    def _read_quietly(self) -> None:
        try:
            with contextlib.suppress(ValueError, OSError):  # read from a file that was closed meanwhile
                self._receive_data()
        finally:
            self._sock.close()
            self._message_queue.put(None)

    def close(self) -> None:
        """Nothing: the wire closes. (pyst2 would log off and wait for the answer, in `__del__` too.)"""


def _message_of(lines: list[str]) -> Message | str:
    """What pyst2's parser makes of the lines of one message; the greeting as its version."""
    if lines[0] == "Response: Generated Header\r\n":
        return lines[1].strip().rpartition("/")[2]
    # Repeated headers overwrite each other in pyst2's dictionary, and ChanVariable ends its thread.
    kept = [line for line in lines if "ChanVariable" not in line.partition(":")[0]]
    parsed = ManagerMsg(kept)
    if not ({"Event", "Response"} & {line.partition(":")[0] for line in kept[:1]}):
        raise RemoteProtocolError("a message that is neither an event nor a response")
    if parsed.has_header("Event") and kept[0].startswith("Event"):
        parsed = Event(parsed)
    pairs = list(parsed.headers.items())
    if parsed.data:
        pairs += (("Output", line) for line in parsed.data.replace("--END COMMAND--", "").splitlines() if line)
    return Message(pairs)


class _Pyst2Wire:
    def __init__(self, link: Link, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._sock = sock
        self._reading = threading.Event()
        self._reading.set()
        self._lines = _Lines(sock, self._reading)
        self._manager = _BridgedManager(self, self._lines)
        self._lock = threading.Condition()
        self._came: deque[Message | str] = deque()
        self._scheduled = False
        self._to_write: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, daemon=True, name="pyst2-write")

    def start(self) -> None:
        self._writer.start()
        self._manager.start()

    # ---- Wire, in the event loop

    def write(self, data: bytes) -> None:
        with self._lock:
            self._waiting_bytes += len(data)
        self._to_write.put(data)

    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    def pause_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    def close(self) -> None:
        if self._closed:
            return
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._to_write.put(None)
        self._reading.set()
        self.break_off()

    # ---- in pyst2's threads

    def break_off(self) -> None:
        # Wakes the reading thread, which closes the file. (Closing it here would wait for the thread's lock on it.)
        drop_unsent(self._sock)
        with contextlib.suppress(OSError):  # the peer may have been faster
            self._sock.shutdown(socket.SHUT_RDWR)

    def came(self, message: Message | str) -> None:
        with self._lock:
            while len(self._came) >= MAX_WAITING and not self._closed:
                self._lock.wait()
            self._came.append(message)
            if self._scheduled or self._closed:
                return
            self._scheduled = True
        self._call(self._deliver)

    def ended(self, reason: str) -> None:
        self._to_write.put(None)
        self._call(self._end, reason)

    def _write_all(self) -> None:
        while (data := self._to_write.get()) is not None:
            try:
                self._sock.sendall(data)
            except OSError:
                return  # the reading thread sees the end and tells
            finally:
                with self._lock:
                    self._waiting_bytes -= len(data)

    def _call(self, function: Any, *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(function, *arguments)

    # ---- back in the event loop

    def _deliver(self) -> None:
        with self._lock:
            came, self._came = self._came, deque()
            self._scheduled = False
            self._lock.notify_all()
        messages: list[Message] = []
        for item in came:
            if isinstance(item, str):
                self._greeted(item)
            else:
                messages.append(item)
        self._link.on_messages(messages)

    def _greeted(self, version: str) -> None:
        parts = version.split(".")
        if all(part.isascii() and part.isdigit() for part in parts):
            self._link.on_banner(tuple(int(part) for part in parts))
        else:
            self._link.on_garbage(RemoteProtocolError(f"not an Asterisk manager interface: version {version[:40]!r}"))

    def _end(self, reason: str) -> None:
        self._deliver()
        if reason:
            self._link.on_garbage(RemoteProtocolError(reason))
        self._link.on_lost()
        self.close()


async def connect(link: Link, server: Asterisk) -> None:
    """Open a connection through pyst2 and attach it to `link`.

    Raises:
        SwitchError: no connection; the text says to where, and why not.
    """
    if server.tls.enabled:
        # Two threads on one TLS connection (pyst2 reads in one, we write in another) are not safe in Python.
        raise SwitchError(
            f'Asterisk server {server.name!r}: the pyst2 driver speaks no TLS; set ami.driver = "native"',
            retryable=False,
        )
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            sock = await _open(server)
    except (OSError, TimeoutError) as error:
        raise unreachable(server, error) from error
    wire = _Pyst2Wire(link, sock)
    link.attach(wire)
    wire.start()


async def _open(server: Asterisk) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    error: OSError = OSError(f"no address for {server.host}")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(True)
        except OSError as failed:
            sock.close()
            error = failed
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error
