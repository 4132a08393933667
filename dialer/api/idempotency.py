"""The header ``Idempotency-Key``: a write that is sent again is not carried out again, and gets the same answer.

Kept for 24 hours for each key of the API: only answers of success, so that a request that failed may be corrected and
sent with the same key. The same key with another request is refused. Uploads are compared by type and length only.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any, Final, cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dialer.api.bodies import JSON, MAX_JSON_BYTES
from dialer.api.errors import ApiError
from dialer.api.idempotency_ports import IdempotencyStore, StoredReply
from dialer.api.key_ports import ApiKey
from dialer.api.ports import Clock
from dialer.errors import QueueError

KEEP_S: Final = 24 * 3600.0
#: A request that began and never ended (its process died) blocks its key for so long.
RUNNING_S: Final = 120.0
#: Longer answers are not kept; their key is then forgotten.
MAX_REPLY_BYTES: Final = 256 * 1024
#: In `opt` of a route: the field of its answer that is told once. It is null in what is kept, and so in a repetition.
TOLD_ONCE: Final = "told_once"
#: In `opt` of a route whose body holds a password: not even a hash of it is kept; it is compared as uploads are.
UNHASHED: Final = "unhashed"
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class IdempotencyMiddleware:
    """Answers a repeated write with the stored reply."""

    def __init__(self, app: ASGIApp, store: IdempotencyStore, clock: Clock) -> None:
        self._app: Final = app
        self._store: Final = store
        self._clock: Final = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out, or answer with what came of it."""
        scope = cast("HTTPScope", scope)  # the API has no routes of another kind
        headers = dict(scope["headers"])
        given = headers.get(b"idempotency-key")
        api_key: ApiKey | None = scope.get("auth")
        # Without a valid key the request is refused anyway, and must not cost room here.
        if scope["method"] not in _WRITES or given is None or api_key is None:
            await self._app(scope, receive, send)
            return
        if not 1 <= len(given) <= 255 or not given.isascii() or not given.decode().isprintable():
            raise ApiError(422, "Idempotency-Key: must be 1 to 255 printable ASCII characters")
        body, receive = await _small_json(headers, receive)
        key = hashlib.sha256(b"\x00".join((api_key.id.encode(), given))).hexdigest()
        opt = scope["route_handler"].opt
        fingerprint = _fingerprint(scope, headers, None if opt.get(UNHASHED, False) else body)
        begun = await self._store.begin(key, fingerprint, self._clock.now())
        if isinstance(begun, StoredReply):
            if begun.fingerprint != fingerprint:
                raise ApiError(409, "Idempotency-Key: was used for another request", error="idempotency_key_reused")
            await _replay(begun, send)
        elif not begun:
            raise ApiError(
                409,
                "Idempotency-Key: the first request with it is still being carried out",
                error="in_progress",
                headers={"retry-after": "1"},
            )
        else:
            await self._carry_out(key, fingerprint, scope, receive, send)

    async def _carry_out(self, key: str, fingerprint: str, scope: HTTPScope, receive: Receive, send: Send) -> None:
        status = 0
        content_type = ""
        kept = bytearray()

        async def keep(message: Message) -> None:
            nonlocal status, content_type
            if message["type"] == "http.response.start":
                status = message["status"]
                content_type = dict(message["headers"]).get(b"content-type", b"").decode("latin-1")
            elif message["type"] == "http.response.body" and len(kept) <= MAX_REPLY_BYTES:
                kept.extend(message["body"])
                if not message["more_body"] and 200 <= status < 300 and len(kept) <= MAX_REPLY_BYTES:
                    # Kept before the client can know of it: a repetition that follows at once finds it.
                    body = _without(bytes(kept), scope["route_handler"].opt.get(TOLD_ONCE, ""))
                    reply = StoredReply(fingerprint=fingerprint, status=status, content_type=content_type, body=body)
                    await self._store.finish(key, reply, self._clock.now())
                    status = -1
            await send(message)

        try:
            await self._app(scope, receive, keep)
        finally:
            if status != -1:
                await self._store.forget(key)


