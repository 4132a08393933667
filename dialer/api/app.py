"""The application: routes, keys, errors and description put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from dialer.api import (
    abandonment_routes,
    account_orders,
    action_routes,
    agent_routes,
    audit_routes,
    call_request_routes,
    call_routes,
    callback_routes,
    campaign_routes,
    compliance_routes,
    contact_routes,
    delivery_routes,
    disposition_routes,
    filter_routes,
    health_routes,
    history_routes,
    key_routes,
    law_routes,
    list_routes,
    list_settings_routes,
    live_routes,
    pacing_routes,
    person_routes,
    preview_routes,
    purge_routes,
    push_routes,
    recording_routes,
    recycle_routes,
    report_routes,
    segment_routes,
    snippet_routes,
    supervision_routes,
    user_routes,
    webhook_routes,
    why_routes,
)
from dialer.api.audit import AuditMiddleware
from dialer.api.auth import Authenticator, AuthMiddleware
from dialer.api.bodies import MAX_JSON_BYTES, check_body
from dialer.api.cross_origin import CrossOrigin
from dialer.api.errors import HANDLERS, on_http_error
from dialer.api.idempotency import IdempotencyMiddleware
from dialer.api.ports import ApiPorts
from dialer.api.tenancy import TenantDoor, tenants_stay
from dialer.intake.phones import PhoneReader
from dialer.settings import Settings

_DESCRIPTION: Final = """\
Every request carries `Authorization: Bearer KEY`; a key has one role (manager, supervisor, agent, crm, metrics).
Errors are always `{"error": …, "message": …, "details": {…}}`. A write with the header `Idempotency-Key` is carried out
once, however often it is sent. Lists are paged: give `next_cursor` as `cursor` to get the next page.
"""


def create_app(ports: ApiPorts, settings: Settings, pages: Sequence[Router] = ()) -> Litestar:
    """The ASGI application, connected to `ports`, with `pages` for people beside it. Nothing runs between requests."""
    phones = PhoneReader(settings.default_region)
    api = Router(
        "/api/v1",
        route_handlers=[
            campaign_routes.routes,
            filter_routes.routes,
            pacing_routes.routes,
            abandonment_routes.routes,
            report_routes.routes,
            action_routes.routes,
            why_routes.routes,
            history_routes.routes,
            contact_routes.routes,
            list_routes.routes,
            list_settings_routes.routes,
            recycle_routes.routes,
            purge_routes.routes,
            law_routes.routes,
            person_routes.routes,
            compliance_routes.routes,
            push_routes.routes,
            callback_routes.routes,
            segment_routes.routes,
            call_request_routes.routes,
            call_routes.routes,
            snippet_routes.routes,
            recording_routes.routes,
            disposition_routes.routes,
            delivery_routes.routes,
            webhook_routes.routes,
            agent_routes.routes,
            supervision_routes.routes,
            preview_routes.routes,
            live_routes.routes,
            user_routes.routes,
            key_routes.routes,
            audit_routes.routes,
        ],
        security=[{"key": []}],
    )
    return Litestar(
        route_handlers=[api, *health_routes.routes, snippet_routes.script, *pages],
        dependencies={
            "ports": Provide(TenantDoor(ports).ports_of, sync_to_thread=False),
            "settings": Provide(_give(settings), sync_to_thread=False),
            "phones": Provide(_give(phones), sync_to_thread=False),
        },
        middleware=[
            DefineMiddleware(AuditMiddleware, trail=ports.audit, clock=ports.clock),
            DefineMiddleware(
                AuthMiddleware,
                authenticator=Authenticator(ports.keys, ports.clock, ports.guesses),
                clock=ports.clock,
                requests_per_s=settings.api.requests_per_s,
            ),
            DefineMiddleware(IdempotencyMiddleware, store=ports.idempotency, clock=ports.clock),
        ],
        guards=[tenants_stay],
        before_request=check_body,
        exception_handlers={**HANDLERS, HTTPException: _astray(pages)},
        request_max_body_size=MAX_JSON_BYTES,
        openapi_config=OpenAPIConfig(
            title="Cadencia",
            version=_version(),
            description=_DESCRIPTION,
            path="/api/openapi.json",
            # JSON only: the framework's pages load their scripts from other people's servers.
            render_plugins=[JsonRenderPlugin(path="/")],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
            use_handler_docstrings=True,
        ),
        state=State(
            {
                "settings": settings,
                "scrape": health_routes.Scrape(),
                "live_cache": live_routes.LiveCache(),
                account_orders.STATE: account_orders.AccountOrders(ports.clock),
            }
        ),
        logging_config=None,
    )


def with_snippet(app: Litestar, ports: ApiPorts, settings: Settings) -> ASGIApp:
    """The application, with a door for the pages of other origins that the settings name."""
    if ports.snippet is None or not settings.snippet.origins:
        return app
    return CrossOrigin(
        app,
        origins=settings.snippet.origins,
        tokens=ports.snippet,
        authenticator=Authenticator(ports.keys, ports.clock, ports.guesses),
        clock=ports.clock,
    )


def _astray(pages: Sequence[Router]) -> Callable[[Request[Any, Any, Any], HTTPException], Response[Any]]:
    """Answers addresses that no route has: below `pages` in the words of these, elsewhere as the API does."""

    def answer(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        path = request.scope["path"]
        below = (router for router in pages if path == router.path or path.startswith(f"{router.path}/"))
        handlers = (router.exception_handlers.get(HTTPException) for router in below)
        handler = next((handler for handler in handlers if handler is not None), on_http_error)
        return handler(request, error)

    return answer


def _give(value: Any) -> Any:
    def provide() -> Any:
        return value

    return provide


def _version() -> str:
    try:
        return version("cadencia")
    except PackageNotFoundError:
        return "0"
