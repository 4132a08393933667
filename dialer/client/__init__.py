"""A small client of the dialer's API and streams, for the CRM's side, in Python.

    from dialer.client import Client

    with Client("http://127.0.0.1:8080", key) as dialer:
        dialer.push("winter", [{"id": "crm-17", "phones": ["+34600111222"]}])
        for event in dialer.events(types="call.*"):
            ...

`AsyncClient` is the same for asyncio; `RedisPush` writes to the streams instead. What fails for a moment is tried
again; every write has an idempotency key, so that it is carried out once however often it is sent.
"""

from dialer.client.aio import AsyncClient
from dialer.client.blocking import Client
from dialer.client.events import Event
from dialer.client.redis_push import AsyncRedisPush, RedisPush
from dialer.client.wire import Item, Refused, Unreachable, Verdicts

__all__ = [
    "AsyncClient",
    "AsyncRedisPush",
    "Client",
    "Event",
    "Item",
    "RedisPush",
    "Refused",
    "Unreachable",
    "Verdicts",
]
