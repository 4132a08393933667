"""Second factors and named fields of contacts: sealed in the database and its backups, open to those who read them."""

from __future__ import annotations

import base64
import secrets
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from dialer.api.key_ports import Role
from dialer.core.ids import CampaignId
from dialer.errors import ConfigError, StorageError
from dialer.runtime.examination import examine
from dialer.settings import Database as DatabaseSettings
from dialer.settings import Privacy, Settings
from dialer.storage.backup import backup
from dialer.storage.contact_scan import ContactScan
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.field_seal import FieldSeal, seal_of
from dialer.storage.person_export import export_person
from dialer.storage.resealing import reseal, unsealed_users
from dialer.storage.text import from_json, to_json
from dialer.storage.users import UserRecord
from dialer.testing import ManualClock
from tests.accounts import GOOD, code, desk
from tests.record_values import CAMPAIGN, contact

NOW = 1_800_000_000.0
OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
IBAN = "ES9121000418450200051332"
FIELDS = {"iban": IBAN, "score": 7, "note": "plain"}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["iban", "note", "x"]), values))
def test_what_is_sealed_opens_as_it_was_and_is_not_to_be_seen(fields: dict[str, Any]) -> None:
    seal = FieldSeal([OLD], ["iban", "x"])
    # As the databases keep it, which know no NUL.
    fields = from_json(to_json(fields))
    kept = seal.dump(fields)
    assert seal.load(kept) == fields
    for name, value in msgspec.json.decode(kept).items():
        assert value == fields[name] if name == "note" else value != fields[name]
    # Whoever writes what they have read back, in whichever form, changes nothing.
    assert seal.load(seal.seal_text(kept)) == fields
    rotated = FieldSeal([NEW, OLD], ["iban", "x"])
    assert FieldSeal([NEW]).load(rotated.seal_text(kept)) == fields


def test_a_sealed_value_of_another_field_or_key_or_a_changed_one_does_not_open() -> None:
    seal = FieldSeal([OLD], ["iban", "note"])
    sealed = seal.seal(IBAN, "iban")
    assert seal.seal(IBAN, "iban") != sealed, "the same value twice does not look the same"
    changed = sealed[:-6] + ("AAAA==" if sealed[-6:] != "AAAA==" else "BBBB==")
    for text_, field, with_ in (
        (sealed, "note", seal),
        (changed, "iban", seal),
        (sealed, "iban", FieldSeal([NEW])),
        ("sealed:v1:", "iban", seal),
        (sealed.rpartition(":")[0] + ":", "iban", seal),
    ):
        with pytest.raises(StorageError):
            with_.open(text_, field)
        assert with_.load(msgspec.json.encode({field: text_})) == {field: text_}, "and stays as it is"
    # A text of a CRM that only looks like it comes back as it was.
    assert seal.load(seal.dump({"note": "sealed:v1:mine"})) == {"note": "sealed:v1:mine"}


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"31 bytes" * 3).decode(), "ñ" * 44])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        seal_of(Privacy(encryption_key=key, encrypted_fields=("iban",)))


def test_without_a_key_nothing_is_sealed() -> None:
    assert seal_of(Privacy()) is None


def privacy(*keys: bytes) -> Privacy:
    first, *others = (base64.b64encode(key).decode() for key in keys)
    return Privacy(encryption_key=first, former_keys=tuple(others), encrypted_fields=("iban", "score"))


@pytest.fixture
async def opened(database_url: str) -> AsyncIterator[dict[str, Database]]:
    """One database, seen with keys and without."""
    seals = {
        "none": None,
        "old": seal_of(privacy(OLD)),
        "both": seal_of(privacy(NEW, OLD)),
        "new": seal_of(privacy(NEW)),
    }
    found = {name: Database(database_url, seal=seal) for name, seal in seals.items()}
    yield found
    for database in found.values():
        await database.close()


async def raw(database: Database) -> str:
    async with database.read() as connection:
        fields = (await connection.execute(text("SELECT CAST(fields AS text) FROM contacts"))).scalars().all()
        factors = (await connection.execute(text("SELECT totp_secret FROM users"))).scalars().all()
    return repr([*fields, *factors])


