"""What of the engine's notices belongs into SQL besides attempts: states of campaigns and dispositions.

One bounded queue, one writer. While the database is away the queue fills; when it is full the oldest state of the same
campaign is superseded, and dispositions push back on nobody but are refused with a log line (their result stays on the
stream and in the CRM).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from dialer.core.attempt import Attempt
from dialer.core.campaign import CampaignState
from dialer.core.ids import CallId, CampaignId
from dialer.core.notices import AnyNotice, CallEnded, CallWasDisposed, CampaignChanged
from dialer.errors import StorageError
from dialer.runtime.written import Written
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.failures import RowRefused

_log = structlog.get_logger(__name__)
_LIMIT = 10_000
_AT_ONCE = 500
#: Several times as long as it takes until every node has seen a state.
_DRAINED_S = 2.0
_RETRY_S = 0.2
_RETRY_MAX_S = 5.0


class RecordKeeper:
    """A projection that keeps its picture in the database."""

    def __init__(self, database: Database) -> None:
        self._campaigns = Campaigns(database)
        self._dispositions = Dispositions(database)
        self._attempts = Attempts(database)
        #: Only the latest state of a campaign matters.
        self._states: dict[CampaignId, tuple[CampaignState, float]] = {}
        #: Campaigns that have drained here, when that was, and from when on it is written (by the loop's clock).
        self._drained: dict[CampaignId, tuple[float, float]] = {}
        #: Whose state is being taken from the record.
        self._follows: CampaignId | None = None
        self._disposed: deque[Disposition] = deque()
        self._progress = Written()
        #: Attempts take their own way into the database; until they are there, codes for them must not be turned away.
        self._ended: OrderedDict[CallId, CallEnded] = OrderedDict()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        #: How many states have been written: whoever reads one looks whether it changed meanwhile.
        self.states_written = 0
        #: Is told of every code that is on record.
        self.disposed: Callable[[Disposition], None] = lambda _: None

    def __len__(self) -> int:
        return len(self._states) + len(self._disposed)

    def apply(self, notice: AnyNotice) -> None:
        """Note what is to be written."""
        match notice:
            case CallEnded():
                self._ended[notice.attempt.call] = notice
                if len(self._ended) > _LIMIT:
                    self._ended.popitem(last=False)
                return
            case CampaignChanged():
                if notice.campaign == self._follows:
                    return
                self._drained.pop(notice.campaign, None)
                if notice.previous is CampaignState.DRAINING and notice.state is CampaignState.STOPPED:
                    # The other nodes must have seen that it drains: what rings there still may be answered.
                    due = asyncio.get_running_loop().time() + _DRAINED_S
                    self._drained[notice.campaign] = (notice.at, due)
                    self._wake.set()
                    return
                self._states[notice.campaign] = (notice.state, notice.at)
            case CallWasDisposed():
                self.dispose(
                    Disposition(
                        call=notice.call,
                        code=notice.code,
                        at=notice.at,
                        amount=notice.amount,
                        notes=notice.notes,
                        agent=notice.agent,
                        ref=notice.ref,
                        currency=None if notice.amount is None else notice.currency,
                        by=notice.by,
                        category=None if notice.meaning is None else notice.meaning.category.value,
                        is_sale=None if notice.meaning is None else notice.meaning.is_sale,
                        is_contact=None if notice.meaning is None else notice.meaning.is_contact,
                    )
                )
            case _:
                return
        self._idle.clear()
        self._wake.set()

    @contextmanager
    def following(self, campaign: CampaignId) -> Iterator[None]:
        """What becomes of a campaign inside is on record already: it is not written again."""
        self._follows = campaign
        try:
            yield
        finally:
            self._follows = None

    def waits(self, campaign: CampaignId) -> bool:
        """Whether the state of a campaign is still to be written: until then the record is behind."""
        return campaign in self._states

    def dispose(self, disposition: Disposition) -> None:
        """Keep a disposition, also one of a call that ended long ago."""
        if len(self._disposed) >= _LIMIT:
            _log.error("database is behind: a disposition is on the results stream only", call=disposition.call)
            return
        self._disposed.append(disposition)
        self._progress.put(1)
        self._idle.clear()
        self._wake.set()

    def recently_ended(self, call: CallId) -> Attempt | None:
        """A call that ended at this node not long ago, whether or not its attempt is in the database already."""
        ended = self._ended.get(call)
        return None if ended is None else ended.attempt

    async def record_recent(self) -> None:
        """Write down what ended not long ago, before the record is loaded into a Redis that has lost its memory.

        Some of it may have been in Redis' journal only; without it those contacts would be called again as if they had
        never been called. What is on record already is left alone.

        Raises:
            StorageError: the database is out of reach.
        """
        ended = [(notice.attempt, notice.retry_at) for notice in self._ended.values()]
        for start in range(0, len(ended), _AT_ONCE):
            await self._attempts.record(ended[start : start + _AT_ONCE])

    async def run(self) -> None:
        """Write until cancelled."""
        delay_s = _RETRY_S
        while True:
            await self._woken()
            try:
                await self._write()
                await self._write_drained()
            except StorageError as error:
                _log.warning("record is not being kept, tried again", waiting=len(self), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RETRY_MAX_S)
                continue
            delay_s = _RETRY_S
            if not self:
                self._wake.clear()
                self._idle.set()

    async def written(self) -> None:
        """Wait until the dispositions of which it was told so far are in the database."""
        await self._progress.wait()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; False when `timeout_s` passed first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _woken(self) -> None:
        """Wait until there is something to write."""
        due = min((due for _, due in self._drained.values()), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._wake.wait()

    async def _write_drained(self) -> None:
        """The end of drains that is due; whoever has started such a campaign again, at whichever node, is right."""
        now = asyncio.get_running_loop().time()
        for campaign, (at, due) in list(self._drained.items()):
            if due <= now:
                await self._campaigns.set_state(campaign, CampaignState.STOPPED, at, only_from=CampaignState.DRAINING)
                self.states_written += 1
                if self._drained.get(campaign) == (at, due):
                    del self._drained[campaign]

    async def _write(self) -> None:
        for campaign, (state, at) in list(self._states.items()):
            await self._campaigns.set_state(campaign, state, at)
            self.states_written += 1
            if self._states.get(campaign) == (state, at):
                del self._states[campaign]
        while self._disposed:
            disposition = self._disposed[0]
            try:
                await self._dispositions.add(disposition)
                self.disposed(disposition)
            except RowRefused as refused:
                _log.error("disposition cannot be stored", call=disposition.call, error=str(refused))
            self._disposed.popleft()
            self._progress.wrote(1)
