"""The browser as an agent's phone: what their page may do for it, and whose phone it is, which nobody chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from dialer.api.ports import ApiPorts
from dialer.console.answers import POLICY
from dialer.core.ids import AgentId, ServerName
from dialer.settings import Settings

#: Of the agent's page where browsers can be phones; `dialer.console.routes.HEADERS` has that of all others.
MICROPHONE: Final = "camera=(), geolocation=(), microphone=(self)"


def policy(settings: Settings) -> str:
    """What the agent's page may load: also the CRM's pages that stand beside a call, and the WebSockets of Asterisk."""
    urls = (urlsplit(server.webrtc.url) for server in settings.asterisk if server.webrtc.url)
    origins = " ".join(dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in urls))
    found = POLICY.replace("connect-src 'self'", f"connect-src 'self' {origins}") if origins else POLICY
    return f"{found}; frame-src {' '.join(settings.desk.frames)}" if settings.desk.frames else found


def in_browser(ports: ApiPorts, agent: AgentId, extension: str) -> bool:
    """Whether an agent who is signed in with this extension works with their browser."""
    row = ports.control.live().agent(agent)
    if ports.phones is None or row is None or row.server is None:
        return False
    return extension != "" and extension == ports.phones.phone(agent, ServerName(row.server))


def chosen(ports: ApiPorts, agent: AgentId, form: Mapping[str, Any]) -> dict[str, str] | None:
    """Phone and server of a sign-in, as `SignInInput` has them; None: browsers are no phones at that server."""
    if form.get("browser") != "on":
        return {"phone": str(form.get("phone", "")).strip()}
    server = ServerName(str(form.get("server", ""))[:64])
    phone = "" if ports.phones is None else ports.phones.phone(agent, server)
    return {"phone": phone, "server": server} if phone else None
