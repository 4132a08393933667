"""What agents decide about the contacts that they are shown, on its way into the engine and back."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from dialer.api.call_request_ports import AskedCall
from dialer.core.events import OfferAnswered
from dialer.core.ids import AgentId, ContactId, MessageId
from dialer.runtime.click_to_call import CallAnswers
from dialer.runtime.dispatcher import Dispatcher


class NodePreviews:
    """`dialer.api.call_request_ports.Previews`.

    Args:
        dispatcher: of the engine.
        answers: one of its projections.
        now: the clock.
    """

    def __init__(self, dispatcher: Dispatcher, answers: CallAnswers, now: Callable[[], float]) -> None:
        self._dispatcher = dispatcher
        self._answers = answers
        self._now = now

    async def answer(self, agent: AgentId, contact: ContactId, *, consent: bool, reason: str, by: str) -> AskedCall:
        """See `Previews`; a contact that is called has started when this returns."""
        ref = MessageId(f"preview-{secrets.token_hex(8)}")
        decided = OfferAnswered(
            at=self._now(), agent=agent, contact=contact, consent=consent, ref=ref, reason=reason, by=by
        )
        told = await self._answers.answer(ref, lambda: self._dispatcher.feed(decided))
        if told is None:
            return AskedCall(contact=contact, reason="gate_unavailable")
        return AskedCall(contact=contact, call=told.call, reason=told.reason, retry_at=told.retry_at)
