"""API keys: made, rotated and revoked by managers, of a tenant its own alone. A key is told once, when it is made."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.account_orders import MOST_DAYS, key_book, known_key, orders_of
from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, documented
from dialer.api.idempotency import TOLD_ONCE
from dialer.api.key_ports import KeyEntry, Role
from dialer.api.requests import Cursor, KeyedRequest, Limit, Ports, cursor_from, cursor_to
from dialer.api.rows import rfc3339

_DAY_S = 86_400.0


class KeyOut(Struct, kw_only=True):
    """What is known of a key; not the key."""

    id: str
    role: str
    #: Whose it is; of an agent's key the agent, for whom alone it acts.
    name: str
    #: Whose things alone it may see; empty: the installation's, which sees everything.
    tenant: str
    #: good, expired or revoked.
    state: str
    created_at: str
    #: To the minute; null: never.
    last_used_at: str | None
    #: null: never.
    expires_at: str | None
    revoked_at: str | None
    #: The id of the key that takes its place; null: it was not rotated.
    replaced_by: str | None


class KeyMade(KeyOut, kw_only=True):
    """A new key."""

    #: The key itself, this once; null in a repeated answer (Idempotency-Key): rotate the key then.
    key: str | None


class KeysPage(Struct, kw_only=True):
    """Keys, the oldest first."""

    items: list[KeyOut]
    next_cursor: str | None


class KeyInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key that is wanted."""

    role: Role
    #: Whose it is; an agent's key is named after the agent.
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    #: Good for so many days; null: for good.
    days: Annotated[float, Meta(gt=0, le=MOST_DAYS)] | None = None
    #: For whoever runs the installation: whose things alone it may see; empty: everything.
    tenant: Annotated[str, Meta(max_length=64)] = ""


class RotationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a key is replaced."""

    #: The old key is good for so long after, while the new one is being put in its place.
    overlap_s: Annotated[float, Meta(ge=0, le=30 * _DAY_S)] = _DAY_S


def _out(key: KeyEntry, now: float) -> KeyOut:
    return KeyOut(
        id=key.id,
        role=key.role,
        name=key.name,
        tenant=key.tenant,
        state=key.state(now),
        created_at=rfc3339(key.created_at),
        last_used_at=_maybe(key.last_used_at),
        expires_at=_maybe(key.expires_at),
        revoked_at=_maybe(key.revoked_at),
        replaced_by=key.replaced_by,
    )


def _made(key: KeyEntry, secret: str, now: float) -> KeyMade:
    out = _out(key, now)
    return KeyMade(**{name: getattr(out, name) for name in KeyOut.__struct_fields__}, key=secret)


def _maybe(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)


@get("/keys", guards=[requires()], responses=documented(*KEYED, 404, 422, 503))
async def list_keys(ports: Ports, cursor: Cursor = None, limit: Limit = 100) -> KeysPage:
    """Every key, revoked and expired ones included, the oldest first; none of them in full."""
    after, now = cursor_from(cursor), ports.clock.now()
    found = [key for key in await key_book(ports).all() if after is None or (key.created_at, key.id) > after]
    page = found[:limit]
    following = cursor_to(page[-1].created_at, page[-1].id) if len(found) > limit else None
    return KeysPage(items=[_out(key, now) for key in page], next_cursor=following)


@post("/keys", guards=[requires()], responses=documented(*KEYED, *BODY, 404), opt={TOLD_ONCE: "key"})
async def create_key(data: JSONBody[KeyInput], request: KeyedRequest, ports: Ports) -> KeyMade:
    """Make a key. It is in the answer and cannot be had again: only its hash is kept."""
    key, secret = await orders_of(request).create_key(
        request, ports, request.auth, role=data.role, name=data.name, days=data.days, tenant=data.tenant
    )
    return _made(key, secret, ports.clock.now())


@get("/keys/{key:str}", guards=[requires()], responses=documented(*KEYED, 404, 503))
async def get_key(key: FromPath[str], ports: Ports) -> KeyOut:
    """One key, whatever its state."""
    return _out(await known_key(key_book(ports), key), ports.clock.now())


@post(
    "/keys/{key:str}/rotate",
    guards=[requires()],
    responses=documented(*KEYED, *BODY, 404),
    opt={TOLD_ONCE: "key"},
)
async def rotate_key(key: FromPath[str], data: JSONBody[RotationInput], request: KeyedRequest, ports: Ports) -> KeyMade:
    """Make another key in the place of this one, for the same and for as long; this one ends a while later."""
    made, secret = await orders_of(request).rotate_key(request, ports, request.auth, key, data.overlap_s)
    return _made(made, secret, ports.clock.now())


@post(
    "/keys/{key:str}/revoke",
    guards=[requires()],
    responses=documented(*KEYED, 404, 503),
    opt={"no_body": True},
    status_code=200,
)
async def revoke_key(key: FromPath[str], request: KeyedRequest, ports: Ports) -> KeyOut:
    """Make a key worthless, for good; nodes that know it obey within 5 seconds."""
    return _out(await orders_of(request).revoke_key(request, ports, request.auth, key), ports.clock.now())


routes = Router("/", route_handlers=[list_keys, create_key, get_key, rotate_key, revoke_key], tags=["keys"])
