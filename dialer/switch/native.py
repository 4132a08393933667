"""The native driver: asyncio's transport straight into the sans-I/O core. The default."""

from __future__ import annotations

import asyncio
import ssl

from dialer.errors import SwitchError
from dialer.settings import Asterisk
from dialer.switch.link import LOGIN_TIMEOUT_S, Link


class _Protocol(asyncio.Protocol):
    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._link.attach(_TransportWire(transport))

    def data_received(self, data: bytes) -> None:
        self._link.on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.on_lost(f"the connection broke: {exc}" if exc is not None else "")


class _TransportWire:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def waiting_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        if self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self) -> None:
        self._transport.abort()


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
    if isinstance(error, ssl.SSLCertVerificationError):
        return SwitchError(f"{where}: its certificate is not accepted: {error.verify_message}", retryable=False)
    if isinstance(error, ssl.SSLError):
        return SwitchError(f"{where}: no TLS there ({error.reason or error}): is this tlsbindaddr of manager.conf?")
    if isinstance(error, TimeoutError):
        return SwitchError(f"{where} cannot be reached: no answer within {LOGIN_TIMEOUT_S:g} s")
    if isinstance(error, ConnectionRefusedError):
        return SwitchError(
            f"{where} cannot be reached: nothing listens there. Is Asterisk up, with enabled = yes and this port in "
            "manager.conf?"
        )
    return SwitchError(f"{where} cannot be reached: {error}")
