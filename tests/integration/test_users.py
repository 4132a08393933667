"""Accounts on both databases: what lets somebody in, what does not, and what ends their sessions."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher

from dialer.api.key_ports import Role
from dialer.api.user_ports import UserState
from dialer.errors import InputError
from dialer.runtime.passwords import Passwords
from dialer.runtime.users import UserDesk
from dialer.storage.database import Database
from dialer.storage.users import UserRecord
from dialer.testing import ManualClock
from tests.accounts import BETTER, GOOD, code, desk


async def test_name_and_password_let_somebody_in(database: Database) -> None:
    clock = ManualClock()
    users = desk(database, clock)
    made = await users.create(" Marta ", Role.SUPERVISOR, "ignored", GOOD)
    assert (made.name, made.role, made.agent, made.version) == ("marta", Role.SUPERVISOR, None, 1)
    assert made.signed_in_at is None
    found = await users.sign_in("MARTA", GOOD, "")
    assert found is not None
    assert found.version == 1
    known = await users.find("marta")
    assert known is not None
    assert known.signed_in_at == clock.now()
    for name, password in (("marta", BETTER), ("marta", ""), ("nobody", GOOD), ("", ""), ("m\0\ud800", GOOD)):
        assert await users.sign_in(name, password, "") is None
    stored = await UserRecord(database).find("marta")
    assert stored is not None
    assert GOOD not in repr(stored)


async def test_what_cannot_be_a_user_is_refused(database: Database) -> None:
    users = desk(database, ManualClock())
    await users.create("marta", Role.MANAGER, "", GOOD)
    for name, role, agent, password, says in (
        ("marta", Role.MANAGER, "", GOOD, "already"),
        ("MARTA", Role.AGENT, "", GOOD, "already"),
        ("<script>", Role.AGENT, "", GOOD, "letters"),
        ("", Role.AGENT, "", GOOD, "letters"),
        ("eva", Role.AGENT, "e v a", GOOD, "agent"),
        ("eva", Role.CRM, "", GOOD, "role"),
        ("eva", Role.AGENT, "", "short", "12"),
        ("eva-with-a-name", Role.AGENT, "", "eva-with-a-name", "name"),
    ):
        with pytest.raises(InputError, match=says):
            await users.create(name, role, agent, password)
    assert [user.name for user in await users.all()] == ["marta"]
    with pytest.raises(InputError, match="no user"):
        await users.set_state("nobody", UserState.DISABLED)


async def test_every_change_that_matters_makes_another_version(database: Database) -> None:
    users = desk(database, ManualClock())
    versions = [(await users.create("eva", Role.AGENT, "", GOOD)).version]
    changed = await users.set_role("eva", Role.AGENT, "eva-2")
    assert (changed.role, changed.agent) == (Role.AGENT, "eva-2")
    versions.append(changed.version)
    versions.append((await users.set_role("eva", Role.SUPERVISOR, "")).version)
    versions.append((await users.set_state("eva", UserState.DISABLED)).version)
    assert await users.sign_in("eva", GOOD, "") is None
    versions.append((await users.set_state("eva", UserState.ACTIVE)).version)
    assert await users.change_password("eva", "not the old one", BETTER) is None
    user = await users.change_password("eva", GOOD, BETTER)
    assert user is not None
    versions.append(user.version)
    assert versions == sorted(set(versions))
    assert await users.sign_in("eva", GOOD, "") is None
    assert await users.sign_in("eva", BETTER, "") is not None


async def test_a_code_is_good_once(database: Database) -> None:
    clock = ManualClock()
    users = desk(database, clock)
    await users.create("marta", Role.MANAGER, "", GOOD)
    secret, uri = await users.new_second_factor("marta")
    assert uri.startswith("otpauth://totp/Cadencia:marta?")
    assert await users.set_second_factor("marta", secret, "000000x") is None
    with pytest.raises(InputError):
        await users.set_second_factor("marta", "AAAA", "123456")
    done = await users.set_second_factor("marta", secret, code(secret, clock.now()))
    assert done is not None
    assert done[0].second_factor
    # The code that switched it on is used up, and so is each that let somebody in.
    assert await users.sign_in("marta", GOOD, code(secret, clock.now())) is None
    clock.advance(30)
    now = code(secret, clock.now())
    assert await users.sign_in("marta", GOOD, "") is None
    assert await users.sign_in("marta", BETTER, now) is None
    both = await asyncio.gather(users.sign_in("marta", GOOD, now), users.sign_in("marta", GOOD, now))
    assert sum(found is not None for found in both) == 1
    assert await users.sign_in("marta", GOOD, now) is None
    clock.advance(60)
    # A clock that is half a minute late is forgiven; one that is minutes late is not.
    late = code(secret, clock.now() - 30)
    assert await users.sign_in("marta", GOOD, late) is not None
    clock.advance(300)
    assert await users.sign_in("marta", GOOD, code(secret, clock.now() - 120)) is None
    assert (
        await users.sign_in("marta", GOOD, f" {code(secret, clock.now())[:3]} {code(secret, clock.now())[3:]} ")
        is not None
    )


async def test_a_recovery_code_is_good_once(database: Database) -> None:
    clock = ManualClock()
    users = desk(database, clock)
    await users.create("marta", Role.MANAGER, "", GOOD)
    secret, _ = await users.new_second_factor("marta")
    done = await users.set_second_factor("marta", secret, code(secret, clock.now()))
    assert done is not None
    codes = done[1]
    assert len(set(codes)) == 10
    stored = await UserRecord(database).find("marta")
    assert not any(part in repr(stored) for part in codes)
    typed = codes[0].replace("-", " ").upper()
    both = await asyncio.gather(users.sign_in("marta", GOOD, typed), users.sign_in("marta", GOOD, codes[0]))
    assert sum(found is not None for found in both) == 1
    known = await users.find("marta")
    assert known is not None
    assert known.recovery_left == 9
    ended = await users.end_second_factor("marta")
    assert (ended.second_factor, ended.recovery_left) == (False, 0)
    assert await users.sign_in("marta", GOOD, "") is not None


async def test_a_hash_of_former_costs_is_made_anew_when_somebody_signs_in(database: Database) -> None:
    clock = ManualClock()
    await desk(database, clock).create("marta", Role.MANAGER, "", GOOD)
    dearer = UserDesk(database, Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)), clock.now)
    assert await dearer.sign_in("marta", GOOD, "") is not None
    stored = await UserRecord(database).find("marta")
    assert stored is not None
    assert "m=16,t=2" in stored.hash
    assert stored.version == 1  # nobody's session ends for it
    assert await dearer.sign_in("marta", GOOD, "") is not None
