"""Finished recordings: from an Asterisk server's folder into the store, and out of it when their time is over.

Every step can be repeated: the file is in the store before the record says so, and leaves Asterisk's folder only after
the record has. While the store, the folder or the database is away everything stays where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, RecordingId, ServerName
from dialer.core.kept_recording import Keeping, StoredRecording
from dialer.core.recording import FOLDER, file_of, valid_recording_id
from dialer.errors import InputError, StoreError
from dialer.recordings.sealing import seal, sealed_bytes
from dialer.recordings.store import RecordingStore, key_for
from dialer.recordings.wav import Sound, read_sound
from dialer.storage.audit import Audit, AuditEntry
from dialer.storage.recordings import Kept, Recordings

_log = structlog.get_logger(__name__)

#: Asterisk finishes the header a moment after the call; an Asterisk that was killed never does.
UNFINISHED_FOR_S: Final = 30.0
#: A file that is not in a folder that is there: it may be on its way over the network.
MISSING_AFTER_S: Final = 3_600.0
#: In Asterisk's folder, touched by nobody for so long, and yet not on record: the node died before it could write.
ORPHAN_AFTER_S: Final = 3_600.0
_RETRY_S: Final = 10.0
_RETRY_MAX_S: Final = 900.0
_BATCH: Final = 20
_BY: Final = "retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of the recordings that were due."""

    stored: int = 0
    put_off: int = 0
    missing: int = 0
    #: When the first of those that were put off is due again.
    next_at: float | None = None


