"""What is held about a person, for that person."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, Router, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.law_routes import Numbers
from dialer.api.requests import Phones, Ports
from dialer.errors import InputError


class PersonInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose data is wanted."""

    numbers: Numbers
    all_numbers: Annotated[
        bool, Meta(description="Also by the other numbers of the contacts that have these, and so on")
    ] = False


@post(
    "/persons/export",
    guards=[requires(Role.MANAGER)],
    responses=documented(*KEYED, *BODY, 503),
    status_code=200,
    description="One document with all rows about whoever has these numbers, by table. Names of agents are left out, "
    "and so is what is about other people as well. A POST, so that no number stands in a URL; it changes nothing.",
)
async def export_person(data: JSONBody[PersonInput], ports: Ports, phones: Phones) -> Response[dict[str, Any]]:
    """Everything that is held about a person."""
    if ports.people is None:
        raise ApiError(503, "this node keeps no record")
    numbers = []
    for place, text in enumerate(data.numbers):
        reading = phones.read(text)
        if reading.phone is None:
            raise InputError(f"numbers[{place}]: {reading.problem}")
        numbers.append(reading.phone)
    found = await ports.people.export(numbers, all_numbers=data.all_numbers)
    return Response(
        dict(found), headers={"Content-Disposition": 'attachment; filename="person.json"', "Cache-Control": "no-store"}
    )


routes = Router("/", route_handlers=[export_person], tags=["law"])