async def fields_of(database: Database) -> object:
    stored = await Contacts(database).get(CampaignId(CAMPAIGN), contact(1).id)
    assert stored is not None
    return stored.contact.fields


async def test_fields_and_second_factors_are_sealed_and_rotated_and_read(opened: dict[str, Database]) -> None:
    clock = ManualClock()
    users = desk(opened["none"], clock)
    await users.create("marta", Role.MANAGER, "", GOOD)
    secret, _ = await users.new_second_factor("marta")
    assert await users.set_second_factor("marta", secret, code(secret, clock.now())) is not None
    one = msgspec.structs.replace(contact(1), fields=FIELDS)
    await Contacts(opened["none"]).upsert([one], NOW)
    assert IBAN in await raw(opened["none"])
    # What was in the clear before there was a key is read, and sealed by one command.
    assert await fields_of(opened["old"]) == FIELDS
    done = await reseal(opened["old"])
    assert (done.users, done.contacts) == (1, 1)
    for told in (await raw(opened["none"]), await raw(opened["old"])):
        assert IBAN not in told
        assert secret not in told
        assert "plain" in told
    assert await fields_of(opened["old"]) == FIELDS
    assert await fields_of(opened["none"]) != FIELDS
    assert (await reseal(opened["old"])).contacts == 0, "repeated it changes nothing"
    # Another key: the old one still opens, and then is not needed.
    assert await fields_of(opened["both"]) == FIELDS
    seal = opened["both"].seal
    assert seal is not None
    assert await unsealed_users(opened["both"], seal) == 1
    assert await reseal(opened["both"]) == done
    assert await unsealed_users(opened["both"], seal) == 0
    assert await fields_of(opened["new"]) == FIELDS
    assert await fields_of(opened["old"]) != FIELDS
    clock.advance(60)
    users = desk(opened["new"], clock)
    assert await users.sign_in("marta", GOOD, code(secret, clock.now())) is not None
    with pytest.raises(StorageError, match="privacy"):
        await UserRecord(opened["old"]).find("marta")
    with pytest.raises(ConfigError, match="privacy"):
        await reseal(opened["none"])


async def test_whoever_reads_finds_them_as_they_were(opened: dict[str, Database]) -> None:
    database = opened["old"]
    made = [msgspec.structs.replace(contact(n), fields={**FIELDS, "n": n}) for n in range(3)]
    await Contacts(database).upsert(made, NOW)
    assert IBAN not in await raw(database)
    page = await Contacts(database).page(CampaignId(CAMPAIGN))
    assert [stored.contact.fields for stored in page.items] == [one.fields for one in made]
    scanned = [one async for some in ContactScan(database).of_list(CampaignId(CAMPAIGN), "l1") for one in some]
    assert all(one.fields["iban"] == IBAN for one in scanned)
    told = await export_person(database, made[0].phones, at=NOW)
    assert told["tables"]["contacts"][0]["fields"]["iban"] == IBAN


async def test_a_backup_has_only_what_is_sealed(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url, seal=seal_of(privacy(OLD)))
    try:
        await Contacts(database).upsert([msgspec.structs.replace(contact(1), fields=FIELDS)], NOW)
    finally:
        await database.close()
    target = tmp_path / "backup.zip"
    await backup(sqlite_url, target, NOW)
    with tarfile.open(target) as archive:
        parts = [part.read() for member in archive if (part := archive.extractfile(member)) is not None]
    assert not any(IBAN.encode() in part for part in parts)
    assert any(b"sealed:v1:" in part for part in parts)


async def test_the_doctor_says_what_is_sealed(sqlite_url: str, tmp_path: Path) -> None:
    def settings(wanted: Privacy) -> Settings:
        return Settings(data_dir=str(tmp_path), database=DatabaseSettings(url=sqlite_url), privacy=wanted)

    async def told(wanted: Privacy) -> list[tuple[bool, str]]:
        return [(one.ok, one.says) for one in await examine(settings(wanted)) if one.part == "privacy"]

    assert await told(Privacy()) == [(True, (await told(Privacy()))[0][1])]
    assert await told(privacy(OLD)) == [(True, "second factors are sealed; sealed fields of contacts: iban, score")]
    [(ok, says)] = await told(Privacy(encrypted_fields=("iban",)))
    assert not ok
    assert "encryption_key" in says
