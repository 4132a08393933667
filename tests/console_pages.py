"""Which pages the console has, told by its routes: what looks at every page is held to them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from litestar.routes import HTTPRoute

from dialer.api.app import create_app
from dialer.console.routes import router
from dialer.console.site import Console
from dialer.settings import Settings
from dialer.testing import FakeNode

#: What is no page of its own: parts of pages, and what leads elsewhere.
_PARTS: Final = {
    "/console/language/{name:str}",
    "/console/lists/{id:str}/part",
    "/console/desk/day",
    "/console/desk/calls/{call:str}",
    "/console/desk/callbacks",
    "/console/campaigns/{campaign:str}/what-if/{answer:str}",
    "/console/recordings/{recording:str}",
}


def left_out(folder: Path, paths: Iterable[str]) -> list[str]:
    """Routes of pages to which none of these addresses (below ``/console/``) leads."""
    node = FakeNode(folder)
    app = create_app(node.ports, Settings(), [router(Console(node.ports, b"s" * 32))])
    routes = {
        route.path
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/console") and "GET" in route.route_handler_map
        if inspect.signature(route.route_handler_map["GET"][0].fn).return_annotation == "Response[str]"
    }
    assert routes > _PARTS
    known = {"/console/" + path.partition("?")[0] for path in paths}
    return [route for route in sorted(routes - _PARTS) if not any(_leads(path, route) for path in known)]


def _leads(path: str, route: str) -> bool:
    return re.fullmatch(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(route)) + "/?", path) is not None
