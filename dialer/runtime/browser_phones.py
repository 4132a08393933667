"""Phones in agents' browsers: passwords that hold for minutes, made here, kept by Asterisk, given to one page alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from dialer.api.phone_ports import IceServer, PhoneAccess
from dialer.core.floor import Floor
from dialer.core.ids import AgentId, CampaignId, ServerName, valid_name
from dialer.core.placement import place_agent
from dialer.settings import Asterisk, Webrtc

_log = structlog.get_logger(__name__)

_MINUTE_S: Final = 60.0
#: A page that has its password refused gets another one no sooner.
_ANEW_AFTER_S: Final = 5.0
_LOOK_EVERY_S: Final = 5.0
#: So long a node that stops waits for passwords to be taken back.
_CLOSE_S: Final = 2.0


class PhoneKeeper(Protocol):
    """What writes passwords down (`dialer.switch.asterisk.AsteriskSwitch`)."""

    async def set_phone_key(self, server: ServerName, phone: str, key: str, realm: str) -> str:
        """Let a browser's phone register with this password and no other from now on; why not, or nothing."""


class NodePhones:
    """`dialer.api.phone_ports.BrowserPhones`; let `run` run.

    Args:
        servers: of the settings.
        keeper: writes passwords down at a server.
        floor: who is signed in where, and which servers are connected.
        now: unix seconds.
        elsewhere: agents of other nodes, by server.
    """

    def __init__(
        self,
        servers: tuple[Asterisk, ...],
        keeper: PhoneKeeper,
        floor: Floor,
        now: Callable[[], float],
        elsewhere: Callable[[], Mapping[ServerName, int]],
    ) -> None:
        self._servers: Final[Mapping[ServerName, Asterisk]] = {
            ServerName(server.name): server for server in servers if server.webrtc.url
        }
        self._keeper = keeper
        self._floor = floor
        self._now = now
        self._elsewhere = elsewhere
        #: By agent and server: an agent who moves to another one must not come back to the first with an old password.
        self._given: dict[tuple[AgentId, ServerName], PhoneAccess] = {}
        self._making: dict[AgentId, asyncio.Lock] = {}

    def phone(self, agent: AgentId, server: ServerName) -> str:
        """See `BrowserPhones`."""
        found = self._servers.get(server)
        return "" if found is None or not valid_name(agent) else found.webrtc.phone.replace("{agent}", agent)

    def offered(self, agent: AgentId) -> bool:
        """See `BrowserPhones`."""
        return bool(self._servers) and valid_name(agent)

    async def access(self, agent: AgentId, *, anew: bool, campaigns: Sequence[CampaignId]) -> PhoneAccess | str:
        """See `BrowserPhones`."""
        async with self._making.setdefault(agent, asyncio.Lock()):
            server = self._server_for(agent, campaigns)
            if server is None or not valid_name(agent):
                return "no Asterisk server that has phones for browsers is connected"
            given, now = self._given.get((agent, server)), self._now()
            if given is not None:
                lasts_s = _MINUTE_S * self._servers[server].webrtc.key_minutes
                made_at = given.expires_at - lasts_s
                if now < made_at + _ANEW_AFTER_S or (now < made_at + lasts_s / 2 and not anew):
                    return given
            return await self._make(agent, server, now)

    async def run(self) -> None:
        """Take passwords back when their time is over, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = self._now()
            for key in [key for key, access in self._given.items() if access.expires_at <= now]:
                await self._take_back(key, now)

    async def close(self) -> None:
        """Take all passwords back, as far as that can be done at once."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*(self._take_back(key, math.inf) for key in list(self._given)))
        except TimeoutError:
            _log.warning("passwords of browsers' phones were not taken back", count=len(self._given))

    # ---- inside

    def _server_for(self, agent: AgentId, campaigns: Sequence[CampaignId]) -> ServerName | None:
        """Where they are signed in, else where they are placed."""
        known = self._floor.roster.get(agent)
        if known is not None and known.server in self._servers:
            return known.server
        there = [name for name in self._servers if self._floor.connected(name)]
        return place_agent(self._floor, agent, campaigns, elsewhere=self._elsewhere(), among=there)

    async def _make(self, agent: AgentId, server: ServerName, now: float) -> PhoneAccess | str:
        settings, phone, password = self._servers[server].webrtc, self.phone(agent, server), secrets.token_urlsafe(24)
        problem = await self._keeper.set_phone_key(server, phone, password, settings.realm)
        if problem:
            _log.warning("a browser's phone has no password", server=server, agent=agent, problem=problem)
            return problem
        expires_at = now + settings.key_minutes * _MINUTE_S
        access = PhoneAccess(
            server=server,
            url=settings.url,
            phone=phone,
            realm=settings.realm,
            password=password,
            ice=ice_servers(settings, phone, expires_at),
            expires_at=expires_at,
            relay_only=settings.relay_only,
        )
        self._given[agent, server] = access
        return access

    async def _take_back(self, key: tuple[AgentId, ServerName], now: float) -> None:
        async with self._making.setdefault(key[0], asyncio.Lock()):
            access = self._given[key]
            if access.expires_at > now:
                return  # another one was made meanwhile
            # A password that nobody knows.
            realm = self._servers[access.server].webrtc.realm
            if not await self._keeper.set_phone_key(access.server, access.phone, secrets.token_urlsafe(24), realm):
                del self._given[key]


def ice_servers(settings: Webrtc, phone: str, expires_at: float) -> tuple[IceServer, ...]:
    """STUN as it is, TURN with a name that says until when it holds and a password made from it.

    As coturn's ``use-auth-secret`` has it (draft-uberti-behave-turn-rest-00): the password is an HMAC-SHA1 of the name.
    """
    found = [IceServer(urls=settings.stun)] if settings.stun else []
    if settings.turn:
        username = f"{int(expires_at)}:{phone}"
        digest = hmac.new(settings.turn_secret.encode(), username.encode(), hashlib.sha1).digest()
        found.append(IceServer(urls=settings.turn, username=username, credential=base64.b64encode(digest).decode()))
    return tuple(found)
