"""Reading a stream through a consumer group: every message is dealt with at least once, none stops the others.

For ``contacts``, ``callbacks`` and ``dispositions`` (intake), for ``attempts`` (into SQL), and for ``removals`` and
``dnc`` where they are recorded in SQL (the gate reads those two by itself, and does not wait for this).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from redis import exceptions

from dialer.errors import InputError, QueueError, RetryableError
from dialer.queues import results
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.scripts import Scripts

_log = structlog.get_logger(__name__)

#: Field of an entry that a node has entered for another shard's writer, with the name of that shard.
CARRIED: Final = "carried"
_REJECTED_KEPT: Final = 10_000
#: A message that was handed out so often without success has killed whoever had it: it is kept aside.
_MAX_DELIVERIES: Final = 5
_BLOCK_S: Final = 1.0
_ENCODE: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One entry of a stream."""

    id: str
    data: bytes
    #: How often it has been handed out, this time included, where it was claimed or read again; else 1.
    deliveries: int = 1


class Poison(InputError):
    """Raised by a handler: these messages (by their ids, with the reasons) cannot be used; the rest is done."""

    def __init__(self, reasons: Mapping[str, str], refs: Mapping[str, str | None] | None = None) -> None:
        super().__init__(f"{len(reasons)} messages cannot be used")
        self.reasons = dict(reasons)
        self.refs = dict(refs or {})


#: Deals with a batch. Success means that all of it is safe elsewhere; `Poison` that all but the named ones are; an
#: `InputError` for a single message rejects it; anything else leaves the batch to be tried again.
Handler = Callable[[Sequence[Message]], Awaitable[None]]


