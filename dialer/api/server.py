"""The application on a socket: uvicorn, started and stopped by whoever runs the node."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import uvicorn
from litestar.types import ASGIApp

from dialer.errors import ConfigError

_SHUTDOWN_GRACE_S: Final = 3
_KEEP_ALIVE_S: Final = 30


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (signals are the runtime's), and with a word when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers: Final = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """One HTTP server. `run` in a task group; `stop` ends it, open event streams included, within some seconds."""

    def __init__(self, app: ASGIApp, host: str, port: int, certificate_file: str = "", key_file: str = "") -> None:
        """`certificate_file` and `key_file` (PEM): HTTPS and nothing else; without them HTTP.

        Raises:
            ConfigError: they cannot be read, or do not belong together.
        """
        self._scheme: Final = "https" if certificate_file or key_file else "http"
        self._host: Final = host
        self._port: Final = port
        self._socket: socket.socket | None = None
        self._server: Final = _Server(
            uvicorn.Config(
                app,
                lifespan="on",
                log_config=None,
                # A line for each request would put contact ids and agents into a log.
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_SHUTDOWN_GRACE_S,
                ssl_certfile=certificate_file or None,
                ssl_keyfile=key_file or None,
            )
        )
        if self._scheme == "https":
            _check(certificate_file, key_file)

    def bind(self) -> str:
        """Take the port, and tell the URL; port 0 takes one that is free.

        Raises:
            ConfigError: the port or the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # By name: asyncio sends small writes at once (TCP_NODELAY) only on sockets that say they are TCP. An answer is
        # two writes, an event is one of many; each would wait up to 40 ms for the acknowledgement of the one before.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self._port))
        except OSError as error:
            sock.close()
            raise ConfigError(
                f"the API cannot listen on {self._host} port {self._port}: {error.strerror}; "
                "change api.host or api.port"
            ) from error
        sock.set_inheritable(False)
        self._socket = sock
        host = f"[{self._host}]" if family == socket.AF_INET6 else self._host
        return f"{self._scheme}://{host}:{sock.getsockname()[1]}"

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        await self._server.serve(sockets=[self._socket])

    async def wait_started(self) -> None:
        """Return when requests are answered."""
        await self._server.answers.wait()

    def stop(self) -> None:
        """Take no more requests, give those that run a moment, and return from `run`."""
        self._server.should_exit = True


def _check(certificate_file: str, key_file: str) -> None:
    if not certificate_file or not key_file:
        raise ConfigError("api: HTTPS needs both tls_certificate_file and tls_key_file")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        raise ConfigError(
            f"api: {certificate_file} and {key_file} are not a certificate and its key, both PEM and the key without "
            f"a password: {error.reason or error}"
        ) from error
    except OSError as error:
        raise ConfigError(f"api: {certificate_file} or {key_file} cannot be read: {error.strerror}") from error


def _no_password() -> str:
    """OpenSSL would ask the terminal."""
    return ""
