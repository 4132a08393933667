"""Recordings at a node: what the engine says of them into SQL, and the API's way to them.

One queue, one writer, as for all that the engine lets out. What is not over when a node dies is found in SQL by its
next start: a talk that still goes on is recorded on, whatever else was open is over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from dialer.api.recording_ports import OrderAnswer, PlayLink
from dialer.core.engine import Engine
from dialer.core.events import RecordingAsked, RecordingFound
from dialer.core.ids import CallId, RecordingId
from dialer.core.kept_recording import Keeping, RecordingFilter, StoredRecording
from dialer.core.notices import AnyNotice, RecordingChanged
from dialer.core.recording import RecordingOrder, RecordingState
from dialer.core.recording_desk import ANNOUNCEMENT_TIMEOUT_S
from dialer.errors import QueueError, StorageError
from dialer.intake.jobs import Job, expire_recordings, move_recordings
from dialer.recordings.links import Links, LinkVerdict
from dialer.recordings.player import play
from dialer.recordings.sealing import key_of
from dialer.recordings.store import RecordingStore, open_store
from dialer.runtime.dispatcher import Dispatcher
from dialer.settings import Settings
from dialer.storage.audit import Audit, AuditEntry
from dialer.storage.database import Database
from dialer.storage.failures import RowRefused
from dialer.storage.recordings import Recordings

_log = structlog.get_logger(__name__)

#: Changes that may wait for the database; a call under way makes a handful.
_LIMIT: Final = 10_000
_RETRY_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
#: Asterisk closes a file within this time of the end of its channel.
SETTLED_S: Final = 0.5
#: How often it is looked for recordings to be moved, for those whose end nobody heard, and for those out of time.
_LOOK_EVERY_S: Final = 2.0
_RECONCILE_EVERY_S: Final = 60.0
_FIRST_EXPIRY_S: Final = 60.0
_EXPIRE_EVERY_S: Final = 3_600.0
#: Longer than Asterisk takes by far, and than the time-out of the action.
_ORDER_TIMEOUT_S: Final = 6.0

_TARGETS: Final = {
    RecordingOrder.START: {RecordingState.ON},
    RecordingOrder.PAUSE: {RecordingState.PAUSED},
    RecordingOrder.RESUME: {RecordingState.ON},
    RecordingOrder.STOP: {RecordingState.OFF, RecordingState.ENDED},
}


class RecordingKeeper:
    """A projection that keeps the record of recordings, and tells whoever waits for a change."""

    def __init__(self, database: Database, node: str, now: Callable[[], float]) -> None:
        self._record = Recordings(database)
        self._node = node
        self._now = now
        self._waiting: deque[StoredRecording] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._listeners: dict[CallId, list[asyncio.Queue[RecordingChanged]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def apply(self, notice: AnyNotice) -> None:
        """Note what is to be written."""
        if not isinstance(notice, RecordingChanged):
            return
        for listener in self._listeners.get(notice.call, ()):
            listener.put_nowait(notice)
        if notice.announcing:
            return  # there is nothing yet that could be found again after a crash
        if len(self._waiting) >= _LIMIT:
            _log.error("database is behind: a recording is not on record", recording=notice.recording, call=notice.call)
            return
        self._waiting.append(_stored(notice, self._node))
        self._idle.clear()
        self._wake.set()

    @contextlib.contextmanager
    def changes_of(self, call: CallId) -> Iterator[asyncio.Queue[RecordingChanged]]:
        """The changes of one call from now on."""
        queue: asyncio.Queue[RecordingChanged] = asyncio.Queue()
        listeners = self._listeners.setdefault(call, [])
        listeners.append(queue)
        try:
            yield queue
        finally:
            listeners.remove(queue)
            if not listeners:
                self._listeners.pop(call, None)

    async def run(self) -> None:
        """Write until cancelled."""
        delay_s = _RETRY_S
        while True:
            await self._wake.wait()
            try:
                while self._waiting:
                    await self._write(self._waiting[0])
                    self._waiting.popleft()
            except StorageError as error:
                _log.warning("recordings are not on record yet", waiting=len(self), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RETRY_MAX_S)
                continue
            delay_s = _RETRY_S
            self._wake.clear()
            self._idle.set()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; False when `timeout_s` passed first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _write(self, recording: StoredRecording) -> None:
        try:
            await self._record.note(recording, self._now())
        except RowRefused as refused:
            _log.error(
                "recording cannot be put on record", recording=recording.id, call=recording.call, error=str(refused)
            )


class NodeRecordings:
    """`dialer.api.recording_ports.CallRecordings` at this node, and what has to be done regularly."""

    def __init__(
        self,
        *,
        node: str,
        keeper: RecordingKeeper,
        database: Database,
        dispatcher: Dispatcher,
        store: RecordingStore,
        links: Links,
        keys: Sequence[bytes],
        now: Callable[[], float],
    ) -> None:
        self._node = node
        self._keeper = keeper
        self._record = Recordings(database)
        self._audit = Audit(database)
        self._dispatcher = dispatcher
        self._store = store
        self._links = links
        self._keys = tuple(keys)
        self._now = now
        self._resumed = asyncio.Event()

    @property
    def _engine(self) -> Engine:
        return self._dispatcher.engine

    # ---- calls under way

    async def order(self, call: CallId, order: RecordingOrder, by: str, *, consented: bool) -> OrderAnswer:
        """See `CallRecordings`."""
        desk = self._engine.recordings
        refusal = desk.refusal(call, order, consented=consented)
        if refusal:
            return OrderAnswer(state=desk.state(call), recording=desk.current(call), problem=refusal, refused=True)
        with self._keeper.changes_of(call) as changes:
            self._dispatcher.feed(RecordingAsked(at=self._now(), call=call, order=order, by=by, consented=consented))
            problem = ""
            try:
                async with asyncio.timeout(
                    _ORDER_TIMEOUT_S + (ANNOUNCEMENT_TIMEOUT_S if desk.announces(call) else 0.0)
                ):
                    while desk.state(call) not in _TARGETS[order] and not problem:
                        problem = (await changes.get()).problem
            except TimeoutError:
                problem = "Asterisk has not answered: whether it was done is not known"
            return OrderAnswer(state=desk.state(call), recording=desk.current(call), problem=problem)

    def state(self, call: CallId) -> RecordingState:
        """See `CallRecordings`."""
        return self._engine.recordings.state(call)

    async def resume(self) -> None:
        """After a start, once the calls of an earlier process are known: its talks are recorded on."""
        try:
            for recording in await self._record.under_way(self._node):
                self._dispatcher.feed(_found(recording, self._now()))
        except StorageError as error:
            _log.warning("recordings of an earlier process are not known", error=str(error))
        self._resumed.set()

    # ---- kept ones

    async def get(self, recording: RecordingId) -> StoredRecording | None:
        """See `CallRecordings`."""
        return await self._record.get(recording)

    async def page(
        self, wanted: RecordingFilter, before: tuple[float, str] | None, limit: int
    ) -> Sequence[StoredRecording]:
        """See `CallRecordings`."""
        return await self._record.page(wanted, before=before, limit=limit)

    async def link(self, recording: StoredRecording, holder: str) -> PlayLink:
        """See `CallRecordings`."""
        link = self._links.make(recording.id, holder, self._now())
        await self._note(recording, holder, "recording.linked", expires_at=link.expires_at)
        return PlayLink(path=link.path, expires_at=float(link.expires_at))

    async def judge(self, recording: str, holder: str, expires: str, signature: str) -> str:
        """See `CallRecordings`."""
        verdict = self._links.judge(recording, holder, expires, signature, self._now())
        return "" if verdict is LinkVerdict.VALID else verdict.value

    async def play(self, recording: StoredRecording, holder: str, begin: int, end: int) -> AsyncIterator[bytes]:
        """See `CallRecordings`."""
        await self._note(recording, holder, "recording.played", begin=begin, end=end)
        parts = play(self._store, recording, self._keys, begin, end)
        # Here, and not in the middle of an answer that has begun, it is found out that the store is away.
        first = await anext(parts, b"")

        async def whole() -> AsyncIterator[bytes]:
            yield first
            async for part in parts:
                yield part

        return whole()

    async def _note(self, recording: StoredRecording, holder: str, what: str, **details: object) -> None:
        entry = {"recording": recording.id, "call": recording.call, **details}
        await self._audit.append(AuditEntry(at=self._now(), who=holder, what=what, details=entry))

    # ---- regularly

    async def run(self, put: Callable[[Job], None], wake: Callable[[], None], *, folders: bool) -> None:
        """Have finished recordings moved and old ones deleted, by jobs; until cancelled.

        Args:
            put: enqueues a job.
            wake: there is work for the worker of this node.
            folders: recordings of some server are seen here, and are to be looked through.
        """
        reconcile_at = self._now()
        expire_at = reconcile_at + _FIRST_EXPIRY_S
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = self._now()
            try:
                if now >= reconcile_at and self._resumed.is_set() and await self._reconcile():
                    reconcile_at = now + _RECONCILE_EVERY_S
                with contextlib.suppress(QueueError):  # too many wait already: it is asked for again
                    if await self._record.waiting(now):
                        put(move_recordings(now))
                        wake()
                    if now >= expire_at:
                        if folders or await self._record.expired(now, 1):
                            put(expire_recordings(now))
                            wake()
                        expire_at = now + _EXPIRE_EVERY_S
            except StorageError as error:
                _log.warning("recordings are not being looked after", error=str(error))

    async def _reconcile(self) -> bool:
        """What is open on record and belongs to no call of this node is over; False when that cannot be said yet."""
        left = await self._record.under_way(self._node)
        if len(self._keeper):
            return False  # its end may be among what waits to be written
        calls = self._engine.floor.calls
        over = [recording.id for recording in left if recording.call not in calls]
        if over:
            await self._record.end(over, self._now(), self._now())
        return True


def node_recordings(
    settings: Settings,
    keeper: RecordingKeeper,
    database: Database,
    dispatcher: Dispatcher,
    now: Callable[[], float],
) -> NodeRecordings:
    """Recordings as the settings have them.

    Raises:
        ConfigError: the store or a key of the settings cannot be used.
    """
    wanted = settings.recordings
    keys = (wanted.encryption_key, *wanted.former_keys) if wanted.encryption_key else wanted.former_keys
    return NodeRecordings(
        node=settings.node,
        keeper=keeper,
        database=database,
        dispatcher=dispatcher,
        store=open_store(wanted, Path(settings.data_dir)),
        links=Links(wanted.link_key, wanted.link_s),
        keys=[key_of(key) for key in keys],
        now=now,
    )


def _stored(notice: RecordingChanged, node: str) -> StoredRecording:
    if notice.complete:
        state = Keeping.ENDED
    elif notice.state is RecordingState.OFF:
        state = Keeping.FAILED
    else:
        state = Keeping.PAUSED if notice.state is RecordingState.PAUSED else Keeping.RECORDING
    over = state in {Keeping.ENDED, Keeping.FAILED}
    return StoredRecording(
        id=notice.recording,
        call=notice.call,
        campaign=notice.campaign,
        contact=notice.contact,
        agent=notice.agent,
        server=notice.server,
        node=node,
        by=notice.by,
        state=state,
        started_at=notice.started_at,
        ended_at=notice.at if over else None,
        pauses=[
            [round(max(0.0, at - notice.started_at), 3) for at in pause if at is not None] for pause in notice.pauses
        ],
        next_at=notice.at + SETTLED_S if state is Keeping.ENDED else None,
        problem=notice.problem,
    )


def _found(recording: StoredRecording, now: float) -> RecordingFound:
    began = recording.started_at
    over = [pause for pause in recording.pauses if len(pause) == 2]
    still = [pause[0] for pause in recording.pauses if len(pause) == 1]
    return RecordingFound(
        at=now,
        call=recording.call,
        recording=recording.id,
        started_at=began,
        paused=recording.state is Keeping.PAUSED,
        by=recording.by,
        pauses=tuple((began + since, began + until) for since, until in over),
        paused_at=began + still[-1] if still else None,
    )
