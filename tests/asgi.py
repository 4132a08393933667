"""A client of the API in the test's own event loop: what the routes share with the test belongs to one loop."""

from __future__ import annotations

from httpx import ASGITransport, AsyncClient
from litestar import Litestar


def client(app: Litestar) -> AsyncClient:
    """Requests go straight into `app`; no server and no thread."""
    transport = ASGITransport(app=app)  # type: ignore[arg-type]  # litestar names its messages more exactly
    return AsyncClient(transport=transport, base_url="http://testserver")
