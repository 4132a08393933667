"""Settings: the shipped file loads, overrides work, mistakes are named with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dialer.errors import ConfigError
from dialer.settings import Settings, load

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "cadencia.toml"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cadencia.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_defaults() -> None:
    assert load(None, {}) == Settings()


def test_the_shipped_file_loads_once_its_secret_is_there(tmp_path: Path) -> None:
    secret = tmp_path / "ami"
    secret.write_text("s3cret\n", encoding="utf-8")
    settings = load(SHIPPED, {"CADENCIA_ASTERISK__0__SECRET": f"file:{secret}"})
    assert settings.asterisk[0].secret == "s3cret"
    assert settings.asterisk[0].trunks[0].dial == "PJSIP/{number}@carrier"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[api]\nport = 1\n[redis]\nurl = "redis://a"\n')
    settings = load(
        path, {"CADENCIA_API__PORT": "9000", "CADENCIA_NODE": "n7", "CADENCIA_DATABASE__URL": "sqlite:///x"}
    )
    assert (settings.api.port, settings.node, settings.database.url) == (9000, "n7", "sqlite:///x")
    assert settings.redis.url == "redis://a"


@pytest.mark.parametrize(("name", "value"), [("node", "n7"), ("data_dir", "/srv/x"), ("default_region", "FR")])
def test_what_stands_in_no_section_can_be_overridden(tmp_path: Path, name: str, value: str) -> None:
    path = write(tmp_path, 'node = "a"\ndata_dir = "b"\ndefault_region = "DE"\n')
    assert getattr(load(path, {f"CADENCIA_{name.upper()}": value}), name) == value
    # What a shell has besides is no setting.
    assert load(path, {"CADENCIA_CONFIG": "c", "CADENCIA_REQUIRE_LAB": "1"}) == load(path, {})


def test_a_wrong_override_is_named() -> None:
    with pytest.raises(ConfigError, match="default_region"):
        load(None, {"CADENCIA_DEFAULT_REGION": "Spain"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("node = 5 = 6", "not valid TOML"),
        ("[api]\nport = 70000", "api.port"),
        ("[apii]\nport = 1", "apii"),
        ('node = "a b"', "node"),
        ('[[asterisk]]\nname = "a"\n[[asterisk]]\nname = "a"', "same name"),
        ('[[asterisk]]\nname = "a"\n[[asterisk.trunks]]\nname = "t"\ndial = "PJSIP/x"', "{number}"),
        ('[[asterisk]]\nname = "a"\nsecret = "file:/nowhere/at/all"', "/nowhere/at/all"),
        ('[ami]\ndriver = "other"', "ami.driver"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(write(tmp_path, text), {})


def test_a_missing_file_and_wrong_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "no.toml", {})
    path = tmp_path / "latin.toml"
    path.write_bytes('node = "añ"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load(path, {})


def test_an_override_that_names_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError):
        load(None, {"CADENCIA_NODES__X": "1"})
    with pytest.raises(ConfigError):
        load(None, {"CADENCIA_ASTERISK__0__SECRET": "x"})
