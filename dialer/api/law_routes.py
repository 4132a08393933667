"""What the law asks for besides calls: registries that are asked, people who are erased."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Router, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from dialer.api.attempt_ports import CrmCall
from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Phones, Ports, checked_name, moment
from dialer.api.rows import WrittenOut
from dialer.core.ids import CampaignId, valid_contact_id
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader

MAX_CALLS: Final = 500
#: A CRM's clock may be ahead of ours by so much.
_AHEAD_S: Final = 300.0


Numbers = Annotated[list[str], Meta(min_length=1, max_length=50)]


class ErasureInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who is to be forgotten."""

    # Not "phones": Litestar takes what is wrong with a field for our own error where a dependency has its name.
    numbers: Numbers
    by: Annotated[str, Meta(min_length=1, max_length=128, description="By whose order; it goes on record")]
    all_numbers: Annotated[
        bool, Meta(description="Also the other numbers of the contacts that have these, and so on")
    ] = False


class ErasureOut(Struct, kw_only=True):
    """What an erasure came to."""

    #: Numbers that nobody calls or takes in any more.
    numbers: int
    #: Numbers that the erased contacts had besides; these were not erased.
    others: int
    #: Rows changed or deleted, by table.
    rows: dict[str, int]


@post(
    "/erasures",
    guards=[requires(Role.MANAGER)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    description="A ringing call is hung up; contacts, notes and numbers go; evidence keeps what happened, not to whom. "
    "A keyed hash of each number is kept, so that it is refused wherever it comes again.",
)
async def erase(data: JSONBody[ErasureInput], request: KeyedRequest, ports: Ports, phones: Phones) -> ErasureOut:
    """Erase a person everywhere. Repeated it changes nothing more."""
    if ports.erasures is None:
        raise ApiError(404, "nobody can be erased here")
    numbers = []
    for place, text in enumerate(data.numbers):
        reading = phones.read(text)
        if reading.phone is None:
            raise InputError(f"numbers[{place}]: {reading.problem}")
        numbers.append(reading.phone)
    erased = await ports.erasures.erase(numbers, who=f"{data.by} (key {request.auth.id})", all_numbers=data.all_numbers)
    return ErasureOut(numbers=erased.numbers, others=erased.others, rows=dict(erased.rows))


class RegistryRow(Struct, kw_only=True):
    """A do-not-call registry of this node's settings; what is not known is null."""

    name: str
    version: str | None
    source: str | None
    source_date: str | None
    entries: int | None
    prefix_rules: int | None
    age_days: float | None
    max_age_days: float | None
    #: Whether campaigns that must ask it may dial, and where not, why.
    usable: bool
    problem: str
    #: The same for a catalogue; an argument may be such a saying itself.
    code: str = ""
    arguments: dict[str, object] = {}
    #: Rules of jurisdictions that it answers.
    answers: list[str]


class DemandRow(Struct, kw_only=True):
    """A registry that the law of a campaign demands."""

    campaign: str
    rule: str
    mark: str
    registry: str
    met: bool
    #: What is missing, and what to do; the same for a catalogue, where an argument may be such a saying itself.
    problem: str
    code: str = ""
    arguments: dict[str, object] = {}


class RegistriesOut(Struct, kw_only=True):
    """What registries there are, and what the law of the campaigns demands."""

    registries: list[RegistryRow]
    demands: list[DemandRow]


@get(
    "/registries",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED),
    description="Age and entries of each do-not-call registry, and whether those are there that the law of the "
    "campaigns' jurisdictions demands. What a number's own country demands is seen when it is dialed.",
)
async def list_registries(ports: Ports) -> RegistriesOut:
    """The do-not-call registries of this node."""
    return registries_of(ports, ports.clock.now())


