"""Objections by key, on their way to the stream of do-not-call entries.

The engine is told when a write has returned, and only then is anybody promised anything. Where Redis is out of reach
the entries are kept and written as soon as it is back; until then its gate is closed, so nobody is dialed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from dialer.core.commands import AddDoNotCall
from dialer.core.events import DoNotCallWritten
from dialer.errors import QueueError

_log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.25
_RETRY_MAX_S: Final = 5.0
_BATCH: Final = 100


class DoNotCallStream(Protocol):
    """Where do-not-call entries are written (`dialer.runtime.api_ports.StreamPurges`)."""

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write them; from the return on, no later originate calls what they name."""


class OptOutWriter:
    """The one writer of objections; `run` it once."""

    def __init__(
        self,
        stream: DoNotCallStream,
        commands: asyncio.Queue[AddDoNotCall],
        feed: Callable[[DoNotCallWritten], None],
        now: Callable[[], float],
    ) -> None:
        """Args:
        stream: takes the entries.
        commands: those of the engine (`Dispatcher.do_not_call`).
        feed: into the engine.
        now: unix seconds.
        """
        self._stream = stream
        self._commands = commands
        self._feed = feed
        self._now = now

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            batch = [await self._commands.get()]
            while len(batch) < _BATCH and not self._commands.empty():
                batch.append(self._commands.get_nowait())
            await self._write([message_of(command) for command in batch])
            for command in batch:
                self._feed(DoNotCallWritten(at=self._now(), call=command.call))
                self._commands.task_done()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; False when `timeout_s` passed first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._commands.join()
        except TimeoutError:
            return False
        return True

    async def _write(self, messages: Sequence[Mapping[str, object]]) -> None:
        delay_s = _RETRY_S
        while True:
            try:
                await self._stream.do_not_call(messages)
            except QueueError as error:
                # Written twice it is the same entry.
                _log.warning("objections are not written yet, tried again", waiting=len(messages), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _RETRY_MAX_S)
            else:
                return


def message_of(command: AddDoNotCall) -> dict[str, object]:
    """The entry as a CRM would write it."""
    return {
        "id": command.ref,
        "op": "add",
        "phone": command.phone,
        "scope": command.scope,
        "reason": command.reason,
        "source": "key",
        "by": f"call {command.call}",
    }
