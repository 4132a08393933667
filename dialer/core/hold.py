"""An agent is kept for one contact before that is called (docs/adr/0009): the states, and which step leads where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialer.core.decision import Decision
from dialer.core.ids import CallId, CampaignId, ContactId, MessageId, Phone
from dialer.core.offer import Offer
from dialer.core.permit import Permit
from dialer.errors import InvalidTransition


class HoldState(StrEnum):
    """How far a hold has come."""

    #: The agent looks at the contact, and nobody has been asked to call it.
    OFFERED = "offered"
    #: The gate has been asked for the contact.
    ASKING = "asking"
    #: The contact is being called.
    CALLING = "calling"
    OVER = "over"


class HoldStep(StrEnum):
    """What can happen to a hold."""

    #: The agent wants the contact called that they look at, or does not.
    CONSENT = "consent"
    SKIP = "skip"
    #: The offer is taken back.
    WITHDRAW = "withdraw"
    GRANT = "grant"
    REFUSE = "refuse"
    TIME_OUT = "time_out"
    JOIN = "join"
    END = "end"
    AGENT_GONE = "agent_gone"


_S, _X = HoldState, HoldStep

TRANSITIONS: Final[Mapping[tuple[HoldState, HoldStep], HoldState]] = {
    (_S.OFFERED, _X.CONSENT): _S.ASKING,
    (_S.OFFERED, _X.SKIP): _S.OVER,
    # They have not answered in time.
    (_S.OFFERED, _X.TIME_OUT): _S.OVER,
    (_S.OFFERED, _X.WITHDRAW): _S.OVER,
    (_S.OFFERED, _X.AGENT_GONE): _S.OVER,
    (_S.ASKING, _X.GRANT): _S.CALLING,
    # By the gate, or because the call could not be started.
    (_S.ASKING, _X.REFUSE): _S.OVER,
    (_S.ASKING, _X.TIME_OUT): _S.OVER,
    (_S.ASKING, _X.AGENT_GONE): _S.OVER,
    # The switch did not take the originate.
    (_S.CALLING, _X.REFUSE): _S.OVER,
    (_S.CALLING, _X.JOIN): _S.OVER,
    (_S.CALLING, _X.END): _S.OVER,
    # Their call goes to another agent who is idle there, or is hung up.
    (_S.CALLING, _X.AGENT_GONE): _S.OVER,
}


@dataclass(slots=True, kw_only=True)
class Hold:
    """An agent's hold. Only the engine changes it."""

    campaign: CampaignId
    contact: ContactId
    state: HoldState = HoldState.ASKING
    #: Until then the contact is tried again, however often it has been called; None: as its campaign has it.
    until_at: float | None = None
    #: Of the person who asked for this call; None: it was due.
    ref: MessageId | None = None
    #: Who wants this call; None: it was due, or the agent has not decided yet.
    decision: Decision | None = None
    #: The number that it must be; None: whichever is its turn.
    phone: Phone | None = None
    call: CallId | None = None
    #: What the agent was shown before; None: it was not for them to decide.
    offer: Offer | None = None
    #: The call that they were wrapping up, with its permit, and for how long they still might; they go back to it.
    wrapping: tuple[CallId | None, Permit | None, float | None] | None = None

    def take(self, step: HoldStep) -> None:
        """Go where `step` leads.

        Raises:
            InvalidTransition: the table does not have it.
        """
        try:
            self.state = TRANSITIONS[self.state, step]
        except KeyError:
            raise InvalidTransition(f"hold for {self.contact} is {self.state}; it cannot {step}") from None