def registries_of(ports: ApiPorts, now: float) -> RegistriesOut:
    """The registries of this node, and what is demanded of them."""
    if ports.registries is None:
        return RegistriesOut(registries=[], demands=[])
    rows = [
        RegistryRow(
            name=state.name,
            version=state.version,
            source=state.source,
            source_date=state.source_date,
            entries=state.entries,
            prefix_rules=state.prefix_rules,
            age_days=None if state.age_days is None else round(state.age_days, 2),
            max_age_days=state.max_age_days,
            usable=not state.refuses,
            problem=problem.says,
            code=problem.code,
            arguments=dict(problem.arguments),
            answers=list(state.answers),
        )
        for state in ports.registries.states(now)
        for problem in (state.refuses or state.problem,)
    ]
    demands = [
        DemandRow(
            campaign=one.campaign,
            rule=one.rule,
            mark=one.mark,
            registry=one.registry,
            met=not one.problem,
            problem=one.problem.says,
            code=one.problem.code,
            arguments=dict(one.problem.arguments),
        )
        for one in ports.registries.demands(now)
    ]
    return RegistriesOut(registries=rows, demands=demands)


class CallInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """A call that the CRM made by itself, or that somebody made to it."""

    id: Annotated[str, Meta(description="The CRM's own; the same id is counted once")]
    campaign: Annotated[str, Meta(description="Under which it counts")]
    phone: str
    started_at: Annotated[str, Meta(description="RFC 3339 with zone")]
    ended_at: Annotated[str | None, Meta(description="null: no talk")] = None
    outcome: Outcome = Outcome.CONNECTED
    inbound: Annotated[bool, Meta(description="They called: no attempt, but a talk")] = False
    refused: Annotated[bool, Meta(description="They want no more calls about it")] = False
    person: Annotated[str, Meta(max_length=256)] = ""
    account: Annotated[str, Meta(max_length=256)] = ""
    subject: Annotated[str, Meta(max_length=256)] = ""


CallInputs = Annotated[list[CallInput], Meta(min_length=1, max_length=MAX_CALLS)]


class CallsInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Up to 500 calls; all are counted, or none where one of them cannot be used."""

    calls: CallInputs


@post(
    "/calls-elsewhere",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=201,
    description="Attempt caps and rests count these calls as if the dialer had made them; reports and results do not.",
)
async def count_calls(data: JSONBody[CallsInput], ports: Ports, phones: Phones) -> WrittenOut:
    """Calls that the CRM made itself. When the answer is there, the gate counts them."""
    if ports.calls_elsewhere is None:
        raise ApiError(404, "calls made elsewhere are not counted here")
    now = ports.clock.now()
    calls = [_call(item, f"calls[{place}]", phones, now) for place, item in enumerate(data.calls)]
    await ports.calls_elsewhere.made(calls)
    return WrittenOut(ids=[call.id for call in calls])


def _call(item: CallInput, path: str, phones: PhoneReader, now: float) -> CrmCall:
    if not valid_contact_id(item.id):
        raise InputError(f"{path}.id: must have 1 to 128 characters, none of them a control character")
    reading = phones.read(item.phone)
    if reading.phone is None:
        raise InputError(f"{path}.phone: {reading.problem}")
    started_at = moment(item.started_at, f"{path}.started_at") or 0.0
    ended_at = moment(item.ended_at, f"{path}.ended_at")
    if not 0.0 <= started_at <= now + _AHEAD_S:
        raise InputError(f"{path}.started_at: lies in the future; a call is reported when it has been made")
    if ended_at is not None and not started_at <= ended_at <= now + _AHEAD_S:
        raise InputError(f"{path}.ended_at: must be after started_at, and not in the future")
    named = {"person": item.person, "account": item.account, "subject": item.subject}
    return CrmCall(
        id=item.id,
        campaign=CampaignId(checked_name(item.campaign, f"{path}.campaign")),
        phone=reading.phone,
        started_at=started_at,
        ended_at=started_at if ended_at is None else ended_at,
        outcome=item.outcome,
        inbound=item.inbound,
        refused=item.refused,
        fields={name: value for name, value in named.items() if value},
    )


routes = Router("/", route_handlers=[erase, list_registries, count_calls], tags=["law"])
