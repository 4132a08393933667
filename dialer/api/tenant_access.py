"""Users and keys as far as they are one tenant's: what its managers make and change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dialer.api.errors import ApiError
from dialer.api.key_ports import KeyBook, KeyEntry, Role
from dialer.api.tenant_own import Own, must_be_mine, must_be_own
from dialer.api.user_ports import User, UserBook, UserState


class TenantUserBook(Own):
    """`UserBook` of one tenant. Those whom its managers make are called as its campaigns are.

    So no name tells whom others have: those who share the door are told apart by the beginning.
    """

    def __init__(self, whole: UserBook, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def tenants(self) -> Sequence[str]:
        """See `UserBook`."""
        return ()

    async def all(self, *, tenant: str = "") -> Sequence[User]:
        """See `UserBook`."""
        must_be_mine(self._tenant, tenant)
        return await self._whole.all(tenant=self._tenant)

    async def find(self, name: str) -> User | None:
        """See `UserBook`."""
        found = await self._whole.find(name)
        return found if found is not None and found.tenant == self._tenant else None

    async def create(self, name: str, role: Role, agent: str, password: str, *, tenant: str = "") -> User:
        """See `UserBook`.

        Raises:
            InputError: it would be somebody else's.
        """
        must_be_mine(self._tenant, tenant)
        must_be_own(self._tenant, name.strip().lower(), "name")
        return await self._whole.create(name, role, agent, password, tenant=self._tenant)

    async def set_role(self, name: str, role: Role, agent: str) -> User:
        """See `UserBook`."""
        await self._mine(name)
        return await self._whole.set_role(name, role, agent)

    async def set_state(self, name: str, state: UserState) -> User:
        """See `UserBook`."""
        await self._mine(name)
        return await self._whole.set_state(name, state)

    async def set_password(self, name: str, password: str) -> User:
        """See `UserBook`."""
        await self._mine(name)
        return await self._whole.set_password(name, password)

    async def end_second_factor(self, name: str) -> User:
        """See `UserBook`."""
        await self._mine(name)
        return await self._whole.end_second_factor(name)

    async def _mine(self, name: str) -> None:
        if await self.find(name) is None:
            raise ApiError(404, f"there is no user {name[:64]!r}", code="no_user", user=name[:64])


class TenantKeyBook(Own):
    """`KeyBook` of one tenant."""

    def __init__(self, whole: KeyBook, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def all(self, *, tenant: str = "") -> Sequence[KeyEntry]:
        """See `KeyBook`."""
        must_be_mine(self._tenant, tenant)
        return await self._whole.all(tenant=self._tenant)

    async def find(self, id: str) -> KeyEntry | None:
        """See `KeyBook`."""
        found = await self._whole.find(id)
        return found if found is not None and found.tenant == self._tenant else None

    async def create(self, role: str, name: str, expires_at: float | None, *, tenant: str = "") -> tuple[KeyEntry, str]:
        """See `KeyBook`."""
        must_be_mine(self._tenant, tenant)
        return await self._whole.create(role, name, expires_at, tenant=self._tenant)

    async def rotate(self, id: str, overlap_s: float) -> tuple[KeyEntry, str] | None:
        """See `KeyBook`."""
        return None if await self.find(id) is None else await self._whole.rotate(id, overlap_s)

    async def revoke(self, id: str) -> bool:
        """See `KeyBook`."""
        return await self.find(id) is not None and await self._whole.revoke(id)
