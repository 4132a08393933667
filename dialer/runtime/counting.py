"""What caps and rests count and the gate has not seen itself: refusals told to agents, and calls that a CRM made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from dialer.api.attempt_ports import CrmCall
from dialer.compliance.caps import OUTCOME_FACTS, Facts
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.disposition import DispositionCategory
from dialer.core.ids import CallId, CampaignId, ContactId
from dialer.errors import DialerError
from dialer.queues.port import AttemptMade, Counted
from dialer.storage.attempts import Attempts
from dialer.storage.calls_elsewhere import CallElsewhere, CallsElsewhere
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition

_log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.5
_LIMIT: Final = 10_000
#: A code may be on record a moment before its call.
_TRIES: Final = 20


def _made(call: CrmCall) -> CallElsewhere:
    inbound = Facts.INBOUND if call.inbound else Facts(0)
    return CallElsewhere(
        id=call.id,
        made=AttemptMade(
            campaign=call.campaign,
            contact=ContactId(""),
            phone=call.phone,
            started_at=call.started_at,
            ended_at=call.ended_at,
            outcome=call.outcome,
            fields=call.fields,
            more=inbound | (Facts.REFUSED if call.refused else Facts(0)),
        ),
    )


class Counter(Protocol):
    """Where it is counted (`dialer.queues.port.Queues`)."""

    async def count(self, counted: Counted, now: float) -> None:
        """Enter it wherever any known rule counts."""


class Counting:
    """One a node; `run` it once.

    Args:
        database: the record.
        counter: the gate.
        campaign: a campaign of the node by its id; None: it has none of that name.
        recent: a call that ended not long ago (`RecordKeeper.recently_ended`).
        now: unix seconds.
    """

    def __init__(
        self,
        database: Database,
        counter: Counter,
        campaign: Callable[[CampaignId], Campaign | None],
        recent: Callable[[CallId], Attempt | None],
        now: Callable[[], float],
    ) -> None:
        self._attempts = Attempts(database)
        self._contacts = Contacts(database)
        self._elsewhere = CallsElsewhere(database)
        self._counter = counter
        self._campaign = campaign
        self._recent = recent
        self._now = now
        self._refused: deque[tuple[CallId, int]] = deque(maxlen=_LIMIT)
        self._wake = asyncio.Event()

    def disposed(self, disposition: Disposition) -> None:
        """A code is on record: where it says that the person refused, a rest begins by the law of the land."""
        if disposition.category == DispositionCategory.REFUSED.value:
            self._refused.append((disposition.call, _TRIES))
            self._wake.set()

    async def run(self) -> None:
        """Count refusals until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._refused:
                call, tries = self._refused[0]
                try:
                    found = await self._refuse(call)
                except DialerError as error:
                    _log.warning("a refusal is not counted yet, tried again", call=call, error=str(error))
                    await asyncio.sleep(_RETRY_S)
                    continue
                self._refused.popleft()
                if not found and tries > 1:
                    self._refused.append((call, tries - 1))
                    await asyncio.sleep(_RETRY_S)

    async def _refuse(self, call: CallId) -> bool:
        attempt = self._recent(call) or await self._attempts.get(call)
        if attempt is None:
            return False
        if not attempt.phone:
            return True  # of somebody who was erased
        known = await self._contacts.get(attempt.campaign, attempt.contact)
        campaign = self._campaign(attempt.campaign)
        counted = Counted(
            campaign=attempt.campaign,
            phone=attempt.phone,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            facts=Facts.REFUSED,
            fields={} if known is None else known.contact.fields,
            seller="" if campaign is None else campaign.seller,
        )
        await self._counter.count(counted, self._now())
        return True

    async def made(self, calls: Sequence[CrmCall]) -> None:
        """`dialer.api.attempt_ports.CallsElsewhere`: on record, and counted, when this returns. Can be repeated.

        Raises:
            StorageError: none is on record; repeat.
            QueueError: they are on record, and perhaps not counted; repeat.
        """
        made_elsewhere = [_made(call) for call in calls]
        await self._elsewhere.add(made_elsewhere)
        for made in (call.made for call in made_elsewhere):
            campaign = self._campaign(made.campaign)
            counted = Counted(
                campaign=made.campaign,
                phone=made.phone,
                started_at=made.started_at,
                ended_at=made.ended_at,
                facts=OUTCOME_FACTS[made.outcome] | made.more,
                fields=made.fields,
                seller="" if campaign is None else campaign.seller,
            )
            await self._counter.count(counted, self._now())
