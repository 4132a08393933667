"""Calls that people decide on: to contacts that agents are shown, and those that somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dialer.core.ids import AgentId, CallId, CampaignId, ContactId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCall:
    """What came of the wish for a call."""

    contact: ContactId
    #: None: it was refused.
    call: CallId | None = None
    #: In a word, and when to try again; None: not while things are as they are.
    reason: str = ""
    retry_at: float | None = None


class Previews(Protocol):
    """What agents decide about contacts that they are shown (`dialer.runtime.previews.NodePreviews`)."""

    async def answer(self, agent: AgentId, contact: ContactId, *, consent: bool, reason: str, by: str) -> AskedCall:
        """Call the contact, or skip it; a reason in the answer: it is not called, and why (empty for one skipped).

        `by` says for the evidence who decided.
        """


class CallRequests(Protocol):
    """Calls that somebody asks for (`dialer.runtime.click_to_call.ClickToCall`)."""

    async def call(
        self, agent: AgentId, campaign: CampaignId, contact: ContactId | None, phone: str | None, *, by: str
    ) -> AskedCall | None:
        """Call a contact, at one of its numbers where that is given too, or a number; None: no such contact.

        Returns when the originate has been handed over, or it is known why there is none. `by` says for the evidence
        who asked.

        Raises:
            InputError: the number cannot be dialed.
        """
