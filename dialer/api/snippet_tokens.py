"""Tokens for the snippet on a CRM's pages: short-lived, for one agent on pages of one origin, and for calls alone.

A token holds no secret: it names the SHA-256 of the key that asked for it, under which that key is looked up at every
use, so that revoking the key ends its tokens within seconds. It is signed with a key that all nodes have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from dialer.core.ids import AgentId

#: With what every token begins, so that none is taken for a key.
PREFIX: Final = "snippet."
_MAX_TOKEN: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SnippetToken:
    """What a token says; moments in unix seconds."""

    agent: AgentId
    #: Scheme, host and port of the pages that it is for.
    origin: str
    #: SHA-256 of the key that asked for the first one, hexadecimal.
    digest: str
    #: When the first one was made, and until when this one holds.
    since: float
    expires_at: float


class SnippetTokens:
    """Makes tokens and reads them.

    Args:
        secret: of all nodes.
        lasts_s: for so long a token holds.
        longest_s: for so long it can be renewed, from the first one on.
    """

    def __init__(self, secret: bytes, *, lasts_s: float, longest_s: float) -> None:
        self._signer: Final = URLSafeSerializer(secret, salt="cadencia-snippet")
        self.lasts_s: Final = lasts_s
        self.longest_s: Final = longest_s

    def make(self, agent: AgentId, origin: str, digest: str, now: float) -> tuple[str, SnippetToken]:
        """A first token, and what it says."""
        return self._signed(agent, origin, digest, now, now)

    def renew(self, token: SnippetToken, now: float) -> tuple[str, SnippetToken] | None:
        """Another one like it; None: it has been renewed for long enough."""
        if now >= token.since + self.longest_s:
            return None
        return self._signed(token.agent, token.origin, token.digest, token.since, now)

    def read(self, text: str, now: float) -> SnippetToken | None:
        """What a token says; None where it is none of ours, or has expired."""
        if not text.startswith(PREFIX) or len(text) > _MAX_TOKEN:
            return None
        try:
            said = self._signer.loads(text.removeprefix(PREFIX))
            agent, origin, digest, since, expires_at = msgspec.convert(said, tuple[str, str, str, float, float])
        except (BadData, msgspec.ValidationError, ValueError):
            return None
        if now >= expires_at:
            return None
        return SnippetToken(agent=AgentId(agent), origin=origin, digest=digest, since=since, expires_at=expires_at)

    def _signed(self, agent: AgentId, origin: str, digest: str, since: float, now: float) -> tuple[str, SnippetToken]:
        expires_at = min(now + self.lasts_s, since + self.longest_s)
        text = self._signer.dumps([agent, origin, digest, since, expires_at])
        said = SnippetToken(agent=agent, origin=origin, digest=digest, since=since, expires_at=expires_at)
        return PREFIX + text, said
