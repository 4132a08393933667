"""The API's way in for contacts: pushed ones at once, lists as jobs of the workers."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from dialer.api.intake_ports import ContactVerdict, ContactWarning, ListCheck, ListImport, RejectedRow
from dialer.api.list_ports import ListSettings
from dialer.core.ids import CampaignId
from dialer.core.list_terms import NO_TERMS, ListTerms
from dialer.core.saying import say
from dialer.core.shards import ONE_REDIS, Shards, check_here
from dialer.intake import jobs
from dialer.intake.desk import ContactDesk
from dialer.runtime.worker_process import WorkerProcess
from dialer.storage.list_checks import ListChecks
from dialer.storage.lists import UPLOAD, ContactList, ListCounts, Lists, ListState

_STATES = {
    ListState.LOADING: "running",
    ListState.LOADED: "done",
    ListState.FAILED: "failed",
    ListState.CANCELLED: "failed",
}
#: Imports that are looked at for unfinished ones.
_LATEST = 100


class NodeIntake:
    """`dialer.api.intake_ports.ContactIntake`.

    Args:
        desk: takes pushed contacts.
        lists: the record of imports.
        settings: what lists have of their own.
        checks: what looking through lists has found.
        outbox: the way to the workers.
        worker: started with the first job where the node has its Redis for itself; None where workers run anyway.
        folder: absolute; where uploads are kept until a worker has read them.
        now: the clock.
        shards: contacts and lists of campaigns of the own one are taken.
    """

    def __init__(
        self,
        *,
        desk: ContactDesk,
        lists: Lists,
        settings: ListSettings,
        checks: ListChecks,
        outbox: jobs.JobOutbox,
        worker: WorkerProcess | None,
        folder: Path,
        now: Callable[[], float],
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._shards = shards
        self._desk = desk
        self._lists = lists
        self._settings = settings
        self._checks = checks
        self._outbox = outbox
        self._worker = worker
        self._folder = folder
        self._now = now

    async def offer(self, campaign: CampaignId, rows: Sequence[bytes]) -> Sequence[ContactVerdict]:
        """Take contacts; what was accepted is on record and in the hopper when this returns."""
        verdicts = await self._desk.take_json(campaign, rows, self._now())
        return [
            ContactVerdict(
                status="accepted" if verdict.accepted else "rejected",
                id=verdict.id,
                reason=str(verdict.reason or verdict.offered or ""),
                problem=verdict.problem,
            )
            for verdict in verdicts
        ]

    async def resume(self) -> None:
        """Let imports go on that an earlier process of this node left unfinished."""
        if self._worker is not None:
            latest = await self._lists.page(None, limit=_LATEST)
            if any(found.state is ListState.LOADING for found in latest):
                self._worker.wake()

    def upload_folder(self) -> Path:
        """Where an upload is written."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder

    async def start_list(
        self,
        campaign: CampaignId,
        path: Path,
        name: str,
        *,
        refuse_duplicates: bool = False,
        terms: ListTerms = NO_TERMS,
    ) -> ListImport:
        """Hand an uploaded file to the workers.

        Raises:
            InputError: the campaign is another shard's; nothing was done.
        """
        check_here(self._shards, campaign)
        list_id, now = secrets.token_hex(8), self._now()
        await self._lists.start(list_id, campaign, name=name or list_id, source=UPLOAD, now=now)
        if terms != NO_TERMS:
            # Before the first of its contacts waits.
            await self._settings.change(list_id, campaign, terms)
        job = jobs.import_list(
            list_id=list_id,
            campaign=campaign,
            path=str(path),
            name=name,
            delete=True,
            refuse_duplicates=refuse_duplicates,
        )
        await self._outbox.send(job)
        if self._worker is not None:
            self._worker.wake()
        found = await self.list_import(list_id)
        assert found is not None, "has just been written"
        return found

    async def note_broken_upload(self, campaign: CampaignId, name: str, size: int) -> None:
        """Put on record that an upload broke off, and that nothing of it was loaded."""
        list_id, now = secrets.token_hex(8), self._now()
        error = say(
            f"the upload broke off after {size:,} bytes; nothing of it was loaded: send the list again",
            code="list_broke_off",
            size=size,
        )
        await self._lists.start(list_id, campaign, name=name or list_id, source=UPLOAD, now=now)
        await self._lists.finish(list_id, ListState.FAILED, ListCounts(), now=now, error=error)

    async def list_import(self, id: str) -> ListImport | None:
        """One list."""
        found = await self._lists.get(id)
        return None if found is None else _import(found)

    async def list_imports(
        self, campaign: CampaignId | None, before: tuple[float, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[ListImport]:
        """Lists, newest first, those older than `before`."""
        found = await self._lists.page(campaign, before=before, limit=limit, tenant=tenant)
        return [_import(each) for each in found]

    async def rejected(self, id: str) -> AsyncIterator[RejectedRow]:
        """The rejected rows of a list, in their order."""
        cursor: str | None = None
        while True:
            page = await self._lists.rejected(id, cursor=cursor)
            for row in page.items:
                yield RejectedRow(row=row.row, code=row.code, message=row.message, raw=row.raw)
            cursor = page.next
            if cursor is None:
                return

    async def check_list(self, id: str) -> None:
        """Hand a look through a list to the workers."""
        await self._outbox.send(jobs.check_list(id))
        if self._worker is not None:
            self._worker.wake()

    async def list_check(self, id: str) -> ListCheck | None:
        """The latest look through a list."""
        found = await self._checks.get(id)
        if found is None:
            return None
        counts = found.counts
        return ListCheck(
            state=found.state.value,
            started_at=found.started_at,
            finished_at=found.finished_at,
            contacts=counts.contacts,
            numbers=counts.numbers,
            types=counts.types,
            zones=counts.zones,
            jurisdictions=counts.jurisdictions,
            warnings=counts.warnings,
            contacts_with_warnings=counts.contacts_with_warnings,
            listed=counts.listed,
            error=found.error,
        )

    async def warnings(self, id: str) -> AsyncIterator[ContactWarning]:
        """What it found, by contact."""
        cursor: str | None = None
        while True:
            page = await self._checks.warnings(id, cursor=cursor)
            for row in page.items:
                yield ContactWarning(contact=row.contact, phone=row.phone, kind=row.kind, message=row.message)
            cursor = page.next
            if cursor is None:
                return


def _import(found: ContactList) -> ListImport:
    return ListImport(
        id=found.id,
        campaign=found.campaign,
        name=found.name,
        state=_STATES[found.state],
        read=found.counts.read,
        accepted=found.counts.accepted,
        rejected=found.counts.rejected,
        reasons=dict(found.counts.reasons),
        error=found.error,
        started_at=found.started_at,
        finished_at=found.finished_at,
        terms=found.terms,
    )
