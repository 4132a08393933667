"""The gate's own connection: reserve and hold back every other client's writes, in one round trip (docs/adr/0004).

``MULTI; EVALSHA gate; CLIENT PAUSE ms WRITE; EXEC; WATCH turn; GET turn`` reserves and pauses in one step.
``MULTI; CLIENT UNPAUSE; EXEC`` ends the pause, but only if `turn` is as it was: a pause which has run out meanwhile and
been followed by that of another node is not ours to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from dialer.queues.connection import SOCKET_TIMEOUT_S, AsyncRedis, as_queue_error, ensure_open

Command = tuple[Any, ...]

_NOT_YET: Final = object()
_READ_AT_ONCE: Final = 65_536

_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"
_UNWATCH: Final = b"*1\r\n$7\r\nUNWATCH\r\n"
_UNPAUSE: Final = b"*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nCLIENT\r\n$7\r\nUNPAUSE\r\n*1\r\n$4\r\nEXEC\r\n"


class PausingConnection:
    """One connection that nobody else uses; not for two tasks at once."""

    def __init__(self, client: AsyncRedis, turn_key: str) -> None:
        self._client = client
        self._watch = hiredis.pack_command(("WATCH", turn_key))  # type: ignore[arg-type]  # its stubs know one argument
        self._read_turn = hiredis.pack_command(("GET", turn_key))  # type: ignore[arg-type]
        self._connection: AbstractConnection | None = None
        self._holds = False
        self._unread = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._replies: hiredis.Reader

    @property
    def connected_to(self) -> tuple[str, int] | None:
        """Host and port of the server; None where there is no connection, or it is a unix socket's."""
        host, port = getattr(self._connection, "host", None), getattr(self._connection, "port", None)
        return None if host is None or port is None else (host, port)

    async def run(self, script: str, args: Sequence[Any]) -> Any:
        """Call a script without holding anything back.

        Raises:
            QueueError: out of reach, or the script is not there.
        """
        (reply,) = await self._send([("EVALSHA", script, 0, *args)])
        if isinstance(reply, Exception):
            await self._leave_replica(reply)
            raise as_queue_error(reply) from reply
        return reply

    async def run_and_pause(self, script: str, args: Sequence[Any], pause_ms: int) -> Any:
        """Call a script whose second value is `turn`, and hold back writes from then on; `unpause` must follow.

        Raises:
            QueueError: as `run`; nothing is held back.
        """
        replies = await self._send(
            [
                _MULTI,
                ("EVALSHA", script, 0, *args),
                ("CLIENT", "PAUSE", pause_ms, "WRITE"),
                _EXEC,
                self._watch,
                self._read_turn,
            ]
        )
        for reply in (*replies[:3], replies[4], replies[5]):
            if isinstance(reply, Exception):
                # Refused when queued, so nothing has been executed; or no WATCH, then the pause ends by itself.
                await self.close()
                raise as_queue_error(reply) from reply
        if isinstance(replies[3], Exception):
            await self.close()
            raise as_queue_error(replies[3]) from replies[3]
        answer, paused = replies[3]
        self._holds = not isinstance(paused, Exception)
        if isinstance(answer, Exception):
            await self.unpause()
            await self._leave_replica(answer)
            raise as_queue_error(answer) from answer
        if not self._holds:
            await self.close()
            raise as_queue_error(paused) from paused
        if int(replies[5]) != int(answer[1]):
            # Ours has run out before this answer came, and somebody else holds one: leave it alone. What is watched for
            # the end of the pause must not make the next reservation fail; the answer is read before that one's.
            self._holds = False
            if self._writer.is_closing():
                await self.close()
            else:
                self._writer.write(_UNWATCH)
                self._unread += 1
        return answer

    async def run_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one exchange; the errors of single ones are among the answers, each in its place.

        Raises:
            RedisError, OSError: out of reach; any of them may have been run.
        """
        replies = await self._send(commands)
        for reply in replies:
            await self._leave_replica(reply)
        return replies

    async def unpause(self) -> None:
        """Let writes go on, unless our pause is over already. Never raises: a pause ends by itself."""
        if not self._holds:
            return
        self._holds = False
        if self._connection is None:
            return
        try:
            # The answers are read before those of the next request: nobody waits for them here.
            ensure_open(self._writer)
            self._writer.write(_UNPAUSE)
            self._unread += 3
            await self._writer.drain()
        except (exceptions.RedisError, OSError):
            await self.close()
        except BaseException:
            await self.close()
            raise

    async def _leave_replica(self, reply: object) -> None:
        """Another server has become the master: whoever connects anew is led there."""
        if isinstance(reply, exceptions.ReadOnlyError):
            await self.close()

    async def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._holds = False
        self._unread = 0
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._client.connection_pool.release(connection)

    async def _send(self, commands: Sequence[Command] | Sequence[Command | bytes]) -> list[Any]:
        done = False
        try:
            if self._connection is None:
                await self._open()
            replies: list[Any] = []
            wanted = self._unread + len(commands)
            # One time limit for a whole exchange is much cheaper than one for each of its answers.
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                ensure_open(self._writer)
                self._writer.write(b"".join([c if isinstance(c, bytes) else hiredis.pack_command(c) for c in commands]))
                await self._writer.drain()
                while True:
                    while (reply := self._replies.gets()) is not _NOT_YET:
                        replies.append(reply)
                    if len(replies) >= wanted:
                        break
                    received = await self._reader.read(_READ_AT_ONCE)
                    if not received:
                        raise exceptions.ConnectionError("the connection was closed by the server")
                    self._replies.feed(received)
            unread, self._unread = self._unread, 0
            done = True
            return replies[unread:]
        finally:
            if not done:
                # Answers may still be on their way: nobody must read them as those of another request.
                await self.close()

    async def _open(self) -> None:
        # The pool connects and signs in; from then on all is written and read here, many answers at once:
        # redis-py takes longer for each of the six of a reservation than the server for all.
        connection: Any = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
        self._connection = connection
        connection.socket_timeout = None
        self._reader, self._writer = connection._reader, connection._writer
        self._replies = hiredis.Reader(
            protocolError=exceptions.InvalidResponse,
            replyError=connection._parser.parse_error,
            notEnoughData=_NOT_YET,
        )
