"""What the API and the console need of the rest for API keys: whose they are, and as managers see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dialer.core.ids import AgentId


class Role(StrEnum):
    """What the holder of a key may do."""

    MANAGER = "manager"
    SUPERVISOR = "supervisor"
    AGENT = "agent"
    CRM = "crm"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A bearer key as it is stored: its SHA-256 in hexadecimal, never itself."""

    id: str
    role: Role
    digest: str
    #: Whom an agent's key belongs to; such a key may act for nobody else.
    agent: AgentId | None = None
    #: Unix seconds; None: valid until it is revoked.
    expires_at: float | None = None
    #: Who signed in to the console with a password: there is no key then, and this stands for one. Empty: a key.
    user: str = ""
    #: Whose it is, and whose things alone it may see; empty: the installation's, which sees everything.
    tenant: str = ""

    @property
    def who(self) -> str:
        """The holder as records name them: ``user:marta`` or ``key:4f2a…``."""
        return f"user:{self.user}" if self.user else f"key:{self.id}"


class KeyStore(Protocol):
    """Where keys are looked up."""

    async def find(self, digest: str) -> ApiKey | None:
        """The key whose SHA-256 is `digest`; None where there is none or it was revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """What is known of an API key; not the key."""

    id: str
    role: str
    #: Whose it is; of an agent's key the agent.
    name: str
    created_at: float
    last_used_at: float | None
    expires_at: float | None
    revoked_at: float | None
    #: Whose things alone it may see; empty: the installation's, which sees everything.
    tenant: str = ""
    #: The id of the key that takes its place; None: it was not rotated.
    replaced_by: str | None = None

    def state(self, now: float) -> str:
        """``good``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "good"


class KeyBook(Protocol):
    """API keys as managers see them (`dialer.runtime.key_book.StoredKeyBook`)."""

    async def all(self, *, tenant: str = "") -> Sequence[KeyEntry]:
        """Every key of a tenant or of all, revoked and expired ones included, the oldest first."""

    async def find(self, id: str) -> KeyEntry | None:
        """One key, whatever its state."""

    async def create(self, role: str, name: str, expires_at: float | None, *, tenant: str = "") -> tuple[KeyEntry, str]:
        """Make a key; the second part is the key itself, which cannot be had again.

        Raises:
            InputError: nobody can have such a key.
        """

    async def rotate(self, id: str, overlap_s: float) -> tuple[KeyEntry, str] | None:
        """Make another key for the same, good for as long as this was made for; this one is good for `overlap_s` more.

        None where there is none that is good, or it was rotated before.
        """

    async def revoke(self, id: str) -> bool:
        """Make a key worthless; False where there is none that is good."""
