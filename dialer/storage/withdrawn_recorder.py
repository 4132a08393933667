"""Contacts that the gate withdrew with a number, from its answers to the CRM into SQL.

A removal by number takes out whoever has that number at that moment, for good, also if they have another one later.
Only the gate knows who that was. It says so on ``results`` in the very step that withdraws them, and of a call under
way the node that has it does, so nothing is missing here, whenever a process dies. Each is kept as a removal of the
contact.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from dialer.core.ids import MessageId
from dialer.errors import InputError
from dialer.storage.database import Database
from dialer.storage.journal import JournalReader
from dialer.storage.recorder import moment_of, nobody
from dialer.storage.removals import Removal, Removals
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer

#: In every result that may be of interest; most are not, and need not be read.
_MARK: Final = b"removal."
_WITHDRAWN: Final = frozenset({"removal.applied"})
_UNDER_WAY: Final = frozenset({"removal.cancelled", "removal.too_late"})


class _Result(Struct):
    """What of a result matters here."""

    type: str
    campaign: str = ""
    contact: str = ""
    phone: str = ""
    ref: str | None = None
    reason: str = ""
    cause: str = ""


_READ: Final = msgspec.json.Decoder(_Result)
_WRITE: Final = msgspec.json.Encoder()


class WithdrawnRecorder(StreamConsumer):
    """Keeps who was withdrawn with a number, but for numbers that were erased.

    Args:
        again: appends messages to the stream of removals.
    """

    stream = "results"
    erased: Callable[[str], bool] = staticmethod(nobody)

    def __init__(
        self,
        database: Database,
        reader: JournalReader,
        now: Callable[[], float],
        *,
        again: Callable[[Sequence[bytes]], Awaitable[None]],
        linger_s: float = 0.25,
    ) -> None:
        super().__init__(database, reader, now, linger_s=linger_s)
        self._again = again

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        found = (withdrawn_by(entry, data) for entry, data in entries)
        await Removals(self._database).add([one for one, phone in filter(None, found) if not self.erased(phone)])
        return ()

    async def _repeat(self, entries: Sequence[Entry]) -> bool:
        """Not the results, which the CRM has: another node may have rebuilt the gate without these removals."""
        found = (withdrawn_by(entry, data) for entry, data in entries)
        lost = [one for one, phone in filter(None, found) if not self.erased(phone)]
        if lost:
            await self._again(
                [
                    _WRITE.encode({"campaign": one.campaign, "contact": one.subject, "reason": one.reason})
                    for one in lost
                ]
            )
        return True


def withdrawn_by(entry: str, data: bytes) -> tuple[Removal, str] | None:
    """The contact that a result says was withdrawn with a number, and that number; None: it says no such thing."""
    if _MARK not in data:
        return None
    try:
        said = _READ.decode(data)
        at = moment_of(entry)
    except (msgspec.DecodeError, InputError):
        return None  # whoever else writes there
    # Of a contact withdrawn by its own id the number is not told; of a call it is, and then it may be kept twice.
    about = said.type in _WITHDRAWN or (said.type in _UNDER_WAY and said.cause == "removal")
    if not about or not (said.campaign and said.contact and said.phone):
        return None
    ref = None if said.ref is None else MessageId(said.ref)
    removal = Removal(campaign=said.campaign, kind="contact", subject=said.contact, reason=said.reason, ref=ref, at=at)
    return removal, said.phone
