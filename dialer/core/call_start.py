"""From a permit to an originate: a line, a number to show, and a call that the desks know of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from dialer.core.call import Call
from dialer.core.campaign import Campaign
from dialer.core.commands import Originate
from dialer.core.floor import CampaignRun, Floor
from dialer.core.hold import Hold
from dialer.core.ids import AgentId, ServerName
from dialer.core.permit import Permit
from dialer.core.ringing import outer_limit_s
from dialer.core.trunks import Trunk

NO_LINE: Final = "no free line"
NO_CALLER_ID: Final = "all caller ids have reached their cap or rest"
COST_CAP: Final = "cost_cap"
#: The carriers of the campaign's trunks have no rate for the number.
NO_RATE: Final = "no_rate"
#: A contact whose call would have gone beyond a cap, or nowhere, is not the first to be tried again.
PUT_OFF_S: Final = 60.0


def start_call(floor: Floor, run: CampaignRun, permit: Permit, servers: Iterable[ServerName]) -> Call | str:
    """Start a call for whoever is free when it is answered; answers with it, or why there is no way to.

    Args:
        floor: everything that is going on.
        run: the campaign's.
        permit: of the gate.
        servers: in the order in which they are tried.
    """
    return _start(floor, run, permit, servers)


def start_bound_call(
    floor: Floor, run: CampaignRun, permit: Permit, server: ServerName, agent: AgentId, hold: Hold
) -> Call | str:
    """Start the call that an agent is held for, on their server."""
    call = _start(floor, run, permit, (server,), bound_to=agent)
    if isinstance(call, Call):
        call.promised_until, call.decision = hold.until_at, hold.decision
        hold.call = call.id
    return call


def _start(
    floor: Floor, run: CampaignRun, permit: Permit, servers: Iterable[ServerName], bound_to: AgentId | None = None
) -> Call | str:
    pool = run.campaign.pool
    shown = floor.caller_ids.choose(pool, permit.phone, floor.now) if pool else None
    if pool and shown is None:
        return NO_CALLER_ID
    number = None if shown is None else shown.number
    # The agent who waits for this very call hears by themselves whether it is a machine.
    campaign = run.campaign if bound_to is None else replace(run.campaign, machine_detection=None)
    problem = NO_LINE
    for server in servers:
        trunk = _line(floor, permit, campaign, server)
        if not isinstance(trunk, Trunk):
            problem = trunk if problem == NO_LINE else problem
            continue
        call = Call(
            permit=permit,
            campaign=campaign,
            server=server,
            trunk=trunk.limits.name,
            rate=trunk.rate(permit.phone),
            caller_id=number,
            guaranteed=bound_to is not None,
            bound_to=bound_to,
        )
        floor.calls[call.id] = call
        run.calls.add(call.id)
        run.reserved += 1
        if not call.guaranteed:
            run.unanswered[server] += 1
        if number is not None:
            floor.caller_ids.started(number, floor.now)
        detection = campaign.machine_detection
        floor.emit(
            Originate(
                permit=permit,
                server=server,
                trunk=trunk.limits.name,
                outer_limit_s=outer_limit_s(campaign.ring_timeout_s),
                caller_id=number,
                machine_detection=None if detection is None else detection.parameters,
            )
        )
        return call
    return problem


def _line(floor: Floor, permit: Permit, campaign: Campaign, server: ServerName) -> Trunk | str:
    """A channel of the best trunk that may be paid for, taken; or why there is none."""
    choices = floor.trunks.choices(server, campaign.trunks, permit.phone, floor.now)
    for trunk in choices:
        rate = trunk.rate(permit.phone)
        if floor.spending.hold(permit.call, permit.campaign, server, trunk.limits.name, rate, floor.now):
            trunk.take(floor.now)
            return trunk
    if choices:
        return COST_CAP
    return NO_RATE if floor.trunks.lack_rate(server, campaign.trunks, permit.phone) else NO_LINE


def put_off_until(reason: str, now: float) -> float | None:
    """Until when a contact waits whose call was not started; None: it is offered again at once."""
    return now + PUT_OFF_S if reason in {COST_CAP, NO_RATE} else None
