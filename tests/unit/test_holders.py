"""Whose doing something was, in words: never the id of a key, never a label that is somebody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dialer.api.key_ports import KeyEntry
from dialer.api.tenant_access import TenantKeyBook
from dialer.console.holders import Holders
from dialer.console.texts import texts
from dialer.errors import RetryableError
from dialer.testing import ManualClock


def key(id: str, name: str, tenant: str = "") -> KeyEntry:
    return KeyEntry(
        id=id,
        role="crm",
        name=name,
        created_at=0.0,
        last_used_at=None,
        expires_at=None,
        revoked_at=1.0,  # who did something is named all the same
        tenant=tenant,
    )


@dataclass
class Book:
    """Keys that are on record."""

    keys: list[KeyEntry] = field(default_factory=lambda: [key("4f2a", "CRM sync"), key("77", "their robot", "acme")])
    broken: bool = False
    asked: int = 0

    async def all(self, *, tenant: str = "") -> Sequence[KeyEntry]:
        self.asked += 1
        if self.broken:
            raise RetryableError("the database is out of reach")
        return [each for each in self.keys if not tenant or each.tenant == tenant]


@pytest.mark.parametrize(
    ("who", "says"),
    [
        ("user:marta", "marta"),
        ("agent:adam", "adam"),
        ("key:4f2a", "API key “CRM sync”"),
        ("key:none", "an API key"),
        ("key:", "an API key"),
        ("Marta: by phone", "Marta: by phone"),
        ("user:", "user:"),
        ("", ""),
    ],
)
async def test_people_read_names(who: str, says: str) -> None:
    holders = Holders(Book(), ManualClock(0.0))  # type: ignore[arg-type]  # what is not asked for is not there
    await holders.look()
    assert holders.words(texts("en"), who) == says
    assert bool(holders.label(who)) == ("CRM sync" in says)


async def test_both_languages_have_words_for_a_key() -> None:
    holders = Holders(Book(), ManualClock(0.0))  # type: ignore[arg-type]
    await holders.look()
    assert holders.words(texts("es"), "key:4f2a") == "clave de API «CRM sync»"
    assert Holders(None, ManualClock(0.0)).words(texts("es"), "key:4f2a") == "una clave de API"


async def test_a_key_that_was_just_made_is_named_where_it_is_to_be_read() -> None:
    book = Book()
    holders = Holders(book, ManualClock(0.0))  # type: ignore[arg-type]
    await holders.look()
    book.keys.append(key("new", "the newest"))
    await holders.look(["user:marta", "key:4f2a"])
    assert book.asked == 1  # nobody unknown: nothing is asked again so soon
    await holders.look(["key:4f2a", "key:new"])
    assert (book.asked, holders.label("key:new")) == (2, "the newest")


async def test_a_tenant_reads_the_labels_of_its_own_keys_alone() -> None:
    holders = Holders(TenantKeyBook(Book(), "acme"), ManualClock(0.0))  # type: ignore[arg-type]
    await holders.look()
    assert holders.words(texts("en"), "key:77") == "API key “their robot”"
    assert holders.words(texts("en"), "key:4f2a") == "an API key"


async def test_new_keys_are_learnt_of_within_seconds_and_the_book_is_not_asked_by_everybody() -> None:
    book, clock = Book(keys=[]), ManualClock(0.0)
    holders = Holders(book, clock)  # type: ignore[arg-type]
    for _ in range(100):
        await holders.look()
    assert book.asked == 1
    book.keys.append(key("4f2a", "CRM sync"))
    clock.advance(5.0)
    await holders.look()
    assert holders.label("key:4f2a") == "CRM sync"


async def test_what_is_known_stays_while_the_book_is_out_of_reach() -> None:
    book, clock = Book(), ManualClock(0.0)
    holders = Holders(book, clock)  # type: ignore[arg-type]
    await holders.look()
    book.broken = True
    clock.advance(60.0)
    await holders.look()
    assert (book.asked, holders.label("key:4f2a")) == (2, "CRM sync")
