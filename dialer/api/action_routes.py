"""Next best action: the rules in force, what they did and why, and what others would have done."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody
from msgspec import Meta, Struct

from dialer.actions.dry_run import RuleTally
from dialer.actions.rules import Rule, parse_rules, rule_set
from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.report_ports import Actions
from dialer.api.requests import Cursor, Limit, Ports, checked_name
from dialer.api.rows import rfc3339
from dialer.core.ids import CampaignId
from dialer.storage.action_firings import Firing

_DAY_S: Final = 86_400.0


class RulesOut(Struct, kw_only=True):
    """The rules in force, as their files have them; what is absent is not set."""

    items: list[dict[str, Any]]


class FiringOut(Struct, kw_only=True):
    """A rule that fired for a contact: what was done, why, and how far it is."""

    at: str
    rule: str
    campaign: str
    contact: str
    call: str | None
    #: move, priority, call_again or ask.
    action: str
    why: str
    details: dict[str, Any]
    #: pending, done or refused.
    state: str
    problem: str


class FiringsPage(Struct, kw_only=True):
    """Firings, the latest first."""

    items: list[FiringOut]
    next_cursor: str | None


class DryRunInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Rules that are to be tried on history."""

    #: As in a rule file.
    rules: list[dict[str, Any]]
    #: How far back rules could have fired; what they look at may be older.
    days: Annotated[float, Meta(gt=0, le=400)] = 30.0


class ExampleOut(Struct, kw_only=True):
    """A contact for which a rule would have fired."""

    campaign: str
    contact: str
    why: str


class TallyOut(Struct, kw_only=True):
    """What one rule would have done."""

    rule: str
    action: str
    contacts: int
    campaigns: dict[str, int]
    examples: list[ExampleOut]


class DryRunOut(Struct, kw_only=True):
    """What rules would have done."""

    since: str
    #: Contacts and calls that were looked at.
    contacts: int
    calls: int
    #: False: there are more calls than one request looks at; `cadencia actions dry-run` has no such limit.
    complete: bool
    rules: list[TallyOut]


@get("/actions/rules", guards=[requires(Role.SUPERVISOR)], responses=documented(*KEYED, 503))
async def list_rules(ports: Ports) -> RulesOut:
    """The rules that are in force at this node."""
    return RulesOut(items=[_rule(rule) for rule in _actions(ports).rules()])


@get("/actions/firings", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 422, 503))
async def list_firings(
    ports: Ports,
    rule: FromQuery[str | None] = None,
    campaign: FromQuery[str | None] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> FiringsPage:
    """What rules did and why, the latest first."""
    found, following = await _actions(ports).firings(
        None if rule is None else checked_name(rule, "rule"),
        None if campaign is None else CampaignId(checked_name(campaign, "campaign")),
        cursor,
        limit,
    )
    return FiringsPage(items=[_firing(one) for one in found], next_cursor=following)


@post(
    "/actions/dry-run",
    guards=[requires(Role.SUPERVISOR)],
    responses=documented(*KEYED, *BODY, 503),
    status_code=200,
    description=(
        "Go through the history of every contact that was called in the last `days`, call by call, and count what the "
        "given rules would have done. Nothing is changed."
    ),
)
async def try_rules(data: JSONBody[DryRunInput], ports: Ports) -> DryRunOut:
    """What rules would have done."""
    rules = rule_set(parse_rules({"rules": data.rules}))
    since = ports.clock.now() - data.days * _DAY_S
    run, complete = await _actions(ports).dry_run(rules, since)
    return DryRunOut(
        since=rfc3339(since),
        contacts=run.contacts,
        calls=run.calls,
        complete=complete,
        rules=[_tally(tally) for tally in run.tallies.values()],
    )


def _actions(ports: ApiPorts) -> Actions:
    if ports.actions is None:
        raise ApiError(503, "this node keeps no record that rules could look at")
    return ports.actions


def _rule(rule: Rule) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    for part in ("when", "then"):
        plain[part] = {name: value for name, value in plain[part].items() if value not in (None, (), [])}
    return plain


def _firing(one: Firing) -> FiringOut:
    return FiringOut(
        at=rfc3339(one.at),
        rule=one.rule,
        campaign=one.campaign,
        contact=one.contact,
        call=one.call,
        action=one.action,
        why=one.why.says,
        details=dict(one.details),
        state=one.state.value,
        problem=one.problem.says,
    )


def _tally(tally: RuleTally) -> TallyOut:
    return TallyOut(
        rule=tally.rule,
        action=tally.action,
        contacts=tally.contacts,
        campaigns=tally.campaigns,
        examples=[ExampleOut(campaign=campaign, contact=contact, why=why) for campaign, contact, why in tally.examples],
    )


routes = Router("/", route_handlers=[list_rules, list_firings, try_rules], tags=["actions"])
