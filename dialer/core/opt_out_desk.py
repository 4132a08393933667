"""People who object to further calls: by a key while the abandonment message plays, or to an agent.

By key the order is: entry on the do-not-call list, and only then the goodbye, which is a promise. Where the entry is
not acknowledged in time the call ends without one; the entry is written all the same.
"""

from __future__ import annotations

from typing import Final

from dialer.core.call import Call
from dialer.core.commands import AddDoNotCall, SayGoodbye
from dialer.core.events import CustomerOptedOut, DoNotCallWritten, OptOutTold
from dialer.core.floor import Floor
from dialer.core.ids import AgentId, CallId, MessageId
from dialer.core.notices import CallOptedOut
from dialer.core.tenants import everywhere

#: How long somebody who has pressed the key waits for the entry; the dialplan keeps the line a little longer.
WRITTEN_WITHIN_S: Final = 4.0
#: Longest goodbye.
GOODBYE_TIMEOUT_S: Final = 15.0
BY_KEY: Final = "key"
#: In place of a campaign: all of them.
EVERYWHERE: Final = "*"


def opt_out_ref(call: CallId) -> MessageId:
    """Id of the do-not-call message that an objection during this call makes; the same however often it is made."""
    return MessageId(f"opt-out-{call}")


def opt_out_scope(call: Call) -> str:
    """What an objection during this call is about: all campaigns (of its tenant), or its own."""
    campaign = call.permit.campaign
    return everywhere(campaign) if call.campaign.opt_out_scope == EVERYWHERE else campaign


class OptOutDesk:
    """Puts people on the do-not-call list."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def pressed(self, event: CustomerOptedOut) -> None:
        """The key: write the entry, and let them wait for it."""
        call = self._floor.calls.get(event.call)
        if call is None or call.opted_out:
            self._floor.ignore("CustomerOptedOut", "no such call" if call is None else "known already")
            return
        permit = call.permit
        self._floor.emit(
            AddDoNotCall(
                call=call.id,
                campaign=permit.campaign,
                phone=permit.phone,
                scope=opt_out_scope(call),
                reason="opt-out by key",
                ref=opt_out_ref(call.id),
            )
        )
        self._opted_out(call, opt_out_scope(call), by=BY_KEY)
        self._floor.timers.set(("message", call.id), self._floor.now + WRITTEN_WITHIN_S)

    def written(self, event: DoNotCallWritten) -> None:
        """The entry holds: say so, if they are still there and were not told yet that it is over."""
        floor = self._floor
        call = floor.calls.get(event.call)
        if call is None or not call.opted_out or call.hang_up_asked_at is not None:
            return
        floor.emit(SayGoodbye(call=call.id, server=call.server))
        floor.timers.set(("message", call.id), floor.now + GOODBYE_TIMEOUT_S)

    def told(self, event: OptOutTold) -> None:
        """They told an agent, and the entry is written; a talk goes on."""
        floor = self._floor
        call = floor.calls.get(event.call)
        if call is not None:
            if not call.opted_out:
                self._opted_out(call, event.scope, by=event.by)
            return
        agent = next((agent for agent in floor.roster if agent.call == event.call), None)
        if agent is None or agent.permit is None:
            floor.ignore("OptOutTold", "call is over and wrapped up")
            return
        permit = agent.permit
        floor.emit(
            CallOptedOut(
                at=floor.now,
                call=permit.call,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                scope=event.scope,
                by=event.by,
                agent=agent.id,
            )
        )

    def _opted_out(self, call: Call, scope: str, *, by: str) -> None:
        call.opted_out = call.purged = True
        permit = call.permit
        agent: AgentId | None = call.agent
        self._floor.emit(
            CallOptedOut(
                at=self._floor.now,
                call=call.id,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                scope=scope,
                by=by,
                agent=agent,
            )
        )
