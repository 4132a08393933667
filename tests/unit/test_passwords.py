"""Which passwords may be chosen, and that a check does the same work whoever asks."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.errors import InputError, RetryableError
from dialer.runtime.passwords import MAX_LENGTH, MIN_LENGTH, Passwords, weakness
from tests.accounts import BETTER, GOOD, cheap


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("elevenchars", "short"),
        ("x" * (MAX_LENGTH + 1), "long"),
        ("marta-2026-2026", "name"),
        ("MartaMartaMarta", "name"),
        ("passwordpassword", "common"),
        ("Password123456", "common"),
        ("contraseña2026!", "common"),
        ("123456789012", "common"),
        ("aaaaaaaaaaaa", "common"),
        ("abababababab1", "common"),
        ("qwertyuiop1234", "common"),
        ("112233445566", "common"),
        (GOOD, ""),
        (BETTER, ""),
        ("Xq7#mmR2-vvT9", ""),
        ("marta wears seven hats", ""),
    ],
)
def test_weak_passwords_are_refused_in_a_word(password: str, word: str) -> None:
    assert weakness("marta", password) == word


@given(name=st.text(max_size=20), password=st.text(max_size=MIN_LENGTH + 8))
def test_every_text_is_judged(name: str, password: str) -> None:
    judged = weakness(name, password)
    assert (judged == "short") == (len(password) < MIN_LENGTH)
    if set(password) <= {"a", "b"} and len(password) >= MIN_LENGTH:
        assert judged


async def test_a_hash_is_of_its_password_alone_however_it_is_typed() -> None:
    passwords = Passwords(cheap())
    hash = await passwords.hash("marta", "cafe\u0301 con leche frío")
    assert hash.startswith("$argon2id$")
    assert await passwords.check(hash, "café con leche frío")
    assert not await passwords.check(hash, "cafe con leche frio")
    assert not await passwords.check("no hash at all", GOOD)
    assert not await passwords.check(hash, "\ud800" * 20)
    with pytest.raises(InputError, match="at least 12"):
        await passwords.hash("marta", "short")


async def test_nobody_at_all_costs_the_same_check() -> None:
    class Counting(type(cheap())):  # type: ignore[misc]
        checks = 0

        def verify(self, hash: str, password: str) -> bool:
            self.checks += 1
            return bool(super().verify(hash, password))

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    hash = await passwords.hash("marta", GOOD)
    for known in (hash, None):
        before = hasher.checks
        assert not await passwords.check(known, "wrong password x")
        assert hasher.checks == before + 1
    # The decoy's own password opens nothing.
    assert not await passwords.check(None, "a password that nobody has")


async def test_whoever_sends_too_many_is_told_so() -> None:
    passwords = Passwords(cheap())
    answers = await asyncio.gather(*(passwords.check(None, GOOD) for _ in range(60)), return_exceptions=True)
    assert any(isinstance(answer, RetryableError) for answer in answers)
    assert not await passwords.check(None, GOOD)


def test_the_costs_are_those_that_are_advised_today() -> None:
    hash = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAA"
    assert Passwords().outdated(hash)
    assert not Passwords(cheap()).outdated(cheap().hash(GOOD))
