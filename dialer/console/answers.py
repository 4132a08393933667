"""What the console's page modules share: how they get the console and the visit, and how they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from dialer.api.bodies import ACCEPTS
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.ports import ApiPorts
from dialer.console.site import Console
from dialer.console.texts import Texts
from dialer.console.visit import Visit
from dialer.core.ids import CampaignId
from dialer.projections.live_rows import LiveSnapshot

#: `opt` of a route that takes a form.
FORM: Final = {ACCEPTS: ("application/x-www-form-urlencoded",)}
#: Nothing is loaded from elsewhere, nothing inline is run, and no other site may frame a page or be sent a form.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
#: Longest text that a field takes, unless its page says otherwise.
MAX_FIELD: Final = 300
_VISIT: Final = "console_visit"
#: Campaigns that a field suggests; what is typed may be another.
_MOST_NAMES: Final = 500
#: Campaigns that are read at once.
_AT_ONCE: Final = 500

Site = NamedDependency[SkipValidation[Console]]
#: Parameters of a page: `visit: Visitor` is anybody who is signed in, `staff: Staff` a manager or a supervisor,
#: `manager: Manager` a manager; others are refused (403).
Visitor = NamedDependency[SkipValidation[Visit]]
Staff = NamedDependency[SkipValidation[Visit]]
Manager = NamedDependency[SkipValidation[Visit]]
PageRequest = Request[Any, Any, Any]


def view_of(console: Console) -> LiveSnapshot:
    """What is going on now, computed once for all who look."""
    return console.live.at(console.ports, console.ports.clock.now())[0]


def page(console: Console, name: str, texts: Texts, *, status: int = 200, **values: Any) -> Response[str]:
    """A page; `visit` is among the values where somebody is signed in."""
    html = console.pages.render(name, texts, **({"visit": None, "holders": console.holders} | values))
    return Response(html, status_code=status, media_type="text/html")


async def campaign_names(console: Console) -> list[str]:
    """Ids of campaigns that a field suggests, as many as it bears."""
    return [stored.campaign.id for stored in await console.ports.campaigns.page(None, _MOST_NAMES)]


async def every_campaign(ports: ApiPorts, after: CampaignId | None = None) -> AsyncIterator[StoredCampaign]:
    """All campaigns by id, or those behind one."""
    while True:
        found = await ports.campaigns.page(after, _AT_ONCE)
        for stored in found:
            yield stored
        if len(found) < _AT_ONCE:
            return
        after = found[-1].campaign.id


def navigates(request: PageRequest) -> bool:
    """Whether a browser shows the answer as a page: a link or a form, and not a script's request."""
    mode = request.headers.get("sec-fetch-mode", "")
    # Browsers leave it out where a site is reached without TLS, but then say what they can show.
    return mode == "navigate" if mode else "text/html" in request.headers.get("accept", "") and not by_htmx(request)


def by_htmx(request: PageRequest) -> bool:
    """Whether a live part, or a form that is checked while it is typed, asks."""
    return "hx-request" in request.headers


def keep_visit(request: PageRequest, visit: Visit | None) -> None:
    """Keep whose request it is for pages that ask for no visit."""
    request.state[_VISIT] = visit


def kept_visit(request: PageRequest) -> Visit | None:
    """Whose request it is; None: nobody's, as far as is known."""
    found: Visit | None = request.state.get(_VISIT)
    return found


def to(path: str, cookies: list[Cookie] | None = None) -> Response[str]:
    """Go on at another address (303)."""
    return Response("", status_code=303, headers={"location": path}, cookies=cookies or [])


def address_of(request: PageRequest) -> str:
    """Where a request comes from, as far as the socket tells; empty where it does not."""
    return request.client.host if request.client else ""


def cookie(name: str, value: str, lasts_s: int, request: PageRequest) -> Cookie:
    """A cookie for the console alone; over TLS only where the visit came that way."""
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    return Cookie(
        key=name, value=value, path="/console", max_age=lasts_s, httponly=True, secure=secure, samesite="strict"
    )