class MemoryIdempotency:
    """An `IdempotencyStore` in this process, for one node: bounded, the oldest go first."""

    def __init__(self, max_entries: int = 10_000) -> None:
        self._max_entries: Final = max_entries
        self._entries: Final[OrderedDict[str, tuple[float, StoredReply | None]]] = OrderedDict()

    async def begin(self, key: str, fingerprint: str, now: float) -> StoredReply | bool:
        """See `IdempotencyStore`."""
        until, reply = self._entries.get(key, (now, None))
        if now < until:
            return False if reply is None else reply
        self._put(key, now + RUNNING_S, None)
        return True

    async def finish(self, key: str, reply: StoredReply, now: float) -> None:
        """See `IdempotencyStore`."""
        self._put(key, now + KEEP_S, reply)

    async def forget(self, key: str) -> None:
        """See `IdempotencyStore`."""
        self._entries.pop(key, None)

    def _put(self, key: str, until: float, reply: StoredReply | None) -> None:
        self._entries[key] = (until, reply)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)


class _RedisEntry(msgspec.Struct, array_like=True):
    fingerprint: str
    status: int
    content_type: str
    body: bytes


class RedisIdempotency:
    """An `IdempotencyStore` for all nodes: one key of Redis for each, which expires by itself."""

    def __init__(self, redis: Redis, prefix: str = "cadencia:") -> None:
        self._redis: Final[Any] = redis
        self._prefix: Final = prefix + "idempotency:"

    async def begin(self, key: str, fingerprint: str, now: float) -> StoredReply | bool:
        """See `IdempotencyStore`.

        Raises:
            QueueError: Redis is out of reach.
        """
        try:
            if await self._redis.set(self._prefix + key, b"", nx=True, px=int(RUNNING_S * 1_000)):
                return True
            data = await self._redis.get(self._prefix + key)
        except RedisError as error:
            raise QueueError(f"Redis cannot be asked about the idempotency key: {error}") from error
        if not data:
            return False
        entry = msgspec.msgpack.decode(data, type=_RedisEntry)
        return StoredReply(
            fingerprint=entry.fingerprint, status=entry.status, content_type=entry.content_type, body=entry.body
        )

    async def finish(self, key: str, reply: StoredReply, now: float) -> None:
        """See `IdempotencyStore`. The request was carried out: a Redis that is gone does not make it fail."""
        entry = _RedisEntry(reply.fingerprint, reply.status, reply.content_type, reply.body)
        await self._quietly("set", self._prefix + key, msgspec.msgpack.encode(entry), px=int(KEEP_S * 1_000))

    async def forget(self, key: str) -> None:
        """See `IdempotencyStore`; where Redis is gone the key frees itself after `RUNNING_S`."""
        await self._quietly("delete", self._prefix + key)

    async def _quietly(self, command: str, *args: object, **options: object) -> None:
        try:
            await getattr(self._redis, command)(*args, **options)
        except RedisError:
            return


def _without(body: bytes, field: str) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body) | {field: None}) if field else body


def _fingerprint(scope: HTTPScope, headers: dict[bytes, bytes], body: bytes | None) -> str:
    parts = [scope["method"].encode(), scope["path"].encode(), scope["query_string"], headers.get(b"content-type", b"")]
    parts.append(headers.get(b"content-length", b"") if body is None else body)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


async def _small_json(headers: dict[bytes, bytes], receive: Receive) -> tuple[bytes | None, Receive]:
    """The whole body of a JSON request and a `receive` that gives it again; None for what is not to be held."""
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != JSON.encode():
        return None, receive
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message["body"]
        if len(body) > MAX_JSON_BYTES:
            raise ApiError(413, f"a JSON body may have at most {MAX_JSON_BYTES} bytes; send it in parts")
        if not message["more_body"]:
            break
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return bytes(body), again


async def _replay(reply: StoredReply, send: Send) -> None:
    headers = [(b"content-length", str(len(reply.body)).encode()), (b"idempotency-replayed", b"true")]
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})
