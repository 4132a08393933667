"""Connections to Redis, and its errors in words that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis
import redis
from redis import exceptions
from redis.asyncio import Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.sentinel import Sentinel as BlockingSentinel
from redis.sentinel import SentinelConnectionPool as BlockingPool

from dialer.errors import ConfigError, GateNotReady, QueueError
from dialer.queues.sentinel import is_sentinel, read_address

#: A Redis that has not answered for so long is out of reach. Longer than any pause of the gate.
SOCKET_TIMEOUT_S = 5.0

AsyncRedis = Redis


def ensure_open(writer: asyncio.StreamWriter) -> None:
    """Ask before each write: to a connection that was lost asyncio writes nothing, while uvloop raises RuntimeError.

    Raises:
        ConnectionResetError: the connection was lost.
    """
    if writer.is_closing():
        raise ConnectionResetError("the connection was closed by the server")


class _Packing(AbstractConnection):
    """Commands packed by hiredis: 0.8 µs where redis-py's own way takes 6 for the seven arguments of one contact."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """The bytes of one command."""
        # "SCRIPT LOAD" and its like are two arguments.
        return [hiredis.pack_command((*args[0].split(), *args[1:]))]

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        assert self._writer is not None, "redis-py has connected"
        ensure_open(self._writer)
        await super()._send_packed_command(command)


class _Tcp(_Packing, Connection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


class _Unix(_Packing, UnixDomainSocketConnection):
    pass


class _Master(_Packing, SentinelManagedConnection):
    pass


class _MasterByTls(_Packing, SentinelManagedSSLConnection):
    pass


class _Masters(SentinelConnectionPool):
    """Takes its Sentinels with it."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


class _BlockingMasters(BlockingPool):
    """The same, for clients that block."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:
            self.sentinel_manager.close()


_QUICK: Final[Mapping[type, type]] = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def connect(url: str, *, name: str = "cadencia", socket_timeout_s: float = SOCKET_TIMEOUT_S) -> AsyncRedis:
    """A client for `url` (redis, rediss, unix, or Sentinels); it connects when it is first used.

    Nothing is ever retried by the client itself: only the caller knows whether a request may be sent twice.

    Raises:
        ConfigError: the URL is none of Redis.
    """
    if is_sentinel(url):
        return _connect_to_master(url, name, socket_timeout_s)
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ConfigError(
            "redis.url must begin with redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://,"
            ' or be "embedded"'
        )
    try:
        client = Redis.from_url(
            url,
            protocol=2,
            client_name=name,
            socket_timeout=socket_timeout_s,
            socket_connect_timeout=min(socket_timeout_s, 3.0),
            retry=Retry(NoBackoff(), 0),
            max_connections=64,
        )
    except ValueError as error:
        raise ConfigError(f"redis.url cannot be understood: {error}") from error
    client.connection_pool.connection_class = _QUICK[client.connection_pool.connection_class]
    return client


def _connect_to_master(url: str, name: str, socket_timeout_s: float) -> AsyncRedis:
    address = read_address(url)
    limits: dict[str, Any] = {
        "protocol": 2,
        "client_name": name,
        "socket_timeout": socket_timeout_s,
        "socket_connect_timeout": min(socket_timeout_s, 3.0),
        "retry": Retry(NoBackoff(), 0),
    }
    # A Sentinel that is gone, such as the one beside a master that is gone, must not hold up the question to the next.
    own = {**address.sentinels, **limits, "socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    sentinel = Sentinel(address.hosts, sentinel_kwargs=own)  # type: ignore[no-untyped-call]  # redis-py
    options = {**address.master, **limits, "max_connections": 64}
    options.pop("ssl", None)
    kind = _MasterByTls if address.tls else _Master
    pool = _Masters(address.service, sentinel, connection_class=kind, **options)  # type: ignore[no-untyped-call]
    return Redis.from_pool(pool)


def connect_blocking(url: str, **options: Any) -> redis.Redis:
    """A blocking client for `url`, for jobs and commands; `options` are redis-py's.

    Raises:
        ConfigError: the URL of Sentinels cannot be understood.
        ValueError: another URL cannot be.
    """
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **options)
    address = read_address(url)
    own = {**address.sentinels, "socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    sentinel = BlockingSentinel(address.hosts, sentinel_kwargs=own)  # type: ignore[no-untyped-call]  # redis-py
    pool = _BlockingMasters(address.service, sentinel, **address.master, **options)  # type: ignore[no-untyped-call]
    return redis.Redis.from_pool(pool)


async def is_still_master(client: AsyncRedis, connected_to: tuple[str, int] | None) -> bool:
    """Whether a connection of `client` that was made some time ago is to the server that it would be made to now.

    Without Sentinels it always is. Connections that lie idle in the pool are closed where it is not.

    Raises:
        RedisError, OSError: no Sentinel knows a master.
    """
    pool = client.connection_pool
    if not isinstance(pool, SentinelConnectionPool):
        return True
    master = await pool.get_master_address()  # type: ignore[no-untyped-call]  # redis-py
    return connected_to is None or connected_to == tuple(master)


def as_queue_error(error: Exception) -> QueueError:
    """The same trouble, with what to do about it."""
    text = str(error)
    match error:
        case exceptions.NoScriptError():
            return GateNotReady(
                "Redis has been restarted or replaced: the record must be loaded before anybody is dialed",
                code="redis_restarted",
            )
        case exceptions.AuthenticationError():
            return QueueError(
                "Redis refused the user or password: correct redis.url", retryable=False, code="redis_sign_in"
            )
        case exceptions.NoPermissionError():
            return QueueError(
                f"Redis forbids this user a command that is needed ({text}): extend its ACL",
                retryable=False,
                code="redis_forbids",
                problem=text,
            )
        case exceptions.OutOfMemoryError():
            return QueueError(
                "Redis is out of memory: raise maxmemory (with the policy noeviction) or add memory",
                code="redis_memory",
            )
        case exceptions.ReadOnlyError():
            return QueueError("Redis is a read-only replica: point redis.url to the primary", code="redis_replica")
        case exceptions.BusyLoadingError():
            return QueueError("Redis is still loading its data: wait until it has", code="redis_loading")
        case exceptions.TimeoutError() | TimeoutError():
            return QueueError(
                "Redis did not answer in time: look at its load, its disk and the network", code="redis_slow"
            )
        case exceptions.ConnectionError() | OSError():
            return QueueError(
                f"Redis is out of reach: start it, or correct redis.url ({text})", code="redis_away", problem=text
            )
        case exceptions.ResponseError() if text.startswith("NOTREADY") or "NOTREADY" in text:
            return GateNotReady(
                "Redis does not hold the record: it must be loaded before anybody is dialed", code="redis_empty"
            )
        case exceptions.ResponseError() if text.startswith("WRONGTYPE"):
            return QueueError(f"a key below redis.prefix is of another type than it should be: {text}", retryable=False)
        case exceptions.ResponseError() if text.startswith("MISCONF"):
            return QueueError(
                f"Redis cannot write to its disk: free space or correct its dir ({text})",
                code="redis_disk",
                problem=text,
            )
        case _:
            return QueueError(f"Redis refused a request: {text}")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise errors of the client as `QueueError`."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise as_queue_error(error) from error


def raise_first(replies: list[Any]) -> None:
    """Raise the first error among `replies` as `QueueError`."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise as_queue_error(reply) from reply
