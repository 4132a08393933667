"""What the API and the console need of the rest for API keys, as managers see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
