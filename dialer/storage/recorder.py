"""Removals and do-not-call entries from their streams into SQL, so that a lost Redis can be rebuilt.

The gate does not wait for this: it reads the same streams by itself, by the same grammar
(`dialer.queues.removals`), and answers the CRM. Each recorder is a consumer (group ``record``) of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dialer.core.ids import MessageId
from dialer.errors import InputError
from dialer.queues.removals import parse_do_not_call, parse_removal
from dialer.storage.do_not_call import DoNotCall, DoNotCallList, position_of
from dialer.storage.removals import Removal, Removals
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer


def nobody(phone: str) -> bool:
    """That a number was erased, where none ever was."""
    return False


class RemovalRecorder(StreamConsumer):
    """Keeps removals, but of numbers that were erased: those are called by nobody, and must not be on record again."""

    stream = "removals"
    erased: Callable[[str], bool] = staticmethod(nobody)

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside: list[SetAside] = []
        batch: list[Removal] = []
        for entry, data in entries:
            try:
                batch += [found for found in removals_of(entry, data) if not self.erased(found.subject)]
            except InputError as error:
                aside.append(self._aside(entry, data, str(error)))
        await Removals(self._database).add(batch)
        return aside

    def _bars(self, entry: str, data: bytes) -> bool:
        return True


class DoNotCallRecorder(StreamConsumer):
    """Keeps do-not-call entries, but of numbers that were erased."""

    stream = "dnc"
    erased: Callable[[str], bool] = staticmethod(nobody)

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside: list[SetAside] = []
        batch: list[DoNotCall] = []
        for entry, data in entries:
            try:
                found = do_not_call_of(entry, data)
                if not self.erased(found.phone):
                    batch.append(found)
            except InputError as error:
                aside.append(self._aside(entry, data, str(error)))
        await DoNotCallList(self._database).put(batch)
        return aside

    def _bars(self, entry: str, data: bytes) -> bool:
        # An entry that was taken back is not repeated: it might take back one that came since.
        try:
            return do_not_call_of(entry, data).active
        except InputError:
            return False


def removals_of(entry: str, data: bytes) -> list[Removal]:
    """What one entry of ``removals`` withdraws: a contact, a number, or both.

    Raises:
        InputError: what the CRM should correct.
    """
    at = moment_of(entry)
    message = parse_removal(data)
    ref = None if message.ref is None else MessageId(message.ref)
    reason = message.reason or ""
    found: list[Removal] = []
    if message.contact is not None:
        found.append(
            Removal(campaign=message.campaign, kind="contact", subject=message.contact, reason=reason, ref=ref, at=at)
        )
    if message.phone is not None:
        found.append(
            Removal(campaign=message.campaign, kind="phone", subject=message.phone, reason=reason, ref=ref, at=at)
        )
    return found


def do_not_call_of(entry: str, data: bytes) -> DoNotCall:
    """What one entry of ``dnc`` puts on a list or takes off it.

    Raises:
        InputError: what the CRM should correct.
    """
    at = moment_of(entry)
    message = parse_do_not_call(data)
    return DoNotCall(
        scope=message.scope,
        phone=message.phone,
        at=at,
        active=message.add,
        reason=message.reason or "",
        source=message.source or "stream",
        who=message.by or "",
        expires_at=message.expires_at,
        position=position_of(entry),
    )


def moment_of(entry: str) -> float:
    """Unix seconds at which the server took an entry: the first half of its id.

    Raises:
        InputError: that is no id.
    """
    try:
        return int(position_of(entry).partition("-")[0]) / 1_000
    except ValueError as error:
        raise InputError("this is not the id of a stream entry") from error