class StreamReader:
    """One reader of one group; several may share the work.

    Args:
        client: its connections; not closed here.
        keys: of the installation.
        stream: name of the stream, as in `dialer.queues.keys.NAMES`.
        group: readers of one group share the messages, each group sees all.
        consumer: this reader; stable across restarts (the node's name), so that it finds its own unfinished messages.
        now: for the moments of reports.
        batch: messages handed to the handler at once, at most.
        claim_after_s: what another reader has left unfinished for so long is taken over.
        trim: drop from the stream what every group has acknowledged.
        beside: further groups that are made before this one: nothing is dropped that they have not acknowledged.
        written_here: of what another shard's node has entered here (`CARRIED`) give the id alone, without the data.
    """

    def __init__(
        self,
        client: AsyncRedis,
        keys: Keys,
        *,
        stream: str,
        group: str,
        consumer: str,
        now: Callable[[], float],
        batch: int = 100,
        claim_after_s: float = 30.0,
        trim: bool = True,
        beside: Sequence[str] = (),
        written_here: bool = False,
    ) -> None:
        self._client = client
        self._keys = keys
        self._stream = stream
        self._key = keys[stream]
        self._group = group
        self._consumer = consumer
        self._now = now
        self._batch = batch
        self._claim_after_ms = int(claim_after_s * 1_000)
        self._trim = trim
        self._beside = tuple(beside)
        self._written_here = written_here
        self._begins_again = False
        self._scripts = Scripts(keys)
        self._made = False
        self._own_first = True
        self._own_after = b"0"
        self._next_claim = 0.0

    async def run(self, handler: Handler, *, retry_s: float = 0.5, retry_max_s: float = 10.0) -> None:
        """Read and handle for ever; trouble with Redis or in the handler is logged, waited out and tried again."""
        delay_s = retry_s
        while True:
            try:
                await self.step(handler, timeout_s=_BLOCK_S)
                delay_s = retry_s
            except asyncio.CancelledError:
                raise
            except Exception as error:
                _log.warning("stream", stream=self._stream, error=str(error) or type(error).__name__)
                self._own_first, self._own_after = True, b"0"
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, retry_max_s)

    async def step(self, handler: Handler, *, timeout_s: float) -> int:
        """Handle one batch, waiting for it up to `timeout_s`; how many messages were acknowledged.

        Raises:
            QueueError: Redis is out of reach; the messages will be handed out again.
            Exception: whatever the handler raised; likewise.
        """
        messages = await self._read(timeout_s)
        if not messages:
            return 0
        worn_out = {
            m.id: "it was handed out too often without success" for m in messages if m.deliveries > _MAX_DELIVERIES
        }
        for message in messages:
            if message.id in worn_out:
                await self._reject(message, worn_out[message.id], None)
        messages = [message for message in messages if message.id not in worn_out]
        try:
            done = await self._handle(handler, messages) if messages else []
        except RetryableError as error:
            if not error.about_input:
                await self._exonerate(messages)
            raise
        await self._acknowledge([*worn_out, *done])
        return len(worn_out) + len(done)

    async def read(self, count: int, wait_s: float) -> Sequence[tuple[str, bytes]]:
        """Up to `count` messages as (id, data), for one who acknowledges by `ack` (`dialer.storage.journal`).

        Raises:
            QueueError: Redis is out of reach.
        """
        self._batch = count
        return [(message.id, message.data) for message in await self._read(wait_s)]

    async def ack(self, ids: Sequence[str]) -> None:
        """Never hand these out again.

        Raises:
            QueueError: Redis is out of reach.
        """
        await self._acknowledge(ids)

    def begin_again(self) -> None:
        """With the next read, which may be long in coming, have all that the stream still has handed out anew."""
        self._begins_again = True

    @property
    def has_begun(self) -> bool:
        """Whether nothing is left of `begin_again`."""
        return not self._begins_again

    async def put_back(self, data: Sequence[bytes]) -> None:
        """Append messages with these data, for all groups.

        Raises:
            QueueError: Redis is out of reach.
        """
        with redis_errors():
            async with self._client.pipeline(transaction=True) as pipeline:
                for one in data:
                    pipeline.xadd(self._key, {"data": one})
                await pipeline.execute()

    async def _exonerate(self, messages: Sequence[Message]) -> None:
        """It was not for these messages that it failed: however long the database is away, they do not wear out."""
        with contextlib.suppress(exceptions.RedisError):  # then they could not be handed out either
            await self._client.xclaim(
                *(self._key, self._group, self._consumer, 0),
                [message.id for message in messages],
                retrycount=0,
                justid=True,
            )

    async def _handle(self, handler: Handler, messages: Sequence[Message]) -> list[str]:
        try:
            await handler(messages)
        except Poison as poison:
            for message in messages:
                if message.id in poison.reasons:
                    await self._reject(message, poison.reasons[message.id], poison.refs.get(message.id))
        except InputError as error:
            if len(messages) > 1:
                # Somebody in here is to blame: one at a time tells who.
                return [done for message in messages for done in await self._handle(handler, [message])]
            await self._reject(messages[0], str(error), None)
        return [message.id for message in messages]

    async def _read(self, timeout_s: float) -> list[Message]:
        with redis_errors():
            await self._make_group()
            if self._begins_again:
                await self._client.xgroup_setid(self._key, self._group, "0")
                self._begins_again = False
            try:
                return await self._own() or await self._claimed() or await self._new(timeout_s)
            except exceptions.ResponseError as error:
                if str(error).startswith("NOGROUP"):
                    self._made = False  # the server was emptied
                    raise QueueError("the stream's group is gone: it is made anew") from error
                raise

    async def _make_group(self) -> None:
        if self._made:
            return
        for group in (*self._beside, self._group):
            try:
                await self._client.xgroup_create(self._key, group, id="0", mkstream=True)
            except exceptions.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        self._made = True

    async def _own(self) -> list[Message]:
        """What was handed to us before and not acknowledged: after a restart, or a handler's failure."""
        if not self._own_first:
            return []
        rows: Any = await self._client.xreadgroup(
            self._group, self._consumer, {self._key: self._own_after}, count=self._batch
        )
        entries = rows[0][1] if rows else []
        if not entries:
            self._own_first, self._own_after = False, b"0"
            return []
        self._own_after = entries[-1][0]
        return await self._with_deliveries(entries)

    async def _claimed(self) -> list[Message]:
        clock = asyncio.get_running_loop().time()
        if clock < self._next_claim:
            return []
        reply: Any = await self._client.xautoclaim(
            self._key, self._group, self._consumer, self._claim_after_ms, count=self._batch
        )
        entries = reply[1]
        if not entries:
            self._next_claim = clock + self._claim_after_ms / 2_000
        return await self._with_deliveries(entries)

    async def _new(self, timeout_s: float) -> list[Message]:
        rows: Any = await self._client.xreadgroup(
            self._group, self._consumer, {self._key: ">"}, count=self._batch, block=max(1, int(timeout_s * 1_000))
        )
        return [self._message(entry, 1) for entry in rows[0][1]] if rows else []

    async def _with_deliveries(self, entries: Sequence[Any]) -> list[Message]:
        # An entry that was trimmed meanwhile has no fields: there is nothing left to do but to acknowledge it.
        gone = [entry[0] for entry in entries if not entry[1]]
        if gone:
            await self._client.xack(self._key, self._group, *gone)
        entries = [entry for entry in entries if entry[1]]
        if not entries:
            return []
        pending: Any = await self._client.xpending_range(
            self._key, self._group, entries[0][0], entries[-1][0], len(entries), self._consumer
        )
        counts = {row["message_id"]: int(row["times_delivered"]) for row in pending}
        return [self._message(entry, counts.get(entry[0], 1)) for entry in entries]

    async def _reject(self, message: Message, reason: str, ref: str | None) -> None:
        report = results.message_rejected(self._now(), reason=f"{self._stream} {message.id}: {reason}", ref=ref)
        aside = {"stream": self._stream, "entry": message.id, "reason": reason, "data": message.data}
        with redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xadd(self._keys["rejected"], aside, maxlen=_REJECTED_KEPT)  # type: ignore[arg-type]  # invariance
            pipeline.xadd(self._keys["results"], {"data": _ENCODE.encode(report)})
            await pipeline.execute()

    async def _acknowledge(self, ids: Sequence[str]) -> None:
        with redis_errors():
            await self._client.xack(self._key, self._group, *ids)
            if self._trim:
                await self._trim_now()

    async def _trim_now(self) -> None:
        try:
            await self._client.evalsha(self._scripts["trim"], 0, self._stream, self._key)
        except exceptions.NoScriptError:
            # Unlike the gate's scripts this one may run on any server at any time.
            await self._client.script_load(self._scripts.text("trim"))

    def _message(self, entry: Any, deliveries: int) -> Message:
        fields: Mapping[bytes, bytes] = entry[1]
        data = b"" if self._written_here and CARRIED.encode() in fields else fields.get(b"data", b"")
        return Message(id=entry[0].decode(), data=data, deliveries=deliveries)