class Mover:
    """Moves recordings and deletes them; any number may be at work.

    Args:
        record: of recordings.
        store: where they go.
        folders: where the recordings of each server are seen here.
        key: with which they are sealed; None: they are not.
        retention_s: how long they are kept.
        now: unix seconds.
        audit: where deletions are written down.
        attempt: the record of an ended call, or None.
    """

    def __init__(
        self,
        record: Recordings,
        store: RecordingStore,
        folders: Mapping[ServerName, Path],
        *,
        key: bytes | None,
        retention_s: float,
        now: Callable[[], float],
        audit: Audit,
        attempt: Callable[[CallId], Awaitable[Attempt | None]],
    ) -> None:
        self._record = record
        self._store = store
        self._folders = dict(folders)
        self._key = key
        self._retention_s = retention_s
        self._now = now
        self._audit = audit
        self._attempt = attempt

    async def move_due(self, *, budget_s: float, lease_s: float) -> Moved:
        """Move what is due, until nothing is or `budget_s` has passed.

        Raises:
            StorageError: the database is out of reach; what was claimed is due again after `lease_s`.
        """
        began = self._now()
        stored = put_off = missing = 0
        due_again: list[float] = []
        while self._now() - began < budget_s:
            claimed = await self._record.claim(self._now(), _BATCH, lease_s)
            if not claimed:
                break
            for recording in claimed:
                problem, may_be_missing = await self._move(recording)
                if not problem:
                    stored += 1
                    continue
                next_at: float | None = self._now() + min(_RETRY_S * 2.0 ** min(recording.attempts, 10), _RETRY_MAX_S)
                if may_be_missing and self._now() - (recording.ended_at or 0.0) > MISSING_AFTER_S:
                    next_at = None
                await self._record.put_off(recording.id, problem, next_at=next_at, now=self._now())
                if next_at is None:
                    missing += 1
                    _log.error(
                        "a recording is missing",
                        recording=recording.id,
                        call=recording.call,
                        server=recording.server,
                    )
                else:
                    put_off += 1
                    due_again.append(next_at)
        return Moved(stored=stored, put_off=put_off, missing=missing, next_at=min(due_again, default=None))

    async def expire(self, *, limit: int = 1_000) -> int:
        """Delete the sound of recordings whose time is over, each with a line in the audit; how many.

        Raises:
            StorageError: the database is out of reach.
            StoreError: the store is; what is left is due at the next time.
        """
        count = 0
        for recording in await self._record.expired(self._now(), limit):
            if recording.place is not None:
                await self._store.delete(recording.place)
            await self._audit.append(
                AuditEntry(
                    at=self._now(),
                    who=_BY,
                    what="recording.deleted",
                    details={"recording": recording.id, "call": recording.call, "retain_until": recording.retain_until},
                )
            )
            await self._record.deleted(recording.id, self._now())
            count += 1
        return count

    async def tidy(self) -> int:
        """Look through Asterisk's folders for what a crash has left there; how many files were dealt with.

        What the record says is in the store, or deleted, goes; what it does not know is written down, so that the next
        `move_due` takes it.
        """
        count = 0
        for server, folder in self._folders.items():
            for path, touched_at in await asyncio.to_thread(_files_of, folder / FOLDER):
                recording = RecordingId(path.stem)
                found = await self._record.get(recording)
                if found is None:
                    if self._now() - touched_at > ORPHAN_AFTER_S:
                        count += await self._adopt(recording, server, touched_at)
                elif found.state in {Keeping.STORED, Keeping.DELETED}:
                    await asyncio.to_thread(_remove, path)
                    count += 1
        return count

    async def _adopt(self, recording: RecordingId, server: ServerName, ended_at: float) -> bool:
        attempt = await self._attempt(CallId(recording.rpartition("-r")[0]))
        if attempt is None:
            _log.warning("a recording belongs to no call on record", recording=recording, server=server)
            return False
        await self._record.note(
            StoredRecording(
                id=recording,
                call=attempt.call,
                campaign=attempt.campaign,
                contact=attempt.contact,
                agent=attempt.agent,
                server=server,
                node="",
                by="",
                state=Keeping.ENDED,
                started_at=attempt.connected_at or attempt.started_at,
                ended_at=ended_at,
                next_at=self._now(),
                problem="found in Asterisk's folder",
            ),
            self._now(),
        )
        return True

    async def _move(self, recording: StoredRecording) -> tuple[str, bool]:
        """What kept it from being moved, empty where it was; and whether its file may not exist at all."""
        folder = self._folders.get(recording.server)
        if folder is None:
            return f"recordings is not set for Asterisk server {recording.server}", False
        try:
            path = folder / file_of(recording.id)
        except ValueError as error:
            return str(error), True
        try:
            sound = await asyncio.to_thread(read_sound, path)
        except FileNotFoundError:
            there = await asyncio.to_thread(folder.is_dir)
            return ("Asterisk has not written its file" if there else f"folder {folder} is not there"), there
        except (InputError, OSError) as error:
            # The words of the system alone: no path.
            return f"its file cannot be read: {error.strerror if isinstance(error, OSError) else error}", True
        if not sound.finished and self._now() - (recording.ended_at or 0.0) < UNFINISHED_FOR_S:
            return "Asterisk has not finished its file", False
        try:
            kept = await self._put(recording, sound)
            await self._record.stored(recording.id, kept, self._now())
        except (StoreError, OSError) as error:
            return (str(error) if isinstance(error, StoreError) else "its file cannot be read to its end"), False
        await asyncio.to_thread(_remove, path)
        return "", False

    async def _put(self, recording: StoredRecording, sound: Sound) -> Kept:
        place = key_for(recording.id, recording.started_at, sealed=self._key is not None)
        digest = hashlib.sha256()
        parts = _digested(sound.parts(), digest)
        expected = sound.total_bytes if self._key is None else sealed_bytes(sound.total_bytes)
        await self._store.put(place, parts if self._key is None else seal(parts, self._key, recording.id))
        if await self._store.size(place) != expected:
            raise StoreError("the store has kept another number of bytes than it was given")
        return Kept(
            place=place,
            bytes=sound.total_bytes,
            sha256=digest.hexdigest(),
            duration_s=sound.duration_s,
            encrypted=self._key is not None,
            retain_until=(recording.ended_at or self._now()) + self._retention_s,
            remark="" if sound.finished else "Asterisk did not finish this file",
        )


def _digested(parts: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for part in parts:
        digest.update(part)
        yield part


def _files_of(folder: Path) -> Sequence[tuple[Path, float]]:
    """Files of ours, each with the moment in which it was last written to."""
    if not folder.is_dir():
        return ()
    found = []
    for path in folder.iterdir():
        if path.suffix == ".wav" and valid_recording_id(path.stem):
            with contextlib.suppress(OSError):
                found.append((path, path.stat().st_mtime))
    return found


def _remove(path: Path) -> None:
    # What cannot be removed now is found by the next `tidy`.
    with contextlib.suppress(OSError):
        path.unlink()
