"""Mappings: every mistake is found when the file is loaded, with its place; templates; addresses; access."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dialer.core.disposition import DEFAULT_DISPOSITIONS
from dialer.core.ids import ContactId
from dialer.core.outcome import Outcome
from dialer.crm import soap
from dialer.crm.access import Access
from dialer.crm.client import CrmClient, retry_after
from dialer.crm.mapping import MappingFile, compile_mapping, load_mapping, mapping_path
from dialer.crm.outbound import Destinations
from dialer.crm.samples import sample_disposed, sample_ended
from dialer.crm.templates import Template, compiled, in_header, in_path, in_xml, rendered
from dialer.crm.updates import facts_of, rule_for
from dialer.errors import ConfigError, InputError
from dialer.settings import Crm, CrmAccess, CrmPull, load
from tests.crm_rig import CAMPAIGN, MAPPINGS

GOOD = """
title = "x"
[pending]
path = "/calls"
rows = "calls"
[contact]
record = "id"
phones = "[phone]"
[[update]]
on = ["call.ended"]
path = "/calls/{record}"
body = {status = "{outcome|status}"}
[tables.status]
"*" = "other"
"""


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.toml")), ids=lambda path: path.name)
def test_what_is_shipped_loads_and_has_an_update_for_every_result(path: Path) -> None:
    mapping = load_mapping(path)
    for result in (
        sample_ended(CAMPAIGN, ContactId("r-1"), Outcome.CONNECTED, again=False),
        sample_disposed(CAMPAIGN, ContactId("r-1"), DEFAULT_DISPOSITIONS[0], "EUR"),
    ):
        facts = facts_of(result, key="k", version="1", name="Ana", priority=1, fields={})
        assert rule_for(mapping, facts) is not None


def test_the_example_is_good() -> None:
    assert compile_mapping(msgspec.convert(tomllib.loads(GOOD), MappingFile)).types == {"call.ended"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('rows = "calls"', 'rows = "calls["', "pending.rows: 'calls[' is no JMESPath expression"),
        ('phones = "[phone]"', 'phones = ""', "contact.phones must not be empty"),
        ('record = "id"', 'recrod = "id"', "recrod"),
        ("{record}", "{recrod}", "update[0].path: {recrod} is no fact"),
        ("{record}", "{record", "update[0].path: '/calls/{record': a brace alone"),
        ("|status}", "|sttaus}", "there is no [tables.sttaus]"),
        ('on = ["call.ended"]', 'on = ["call.began"]', "call.began"),
        ('on = ["call.ended"]', "on = []", "on"),
        ('path = "/calls"', 'path = "calls"', "pending.path"),
        ('path = "/calls"', 'path = "/calls"\nmethod = "DELETE"', "method"),
        ('path = "/calls"', 'path = "/calls"\nlists = "changes"', "needs pending.changes"),
        ('path = "/calls"', 'path = "/calls"\nchanged = "x"', "belong to pending.lists"),
        ('rows = "calls"', 'rows = "calls"\n[pending.paging]\nkind = "link"', "pending.paging.next must find the link"),
        (
            'phones = "[phone]"',
            'phones = "[phone]"\n[contact.types]\ndebt = "number"',
            "there is no contact.fields.debt",
        ),
        ('title = "x"', 'title = "x"\nformat = "soap"', "pending: SOAP needs a text as body, and an action"),
        ('body = {status = "{outcome|status}"}', 'body = "x"', "must be a table"),
        ('title = "x"', 'title = "x', "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert GOOD.count(old) >= 1
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_ones_own_mapping_comes_before_one_that_is_shipped(tmp_path: Path) -> None:
    assert mapping_path(Crm(mappings=str(tmp_path)), "rest.toml") == MAPPINGS / "rest.toml"
    (tmp_path / "rest.toml").write_text(GOOD)
    assert mapping_path(Crm(mappings=str(tmp_path)), "rest.toml") == tmp_path / "rest.toml"
    assert mapping_path(Crm(), str(tmp_path / "rest.toml")) == tmp_path / "rest.toml"
    assert mapping_path(Crm(mappings=str(tmp_path)), "none.toml") == tmp_path / "none.toml"


def test_a_mapping_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the mapping"):
        load_mapping(tmp_path / "none.toml")


FACTS: dict[str, Any] = {"a": 1, "b": True, "c": 2.5, "d": None, "e": "x/y", "fields": {"Debt": {"sum": 3}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a}", 1),
        ("{b}", True),
        ("{d}", None),
        ("{d?none}", "none"),
        ("{missing.far.away}", None),
        ("{fields.Debt.sum}", 3),
        ("{a}{b} {c}{d}", "1true 2.5"),
        ("{{{a}}}", "{1}"),
        ("{a|t}", "one"),
        ("{c|t}", "other"),
    ],
)
def test_templates(text: str, value: object) -> None:
    tables = {"t": {"1": "one", "*": "other"}}
    assert Template(text).value(FACTS, tables) == value


def test_facts_are_harmless_where_they_stand() -> None:
    assert (
        Template("/calls({e})?x={f}").text({"e": "../a b", "f": "é&=#"}, {}, in_path)
        == "/calls(..%2Fa%20b)?x=%C3%A9%26%3D%23"
    )
    assert in_xml("<a b='\"'>&\x00\x0b]]>") == "&lt;a b=&apos;&quot;&apos;&gt;&amp;]]&gt;"
    assert in_header("a\r\nHost: b\x00 é") == "a Host: b  ?"
    body = rendered(compiled({"a": "{a}", "d": "{d}", "n": None, "l": ["{d}", "{a}"], "i": 7}), FACTS, {})
    assert body == {"a": 1, "n": None, "l": [1], "i": 7}
    with pytest.raises(InputError, match=r"has no '2\.5'"):
        Template("{c|t}").value(FACTS, {"t": {"1": "one"}})


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("10.9.0.1", True),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.9.0.1", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("not an address", False),
    ],
)
def test_addresses(address: str, allowed: bool) -> None:
    assert Destinations(["10.9.0.0/16"]).allowed(address) is allowed


def test_networks_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"outbound\.internal"):
        Destinations(["10.0.0.0/99"])
    (tmp_path / "cadencia.toml").write_text('[outbound]\ninternal = ["10.0.0.0/99"]\n')
    with pytest.raises(ConfigError, match=r"outbound\.internal"):
        load(tmp_path / "cadencia.toml", {})


@pytest.mark.parametrize("kind", ["basic", "bearer", "header", "oauth2"])
def test_access_that_lacks_something(kind: Any) -> None:
    with pytest.raises(ConfigError, match=f"kind '{kind}' needs"):
        Access(CrmAccess(kind=kind))


def test_secrets_that_no_header_can_carry() -> None:
    with pytest.raises(ConfigError, match="no header can carry"):
        Access(CrmAccess(kind="bearer", token="a\r\nHost: b"))


@pytest.mark.parametrize("url", ["https://user@crm.example", "https://crm.example:99999"])
def test_urls_of_no_server(url: str) -> None:
    pull = CrmPull(name="x", campaign="w", mapping="rest.toml", url=url)
    with pytest.raises(ConfigError, match="must name a server"):
        CrmClient(pull, Destinations(), lambda: 0.0)


def test_retry_after() -> None:
    assert retry_after("120", 0.0) == 120.0
    assert retry_after("Thu, 01 Jan 1970 00:02:00 GMT", 60.0) == 60.0
    assert retry_after("Thu, 01 Jan 1970 00:02:00 GMT", 600.0) == 0.0
    assert retry_after("99999999", 0.0) == 86_400.0
    assert [retry_after(text, 0.0) for text in ("", "soon", "-5", "١٢")] == [None] * 4


def test_secrets_do_not_stand_in_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "cadencia.toml"
    text = '[[crm.pull]]\nname = "x"\ncampaign = "w"\nmapping = "rest.toml"\nurl = "https://crm.example"\n'
    path.write_text(text + 'access = {kind = "bearer", token = "plain"}\n')
    with pytest.raises(ConfigError, match=r"crm.pull\[0\].access.token must not stand in the settings"):
        load(path, {})
    (tmp_path / "token").write_text("secret\n")
    path.write_text(text + f'access = {{kind = "bearer", token = "file:{tmp_path}/token"}}\n')
    assert load(path, {}).crm.pull[0].access.token == "secret"
    path.write_text(text)
    settings = load(path, {"CADENCIA_CRM__PULL__0__ACCESS__TOKEN": "from outside"})
    assert settings.crm.pull[0].access.token == "from outside"
    assert settings.crm.mappings == str(tmp_path / "crm")
    path.write_text(text + text)
    with pytest.raises(ConfigError, match="same name"):
        load(path, {})


def test_soap_of_both_versions() -> None:
    for version in ("1.1", "1.2"):
        made = soap.envelope("<a><b>1</b><b>2</b><c x='y'>t</c><d/></a>", version)
        assert soap.read(made) == {"a": {"b": ["1", "2"], "c": {"@x": "y", "#": "t"}, "d": ""}}
    assert "SOAPAction" in soap.headers("urn:x", "1.1")
    assert 'action="urn:x"' in soap.headers("urn:x", "1.2")["Content-Type"]
