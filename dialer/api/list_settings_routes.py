"""What a list has of its own: which of its contacts are called, and how soon."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, patch
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.intake_ports import ListImport
from dialer.api.key_ports import Role
from dialer.api.list_routes import known_list
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Ports
from dialer.api.rows import ListOut, list_out
from dialer.core.contact_filter import MAX_LENGTH, parse_filter
from dialer.core.list_terms import MAX_PRIORITY, ListTerms

Filter = Annotated[str, Meta(max_length=MAX_LENGTH, description="Which of its contacts are called; empty: all of them")]
Priority = Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="Added to that of each of its contacts")]


class ListInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is changed; what is left out stays."""

    filter: Filter | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET


@patch(
    "/lists/{id:str}",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY, 404, 503),
    description=(
        "Change a list's own filter and priority: both hold from the next dial on, for contacts that wait already too. "
        "A contact belongs to the list that brought its data last, and must pass the campaign's filter as well."
    ),
)
async def change_list(id: FromPath[str], data: JSONBody[ListInput], request: KeyedRequest, ports: Ports) -> ListOut:
    """Change what a list has of its own."""
    return list_out(await change_terms(ports, id, data))


async def change_terms(ports: ApiPorts, id: str, data: ListInput) -> ListImport:
    """Choose and order the contacts of a list by other terms; what is left out of `data` stays.

    Raises:
        ApiError: 404, 503.
        InputError: the filter is none.
    """
    row = await known_list(ports, id)
    if ports.list_settings is None:
        raise ApiError(503, "this node has no record of lists")
    terms = ListTerms(
        filter=row.terms.filter if isinstance(data.filter, UnsetType) else data.filter.strip(),
        priority=row.terms.priority if isinstance(data.priority, UnsetType) else data.priority,
    )
    if terms.filter:
        parse_filter(terms.filter)
    await ports.list_settings.change(row.id, row.campaign, terms)
    return await known_list(ports, id)


routes = Router("/", route_handlers=[change_list], tags=["lists"])
