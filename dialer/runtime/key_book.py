"""API keys on SQL, as managers make, rotate and revoke them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dialer.api.key_ports import KeyEntry, Role
from dialer.core.ids import AgentId, valid_name
from dialer.errors import InputError
from dialer.runtime.tenants import check_known, check_own
from dialer.storage.database import Database
from dialer.storage.keys import ApiKey, Keys

_MAX_NAME: Final = 100


class StoredKeyBook:
    """`dialer.api.key_ports.KeyBook` on SQL.

    Args:
        database: where keys are stored, as hashes.
        now: the clock.
    """

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database: Final = database
        self._keys: Final = Keys(database)
        self._now: Final = now

    async def all(self, *, tenant: str = "") -> Sequence[KeyEntry]:
        """See `KeyBook`."""
        return [_entry(key) for key in await self._keys.all(tenant)]

    async def find(self, id: str) -> KeyEntry | None:
        """See `KeyBook`."""
        found = await self._keys.get(id)
        return None if found is None else _entry(found)

    async def create(self, role: str, name: str, expires_at: float | None, *, tenant: str = "") -> tuple[KeyEntry, str]:
        """See `KeyBook`."""
        plain = name.strip()
        if role not in set(Role):
            raise InputError(f"role: must be {', '.join(Role)}", allowed=tuple(Role), code="key_role", may=list(Role))
        if not plain or not plain.isprintable() or len(plain) > _MAX_NAME:
            raise InputError(f"name: 1 to {_MAX_NAME} printable characters", code="key_name", most=_MAX_NAME)
        if role == Role.AGENT and not valid_name(plain):
            raise InputError(
                "name: an agent's key is named after the agent: letters, digits, _ and -, at most 64",
                code="key_of_agent",
            )
        if tenant and role == Role.METRICS:
            raise InputError("role: metrics are the installation's, not a tenant's", code="key_metrics")
        await check_known(self._database, tenant)
        check_own(tenant, AgentId(plain) if role == Role.AGENT else None)
        key, secret = await self._keys.create(role, plain, now=self._now(), expires_at=expires_at, tenant=tenant)
        return _entry(key), secret

    async def rotate(self, id: str, overlap_s: float) -> tuple[KeyEntry, str] | None:
        """See `KeyBook`."""
        made = await self._keys.rotate(id, self._now(), overlap_s)
        return None if made is None else (_entry(made[0]), made[1])

    async def revoke(self, id: str) -> bool:
        """See `KeyBook`."""
        return await self._keys.revoke(id, self._now())


def _entry(key: ApiKey) -> KeyEntry:
    return KeyEntry(
        id=key.id,
        role=key.role,
        name=key.name,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        tenant=key.tenant,
        replaced_by=key.replaced_by,
    )
