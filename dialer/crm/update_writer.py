"""`Update this call`: what waits in the record of updates, written to the CRM; in order for each contact.

An update is done when the CRM says so, and tried again with growing delays until then. It carries its key, so that a
CRM which heard it without our hearing the answer can tell. The CRM's word counts where it withdraws a call, ours where
it only has a newer version of it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec

from dialer.core.ids import CampaignId, ContactId
from dialer.core.saying import Saying, of_error, say
from dialer.crm import soap
from dialer.crm.client import Answer
from dialer.crm.mapping import CrmMapping, Rule
from dialer.crm.puller import Own, Sender, Withdrawals
from dialer.crm.reading import PulledCall, decode, read_row
from dialer.crm.requests import request_of
from dialer.crm.updates import CHANGED, facts_of, is_final, rule_for
from dialer.crm.webhooks import retry_at
from dialer.errors import CrmError, InputError
from dialer.settings import CrmPull
from dialer.storage.contacts import StoredContact
from dialer.storage.crm_sources import CrmSources
from dialer.storage.crm_updates import CrmUpdates, StoredUpdate, UpdateState

_CLAIM: Final = 16
_AT_ONCE: Final = 4
#: Failures of the CRM's own in a row after which it is left alone for a while.
_ENOUGH_FAILURES: Final = 5
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII)


class KnownContacts(Protocol):
    """The record of contacts (`dialer.storage.contacts.Contacts`)."""

    async def get(self, campaign: CampaignId, contact: ContactId) -> StoredContact | None:
        """One contact, or None."""


class _Refused(Exception):
    """This update was not done; `final`: nor will it be."""

    def __init__(self, problem: Saying, *, final: bool = False) -> None:
        super().__init__(problem.says)
        self.problem = problem
        self.final = final


class UpdateWriter:
    """Updates for one CRM.

    Args:
        pull: of the settings.
        mapping: how to write them, but for what the campaign has of its own.
        own: the same with that; asked for before each batch.
        client: the way to it.
        sources: which contacts came from it, in which version.
        updates: the record of what is to be written.
        contacts: what is known of them.
        withdrawals: for calls that the CRM has withdrawn.
        now: the clock.
    """

    def __init__(
        self,
        *,
        pull: CrmPull,
        mapping: CrmMapping,
        own: Own,
        client: Sender,
        sources: CrmSources,
        updates: CrmUpdates,
        contacts: KnownContacts,
        withdrawals: Withdrawals,
        now: Callable[[], float],
    ) -> None:
        self._pull = pull
        self._mapping = mapping
        self._own = own
        self._client = client
        self._sources = sources
        self._updates = updates
        self._contacts = contacts
        self._withdrawals = withdrawals
        self._now = now

    async def run(self, until: float) -> Counter[str]:
        """Write what is due until nothing is, or `until` has come.

        Returns:
            How many were delivered, skipped, withdrawn, put_off and given_up.

        Raises:
            CrmError: the CRM is out of reach, or fails at everything; what was not written is tried again.
            InputError: the campaign's own rows do not fit the mapping; likewise.
        """
        told: Counter[str] = Counter()
        lease_s = self._pull.timeout_s * 3 * (_CLAIM / _AT_ONCE) + 30.0
        while self._now() < until:
            self._mapping = await self._own()
            due = await self._updates.claim(self._pull.name, self._now(), _CLAIM, lease_s)
            if not due:
                break
            trouble = await self._write_all(due, told, until)
            if trouble is not None:
                raise trouble
        return told

    async def _write_all(self, due: Sequence[StoredUpdate], told: Counter[str], until: float) -> CrmError | None:
        waiting = iter(due)
        left: list[str] = []
        trouble: list[CrmError] = []
        failures = 0

        async def one_after_another() -> None:
            nonlocal failures
            for update in waiting:
                if trouble or self._now() >= until:
                    left.append(update.id)
                    continue
                try:
                    verdict = await self._write(update)
                    failures = 0
                except _Refused as refused:
                    verdict = await self._failed(update, refused.problem, None, final=refused.final)
                    failures += not refused.final
                    if failures >= _ENOUGH_FAILURES:
                        trouble.append(
                            CrmError(
                                f"{failures} updates failed in a row, the last one: {refused.problem}",
                                code="crm_updates_fail",
                                failures=failures,
                                problem=refused.problem,
                            )
                        )
                except CrmError as error:
                    verdict = await self._failed(update, of_error(error), error.wait_s, final=False)
                    trouble.append(error)
                told[verdict] += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_AT_ONCE, len(due))):
                tasks.create_task(one_after_another())
        if left:
            await self._updates.put_off(left, self._now(), self._now())
        return trouble[0] if trouble else None

    async def _failed(self, update: StoredUpdate, problem: Saying, wait_s: float | None, *, final: bool) -> str:
        now = self._now()
        again_at = None if final else retry_at(update.attempts + 1, now, wait_s)
        await self._updates.failed(update.id, problem, now=now, retry_at=again_at)
        return "given_up" if again_at is None else "put_off"

    async def _write(self, update: StoredUpdate) -> str:
        """One update to its end: delivered, skipped or withdrawn.

        Raises:
            _Refused: the CRM did not do it.
            CrmError: it could not be asked.
        """
        result: dict[str, Any] = msgspec.json.decode(update.result)
        stored = await self._contacts.get(CampaignId(self._pull.campaign), ContactId(update.contact))
        known = (await self._sources.known(self._pull.name, [update.contact])).get(update.contact)
        try:
            facts = facts_of(
                result,
                key=update.id,
                version=None if known is None else known.version,
                name="" if stored is None else stored.contact.name,
                priority=0 if stored is None else stored.contact.priority,
                fields={} if stored is None else stored.contact.fields,
            )
            rule = rule_for(self._mapping, facts)
        except InputError as error:
            raise _Refused(of_error(error), final=True) from error
        if rule is None:
            await self._updates.settle(update.id, UpdateState.SKIPPED, self._now())
            return "skipped"
        answer = await self._send(rule, facts)
        if answer.status == CHANGED and self._mapping.one is not None:
            there = await self._read_again(update.contact)
            if there is None:
                return await self._withdraw(
                    update, say("the call is no longer pending in the CRM", code="crm_not_pending")
                )
            answer = await self._send(rule, facts | {"version": there.version})
        if answer.status in rule.withdrawn:
            # Where the CRM can be asked, it is: a path that is wrong in the mapping is answered with 404, too.
            if self._mapping.one is not None and await self._read_again(update.contact) is not None:
                raise _Refused(
                    say(
                        f"the CRM answered {answer.status}, though the call is still pending there",
                        code="crm_still_pending",
                        status=answer.status,
                    )
                )
            return await self._withdraw(
                update,
                say(
                    f"the CRM answered {answer.status} to its update", code="crm_answered_update", status=answer.status
                ),
            )
        self._check(rule, answer)
        await self._updates.settle(update.id, UpdateState.DELIVERED, self._now())
        # Our own update has made a new version of it, which the answer may or may not tell.
        version = answer.headers.get("etag")
        if known is not None and version != known.version:
            await self._sources.version(self._pull.name, update.contact, version, self._now())
        return "delivered"

    async def _send(self, rule: Rule, facts: Mapping[str, object]) -> Answer:
        try:
            request = request_of(self._mapping, rule.question, facts)
        except InputError as error:
            raise _Refused(of_error(error), final=True) from error
        headers = {"Idempotency-Key": str(facts["key"])} | dict(request.headers)
        return await self._client.send(replace(request, headers=headers))

    async def _read_again(self, contact: str) -> PulledCall | None:
        """The call as it is in the CRM now; None where it is not pending there any more."""
        assert self._mapping.one is not None, "asked only where the mapping can"
        answer = await self._client.send(request_of(self._mapping, self._mapping.one, {"record": contact}))
        if answer.status in {404, 410}:
            return None
        if not answer.ok:
            raise _Refused(
                say(
                    f"the CRM answered {answer.status} when the call was read again",
                    code="crm_answered_again",
                    status=answer.status,
                )
            )
        try:
            read = read_row(self._mapping, self._mapping.one_row.find(decode(self._mapping, answer.body)))
        except InputError as error:
            raise _Refused(_read_so(of_error(error))) from error
        if not isinstance(read, PulledCall):
            raise _Refused(_read_so(Saying(read[1])))
        return read if read.pending else None

    async def _withdraw(self, update: StoredUpdate, reason: Saying) -> str:
        await self._withdrawals.withdraw([update.contact], f"withdrawn by the CRM: {reason}")
        await self._updates.settle(update.id, UpdateState.WITHDRAWN, self._now(), note=reason)
        return "withdrawn"

    def _check(self, rule: Rule, answer: Answer) -> None:
        """Whether it was done.

        Raises:
            _Refused: it was not.
        """
        if self._mapping.file.format == "soap":
            try:
                found: Any = soap.read(answer.body)
            except soap.SoapFault as error:
                raise _Refused(
                    say(
                        f"the CRM answered {answer.status}: {error}",
                        code="crm_answered_fault",
                        status=answer.status,
                        fault=str(error),
                    )
                ) from error
            except InputError as error:
                raise _Refused(
                    say(
                        f"the CRM answered {answer.status}, and it {error}",
                        code="crm_answered_odd",
                        status=answer.status,
                        problem=of_error(error),
                    )
                ) from error
        elif not answer.ok:
            raise _Refused(_answered(answer.status, _code_of(answer.body)), final=is_final(answer.status))
        else:
            found = None
        if not answer.ok:
            raise _Refused(_answered(answer.status))
        if rule.done:
            try:
                done = rule.done.holds(decode(self._mapping, answer.body) if found is None else found)
            except InputError as error:
                raise _Refused(say(f"the CRM's answer: {error}", code="crm_answer", problem=of_error(error))) from error
            if not done:
                raise _Refused(
                    say(
                        f"the CRM's answer does not say that it was done ({rule.done.text})",
                        code="crm_not_done",
                        done=rule.done.text,
                    )
                )


def _answered(status: int, word: str = "") -> Saying:
    return say(f"the CRM answered {status}{word}", code="crm_answered", status=status, word=word)


def _read_so(problem: Saying) -> Saying:
    return say(f"the call, read again: {problem}", code="crm_read_again", problem=problem)


def _code_of(body: bytes) -> str:
    """The CRM's own word for an error where it has one (Dataverse, Salesforce, RFC 6749): never its sentences."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    found = found[0] if isinstance(found, list) and found else found
    if isinstance(found, dict):
        inner = found.get("error")
        code = found.get("errorCode") or (inner.get("code") if isinstance(inner, dict) else inner)
        if isinstance(code, str) and _CODE.fullmatch(code):
            return f" ({code})"
    return ""
