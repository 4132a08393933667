"""The native driver: asyncio's transport straight into the sans-I/O core. The default."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import Any, Final, Protocol, cast

from dialer.errors import SwitchError
from dialer.settings import Asterisk
from dialer.switch.link import LOGIN_TIMEOUT_S, Link

#: So much at once is a flood, which comes in large pieces anyhow: read on.
_FLOOD_BYTES = 32_768
#: SO_LINGER: on, for no time at all.
_NOT_AT_ALL: Final = struct.pack("ii", 1, 0)


class _Socket(Protocol):
    def setsockopt(self, level: int, name: int, value: bytes, /) -> None: ...


def drop_unsent(sock: _Socket) -> None:
    """Have the operating system throw away, when this is closed, what it has not sent by then.

    Else it goes on trying for a quarter of an hour, and an originate that was given up when the network broke would
    still ring a phone once the network is whole again.
    """
    with contextlib.suppress(OSError):  # the peer was faster: there is nobody who could be sent anything
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOT_AT_ALL)


class _Protocol(asyncio.Protocol):
    def __init__(self, link: Link) -> None:
        self._link = link
        self._wire: _TransportWire | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's transports are made of asyncio's classes: uvloop's only do what those do.
        self._wire = _TransportWire(cast("asyncio.Transport", transport))
        self._link.attach(self._wire)

    def data_received(self, data: bytes) -> None:
        self._link.on_data(data)
        if self._wire is not None and self._link.rest_s and self._link.ready and len(data) < _FLOOD_BYTES:
            self._wire.rest(self._link.rest_s)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._wire is not None:
            self._wire.wake()
        self._link.on_lost(f"the connection broke: {exc}" if exc is not None else "")


class _TransportWire:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._paused = False

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def waiting_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._paused = True
        self._stop()

    def resume_reading(self) -> None:
        self._paused = False
        self._go()

    def close(self) -> None:
        self.wake()
        # One that is closing has no socket any more that is certain to be its own.
        if not self._transport.is_closing():
            drop_unsent(self._transport.get_extra_info("socket"))
        self._transport.abort()

    def rest(self, seconds: float) -> None:
        """Leave what comes next to the operating system, until the loop's time is a multiple of `seconds`.

        So all connections read together: one wake-up for all of them.
        """
        if self._resting is None and self._transport.is_reading():
            self._transport.pause_reading()
            now = self._loop.time()
            self._resting = self._loop.call_at(now - now % seconds + seconds, self._rested)

    def wake(self) -> None:
        """Rest no more: the connection is over."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _rested(self) -> None:
        self._resting = None
        self._go()

    def _stop(self) -> None:
        if self._transport.is_reading():
            self._transport.pause_reading()

    def _go(self) -> None:
        ready = self._resting is None and not self._paused and not self._transport.is_closing()
        if ready and not self._transport.is_reading():
            self._transport.resume_reading()


async def connect(link: Link, server: Asterisk) -> None:
    """Open a connection and attach it to `link`.

    Raises:
        SwitchError: no connection; the text says to where, and why not.
    """
    loop = asyncio.get_running_loop()
    context = tls_context(server)
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            await loop.create_connection(
                lambda: _Protocol(link),
                server.host,
                server.port,
                ssl=context,
                server_hostname=(server.tls.server_name or server.host) if context is not None else None,
            )
    except (OSError, TimeoutError) as error:
        raise unreachable(server, error) from error


def tls_context(server: Asterisk) -> ssl.SSLContext | None:
    """How to speak TLS with a server, certificates checked; None where it is not wanted.

    Raises:
        SwitchError: the file of authorities cannot be used.
    """
    if not server.tls.enabled:
        return None
    try:
        return ssl.create_default_context(cafile=server.tls.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SwitchError(
            f"Asterisk server {server.name!r}: tls.ca_file {server.tls.ca_file!r} cannot be used: {error}",
            retryable=False,
        ) from error


def unreachable(server: Asterisk, error: Exception) -> SwitchError:
    """The error for a connection that could not be made."""
    where = f"Asterisk server {server.name!r} ({server.host}:{server.port})"
    named: dict[str, Any] = {"server": server.name, "address": f"{server.host}:{server.port}"}
    if isinstance(error, ssl.SSLCertVerificationError):
        return SwitchError(
            f"{where}: its certificate is not accepted: {error.verify_message}",
            retryable=False,
            code="server_certificate",
            problem=error.verify_message,
            **named,
        )
    if isinstance(error, ssl.SSLError):
        problem = str(error.reason or error)
        return SwitchError(
            f"{where}: no TLS there ({problem}): is this tlsbindaddr of manager.conf?",
            code="server_no_tls",
            problem=problem,
            **named,
        )
    if isinstance(error, TimeoutError):
        return SwitchError(
            f"{where} cannot be reached: no answer within {LOGIN_TIMEOUT_S:g} s",
            code="server_silent",
            within_s=LOGIN_TIMEOUT_S,
            **named,
        )
    if isinstance(error, ConnectionRefusedError):
        return SwitchError(
            f"{where} cannot be reached: nothing listens there. Is Asterisk up, with enabled = yes and this port in "
            "manager.conf?",
            code="server_refused",
            **named,
        )
    return SwitchError(f"{where} cannot be reached: {error}", code="server_unreachable", problem=str(error), **named)
