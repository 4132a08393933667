"""What an agent's page needs to be a phone (`dialer.runtime.browser_phones.NodePhones`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.core.ids import AgentId, CampaignId, ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """A STUN server, or a TURN server with a name and a password that expire."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccess:
    """With which one browser may register one phone, for some minutes."""

    server: ServerName
    #: Of Asterisk's WebSocket.
    url: str
    #: Endpoint, which is the user name too.
    phone: str
    realm: str
    password: str
    ice: tuple[IceServer, ...]
    #: Unix seconds; until then the password holds.
    expires_at: float
    #: Sound goes through the TURN servers of `ice`, and no other way.
    relay_only: bool = False


class BrowserPhones(Protocol):
    """Lets agents' browsers be their phones."""

    def phone(self, agent: AgentId, server: ServerName) -> str:
        """Endpoint of this agent's browser at a server; empty: there are none at it."""

    def offered(self, agent: AgentId) -> bool:
        """Whether an agent can work with their browser at any server."""

    async def access(self, agent: AgentId, *, anew: bool, campaigns: Sequence[CampaignId]) -> PhoneAccess | str:
        """What the agent's browser registers with, or why it cannot.

        Args:
            agent: whose browser.
            campaigns: that they are about to sign in for; of somebody who is signed in they do not matter.
            anew: the password given before is not taken; make another, unless that was seconds ago.
        """
