"""What a node writes to Redis in order: results, where its calls stand, how they end, reservations given back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from dialer.compliance.caps import facts_of
from dialer.compliance.ledger import entry_of
from dialer.core.ids import CallId
from dialer.core.permit import Permit
from dialer.queues import wire
from dialer.queues.connection import raise_first, redis_errors
from dialer.queues.encoding import to_json
from dialer.queues.journal import JournalEntry, RefusalEntry, encode_entry
from dialer.queues.link import Link
from dialer.queues.own_calls import OwnCalls
from dialer.queues.pausing import PausingConnection
from dialer.queues.port import Finish, MarkLive, Publish, Refuse, Release, Write
from dialer.queues.recent_results import RecentResults
from dialer.queues.results import call_ended


class RedisWrites:
    """Writes one batch after another.

    Args:
        link: to the server.
        calls: of this node.
        recent_results: remembers what has been told.
    """

    def __init__(self, link: Link, calls: OwnCalls, recent_results: RecentResults) -> None:
        #: As the gate has one: redis-py's pipeline takes longer for each answer than the server for the write.
        self.connection = PausingConnection(link.client, link.keys["turn"])
        self.lock = asyncio.Lock()
        self._link = link
        self._calls = calls
        self._recent_results = recent_results

    async def write(self, writes: Sequence[Write]) -> None:
        """Write all, or raise; results may be published twice where a batch is written again after an error."""
        scripts, calls = self._link.scripts, self._calls
        commands: list[tuple[Any, ...]] = []
        told: list[bytes | None] = []
        for write in writes:
            result: bytes | None = None
            match write:
                case Publish():
                    result = to_json(write.result)
                    commands.append(("EVALSHA", scripts["publish"], 0, self._link.keep_ms, result))
                case MarkLive():
                    known = calls.under_way(write.call)
                    made = ("",) if known is None else known.reservation(self._link.owner)
                    moment = (wire.number(write.at), write.server or "", write.agent or "")
                    mark = (write.call, str(write.state), *moment, *made)
                    commands.append(("EVALSHA", scripts["mark"], 0, *mark))
                case Finish():
                    result = to_json(call_ended(write.attempt, write.retry_at))
                    commands.append(("EVALSHA", scripts["finish"], 0, *self._finish_args(write, result)))
                case Release():
                    commands.append(("EVALSHA", scripts["release"], 0, *self._release_args(write)))
                case Refuse():
                    commands.append(("EVALSHA", scripts["refuse"], 0, *self._refuse_args(write)))
                case _:
                    assert_never(write)
            told.append(result)
        async with self.lock:
            # Until the answer is here: whether these are over is not known.
            ends = [_ends(write) for write in writes]
            in_doubt = set(calls.ending)
            calls.ending.update(call for call in ends if call is not None)
            with redis_errors():
                replies = await self.connection.run_all(commands)
                self._note_told(told, replies)
                refused = {call for call, reply in zip(ends, replies, strict=True) if isinstance(reply, Exception)}
                # These are not, unless an earlier try was.
                calls.ending.difference_update(refused - in_doubt)
                raise_first(replies)
            calls.ending.difference_update(ends)
        for write in writes:
            match write:
                case MarkLive() if write.call in calls.outstanding:
                    calls.outstanding[write.call].mark(write)
                case Finish():
                    calls.forget(write.attempt.call)
                case Release() | Refuse():
                    calls.forget(write.permit.call)
                case _:
                    pass

    def _note_told(self, told: Sequence[bytes | None], replies: Sequence[Any]) -> None:
        """Remember what the server has now; an end that was told before, or is another node's to tell, is not ours."""
        now = asyncio.get_running_loop().time()
        for result, reply in zip(told, replies, strict=True):
            if result is not None and reply != 0 and not isinstance(reply, Exception):
                self._recent_results.note(result, now)

    def _release_args(self, release: Release) -> tuple[Any, ...]:
        permit = release.permit
        refusal: tuple[Any, ...] = ("", "")
        if release.evidence is not None:
            refusal = self._refusal(permit, release.reason, release.evidence)
        return (
            *(self._link.owner, self._link.keep_ms, permit.call, permit.phone[1:], permit.fencing_token),
            *(wire.optional(release.not_before_at), permit.campaign, permit.contact, self._in_ledgers(permit.call)),
            *refusal,
            wire.waits_text(release.waits),
        )

    def _refuse_args(self, refuse: Refuse) -> tuple[Any, ...]:
        permit = refuse.permit
        return (
            *(self._link.owner, self._link.keep_ms, permit.call, permit.phone[1:], permit.fencing_token),
            *(permit.campaign, permit.contact, self._in_ledgers(permit.call), refuse.reason),
            *self._refusal(permit, refuse.reason, refuse.evidence),
        )

    def _in_ledgers(self, call: CallId) -> str:
        known = self._calls.reservation(call)
        return "1" if known is None or known[1] else ""

    def _refusal(self, permit: Permit, reason: str, evidence: Mapping[str, object]) -> tuple[str, bytes]:
        # By the clock of whoever reserved: the refusal follows within the permit's short life.
        known = self._calls.reservation(permit.call)
        return wire.refusal(
            RefusalEntry(
                at=permit.expires_at if known is None else known[0],
                call=permit.call,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                reason=reason,
                evidence=evidence,
            )
        )

    def _finish_args(self, finish: Finish, result: bytes) -> tuple[Any, ...]:
        attempt = finish.attempt
        known = self._calls.reservation(attempt.call)
        entry = JournalEntry(
            attempt=attempt,
            retry_at=finish.retry_at,
            fencing_token=finish.fencing_token,
            needs_agent=finish.needs_agent,
        )
        return (
            self._link.owner,
            attempt.call,
            finish.fencing_token,
            attempt.campaign,
            attempt.contact,
            attempt.phone[1:],
            attempt.attempt_number,
            wire.optional(finish.retry_at),
            encode_entry(entry),
            result,
            self._link.keep_ms,
            *(("", "") if known is None else (wire.number(known[0]), known[1])),
            *entry_of(attempt.started_at, facts_of(attempt), attempt.ended_at),
            wire.number(attempt.ended_at),
            "1" if finish.needs_agent else "",
        )


def _ends(write: Write) -> CallId | None:
    """The call that a write ends, if it ends one."""
    match write:
        case Finish():
            return write.attempt.call
        case Release() | Refuse():
            return write.permit.call
        case _:
            return None
