"""The sub-commands against a running node, as an operator and a campaign manager type them."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dialer.queues.embedded import EmbeddedServer
from dialer.simulation.profiles import FAST
from dialer.simulation.world import Reaction, World
from tests.e2e.programs import run, wait_for
from tests.e2e.sites import SECRET, ExchangeThread, Site, free_port, listener, settings_file

pytestmark = pytest.mark.slow

PROFILE = replace(FAST, mix={Reaction.PERSON: 0.7, Reaction.BUSY: 0.3})


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeThread]:
    with ExchangeThread(World(PROFILE, seed=1)) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, exchange: ExchangeThread) -> Iterator[Site]:
    """A node that runs."""
    folder = tmp_path_factory.mktemp("commands")
    made = Site(folder, settings_file(folder, ami_port=exchange.exchange.port))
    try:
        program = made.start()
        yield made
        # A clean end, whatever the tests have left.
        assert program.end(signal.SIGTERM) == 0, program.complaints
        program.gone()
        assert "Traceback" not in program.complaints
    finally:
        made.clear_away()


# ---- campaigns


def test_a_campaign_from_its_making_to_its_end(site: Site) -> None:
    created = site.cadencia(
        "campaign", "create", "spring", "--name", "Spring [2026]", "--method", "progressive", "--json"
    ).ok()
    assert created.json()["id"] == "spring"
    assert "Spring [2026]" in site.cadencia("campaign", "list").ok().output
    listed = {row["id"]: row["state"] for row in site.cadencia("campaign", "list", "--json").ok().json()}
    assert listed["spring"] == "draft"
    for order, state in (("start", "running"), ("pause", "paused"), ("start", "running"), ("stop", "stopped")):
        site.cadencia("campaign", order, "spring").ok()
        shown = site.cadencia("campaign", "show", "spring", "--json").ok().json()
        assert (shown["state"], shown["settings"]["method"]) == (state, "progressive")
    assert "progressive" in site.cadencia("campaign", "show", "spring").ok().output


def test_campaign_mistakes_are_told(site: Site) -> None:
    site.cadencia("campaign", "create", "autumn").ok()
    site.cadencia("campaign", "create", "autumn").failed(1, "autumn")
    site.cadencia("campaign", "create", "bad id").failed(1, "id")
    site.cadencia("campaign", "create", "x", "--max-abandonment", "0.5").failed(1, "max_abandonment")
    site.cadencia("campaign", "create", "x", "--method", "guess").failed(1, "method", "predictive")
    site.cadencia("campaign", "show", "nowhere").failed(1, "nowhere")
    site.cadencia("campaign", "start", "nowhere").failed(1, "nowhere")
    site.cadencia("campaign", "pause", "autumn").failed(1)
    site.cadencia("campaign", "create").failed(2)
    site.cadencia("campaign", "create", "x", "--max-abandonment", "much").failed(2)
    bad = site.folder / "bad.toml"
    bad.write_text("method = ")
    site.cadencia("campaign", "create", "x", "--file", str(bad)).failed(2, "bad.toml")


# ---- lists


def test_a_list_with_rejected_rows(site: Site) -> None:
    site.cadencia("campaign", "create", "lists").ok()
    rows = [
        ["id", "nombre", "teléfono"],
        ["a", "Ana", "06 12 34 56 78"],
        ["b", "Bea", "not a number"],
        ["c", "", "+34600111333"],
        ["a", "Ana again", "0612345679"],
        ["d", "", ""],
    ]
    file = site.write_csv(rows, "people.csv")
    rejected = site.folder / "rejected.csv"
    said = site.cadencia("list", "load", "lists", str(file), "--rejected", str(rejected)).ok()
    assert "2 of 5" in said.output or "3 of 5" in said.output, said.output
    with rejected.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    assert found, "rejected rows with their reasons"
    again = site.cadencia("list", "load", "lists", str(file), "--json").ok().json()
    assert (again["state"], again["read"]) == ("done", 5)
    assert again["accepted"] + again["rejected"] == 5
    assert sum(again["reasons"].values()) == again["rejected"] == len(found)


def test_lists_that_cannot_be_read_say_what_to_do(site: Site) -> None:
    site.cadencia("campaign", "create", "badlists").ok()
    no_phone = site.write_csv([["id", "name"], ["a", "Ana"]], "nophone.csv")
    site.cadencia("list", "load", "badlists", str(no_phone)).failed(1, "phone")
    empty = site.folder / "empty.csv"
    empty.write_bytes(b"")
    site.cadencia("list", "load", "badlists", str(empty)).failed(1)
    site.cadencia("list", "load", "nowhere", str(no_phone)).failed(1, "nowhere")
    site.cadencia("list", "load", "badlists", str(site.folder / "missing.csv")).failed(2, "missing.csv")


def test_odd_lists_do_no_harm(site: Site) -> None:
    site.cadencia("campaign", "create", "odd").ok()
    latin = site.folder / "latin.csv"
    latin.write_bytes("id;teléfono;nombre\n1;0612345001;Íñigo Muñoz\n2;0612345002;Begoña\n".encode("cp1252"))
    assert site.cadencia("list", "load", "odd", str(latin), "--json").ok().json()["accepted"] == 2
    long = site.folder / "long.csv"
    long.write_bytes(b"id,phone,notes\n1,+34600222003," + b"x" * 10_000_000 + b"\n2,+34600222004,fine\n")
    state = site.cadencia("list", "load", "odd", str(long), "--json").ok().json()
    assert (state["accepted"], state["rejected"]) == (1, 1)


# ---- do-not-call


def test_do_not_call_from_entry_to_removal(site: Site) -> None:
    phone, other = "+34600333001", "+34600333002"
    site.cadencia("dnc", "add", phone, "--reason", "asked [twice]").ok()
    entries = wait_for(
        lambda: [e for e in site.cadencia("dnc", "check", phone, "--json").ok().json() if e["scope"] == "*"],
        "the entry on record",
    )
    assert entries[0]["reason"] == "asked [twice]"
    assert "asked [twice]" in site.cadencia("dnc", "check", phone).ok().output
    assert "not listed" in site.cadencia("dnc", "check", other).ok().output
    file = site.folder / "blocked.csv"
    file.write_text(f'phone\n"{other}",asked\n{phone}\n')
    assert "2 entered" in site.cadencia("dnc", "import", str(file)).ok().output
    wait_for(lambda: "not listed" not in site.cadencia("dnc", "check", other).ok().output, "the imported entry")
    site.cadencia("dnc", "remove", phone, other).ok()
    wait_for(lambda: site.cadencia("dnc", "check", phone, other).ok().output.count("not listed") == 2, "both taken off")
    site.cadencia("dnc", "add", "12").failed(1, "phone")
    site.cadencia("dnc", "add", "34*").failed(1, "country code")
    site.cadencia("dnc", "add").failed(2)


def test_do_not_call_by_account_and_by_how_numbers_begin(site: Site) -> None:
    said = ("--scope", "account:D-77", "--by", "Eva", "--reason", "moved", "--expires", "2036-01-31T12:00:00Z")
    site.cadencia("dnc", "add", "+34 60033 4*", *said).ok()
    wait_for(lambda: "not listed" not in site.cadencia("dnc", "check", "+34600334001").ok().output, "the entry")
    [entry] = site.cadencia("dnc", "list", "--scope", "account:D-77", "--json").ok().json()
    assert (entry["phone"], entry["reason"], entry["source"], entry["by"]) == ("+34600334*", "moved", "cli", "Eva")
    assert entry["expires"].startswith("2036-01-31T12:00:00")
    site.cadencia("dnc", "add", "+34600334001", "--scope", "no such scope").failed(1, "account:")


def test_nobody_is_erased_without_a_key_to_remember_them_by(site: Site) -> None:
    site.cadencia("erase", "+34600334001", "--who", "Eva").failed(1, "suppression_key")


def test_a_do_not_call_file_without_numbers_is_refused(site: Site) -> None:
    empty = site.folder / "nobody.csv"
    empty.write_text("phone\n\n")
    site.cadencia("dnc", "import", str(empty)).failed(1, "nobody.csv")
    mixed = site.folder / "mixed.csv"
    mixed.write_text("phone\n+34600333003\nnobody\n12345678901234567890\n+34600333004\n")
    told = site.cadencia("dnc", "import", str(mixed)).failed(1, "2 lines", "line 3", "'nobody'", "line 4")
    assert "2 entered" in told.output
    wait_for(
        lambda: "not listed" not in site.cadencia("dnc", "check", "+34600333003", "+34600333004").ok().output,
        "the good ones entered",
    )
    binary = site.folder / "list.xlsx"
    binary.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    site.cadencia("dnc", "import", str(binary)).failed(1, "list.xlsx")


# ---- agents, and the report of what they did


def test_agents_work_a_list_and_the_report_and_the_evidence_tell(site: Site) -> None:
    site.cadencia("campaign", "create", "work", "--method", "progressive").ok()
    file = site.write_csv([["id", "phone"], *([f"w{n}", f"+346004440{n:02d}"] for n in range(12))], "work.csv")
    site.cadencia("list", "load", "work", str(file)).ok()
    site.cadencia("agents", "sign-in", "ana", "--phone", "ana", "--campaign", "work").ok()

    def state(agent: str = "ana") -> str:
        rows = {row["id"]: row["state"] for row in site.cadencia("agents", "--json").ok().json()}
        return str(rows.get(agent, "gone"))

    wait_for(lambda: state() == "idle", "ana is idle")
    site.cadencia("agents", "pause", "ana", "--code", "lunch").ok()
    wait_for(lambda: state() == "paused", "ana pauses")
    assert "lunch" in site.cadencia("agents").ok().output
    site.cadencia("agents", "ready", "ana").ok()
    site.cadencia("campaign", "start", "work").ok()
    report = wait_for(
        lambda: (r := site.cadencia("report", "work", "--json").ok().json())["connected"] >= 1 and r, "a talk on record"
    )
    assert report["dialed"] == sum(report["outcomes"].values())
    assert set(report["outcomes"]) <= {"connected", "busy", "hung_up", "abandoned", "no_answer"}
    wait_for(lambda: state() == "wrapup", "ana wraps up")
    site.cadencia("agents", "ready", "ana").ok()
    site.cadencia("campaign", "stop", "work").ok()
    assert "connected" in site.cadencia("report", "work").ok().output
    site.cadencia("agents", "sign-out", "ana").ok()
    wait_for(lambda: state() in {"gone", "signed_out"}, "ana went home")
    site.cadencia("agents", "ready", "nobody").failed(1, "nobody")
    site.cadencia("agents", "sign-in", "ana", "--campaign", "work").failed(2, "--phone")
    site.cadencia("report", "nowhere").failed(1, "nowhere")

    # the evidence of these calls
    verified = wait_for(
        lambda: (found := site.cadencia("evidence", "verify", "--json").ok().json())["intact"] > 0 and found,
        "attempts in the evidence",
    )
    assert verified["problem"] is None
    head = site.cadencia("evidence", "head").ok().output.strip()
    site.cadencia("evidence", "verify", "--from", head).ok()
    cut = f"{verified['intact'] + 999}:{'0' * 64}"
    site.cadencia("evidence", "verify", "--from", cut).failed(1, "not in this chain")
    site.cadencia("evidence", "verify", "--from", "yesterday").failed(2, "number:hash")
    rows = site.cadencia("evidence", "export", "--campaign", "work", "--format", "csv").ok().output.splitlines()
    assert rows[0].startswith("number,kind,reference,at,phone")
    assert "'+34" in rows[1], "a number is no formula"
    lines = site.cadencia("evidence", "export", "--campaign", "work").ok().output.splitlines()
    assert json.loads(lines[0])["facts"]["verdict"]["asked"] == ["SIMULATED-hours@2000-01-01"]
    site.cadencia("evidence", "export", "--contact", "x").failed(2, "--campaign")
    site.cadencia("evidence", "erase", "+34600777001", "--who", "anna").failed(1, "suppression_key")


def test_why_a_contact_is_not_called(site: Site) -> None:
    file = site.write_csv([["id", "phone"], ["why-1", "+34600777001"], ["why-2", "+34600777002"]], "why.csv")
    site.cadencia("campaign", "create", "why").ok()
    site.cadencia("list", "load", "why", str(file)).ok()
    site.cadencia("dnc", "add", "+34600777002").ok()
    told = " ".join(site.cadencia("why", "--campaign", "why", "--contact", "why-1").ok().output.split())
    assert "the campaign is draft; the contact may be called from" in told
    listed = wait_for(
        lambda: (
            (told := site.cadencia("why", "--campaign", "why", "--contact", "why-2", "--json").ok().json())
            and told["phones"][0]["do_not_call"]
            and told
        ),
        "the do-not-call entry on record",
    )
    assert (listed["next_at"], listed["says"]) == (None, "all of its numbers are on a do-not-call list")
    site.cadencia("why", "--campaign", "why", "--contact", "nobody").failed(1, "there is no contact 'nobody'")
    site.cadencia("why", "--contact", "why-1").failed(2, "--campaign")
    site.cadencia("why").failed(2, "--phone")


# ---- where there is no node


def test_commands_without_a_node_say_how_to_find_one(tmp_path: Path) -> None:
    config = settings_file(tmp_path, ami_port=1)
    run("campaign", "list", "--config", str(config)).failed(1, "cadencia serve", "--api-url")
    port = free_port()
    address = ("--api-url", f"http://127.0.0.1:{port}", "--api-key", "key")
    run("campaign", "list", *address).failed(1, f"http://127.0.0.1:{port}", "cadencia serve")
    with listener(b"SSH-2.0-OpenSSH_9.6\r\n") as other:
        run("campaign", "list", "--api-url", f"http://127.0.0.1:{other}", "--api-key", "key").failed(1, str(other))
    run("campaign", "list", "--config", str(tmp_path / "missing.toml")).failed(1, "missing.toml")
    run("campaign", "fly").failed(2, "fly")


def test_a_wrong_key_is_told(site: Site) -> None:
    run("campaign", "list", "--api-url", site.api.url, "--api-key", "wrong").failed(1, "key")


# ---- doctor


def test_doctor_finds_what_is_well(site: Site) -> None:
    # the exchange has no dialplan to show; that of a real Asterisk is looked at in test_real_asterisk
    found = site.cadencia("doctor", "--json").failed(1).json()
    assert {finding["part"] for finding in found} == {"redis", "database", "asterisk pbx", "costs", "privacy"}
    (bad,) = [finding for finding in found if not finding["ok"]]
    assert "ShowDialPlan" in bad["says"]
    assert "manager.conf" in bad["mend"]


def doctor(folder: Path, part: str, *words: str, environ: dict[str, str] | None = None, **settings: object) -> None:
    """It must find something wrong with this part, say these words, and what to do."""
    config = settings_file(folder, **{"ami_port": 1, **settings})  # type: ignore[arg-type]  # those of settings_file
    done = run("doctor", "--json", "--config", str(config), environ=environ, cwd=folder)
    assert done.code == 1, done.complaints
    bad = [finding for finding in json.loads(done.output) if finding["part"] == part and not finding["ok"]]
    assert bad, done.output
    text = " ".join(f"{finding['says']} {finding['mend']}" for finding in bad)
    for word in words:
        assert word in text, text
    assert "secret-word" not in done.output


def test_doctor_wrong_ami_password(tmp_path: Path, exchange: ExchangeThread) -> None:
    port = exchange.exchange.port
    doctor(tmp_path, "asterisk pbx", "cadencia", "manager.conf", ami_port=port, secret="secret-word")


def test_doctor_a_port_that_speaks_something_else(tmp_path: Path) -> None:
    with listener(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
        doctor(tmp_path, "asterisk pbx", str(port), ami_port=port)


def test_doctor_nobody_listens(tmp_path: Path) -> None:
    port = free_port()
    doctor(tmp_path, "asterisk pbx", str(port), "Asterisk up", ami_port=port)


def test_doctor_no_trunk_and_no_server(tmp_path: Path, exchange: ExchangeThread) -> None:
    path = settings_file(tmp_path, ami_port=exchange.exchange.port)
    path.write_text(path.read_text().split("[[asterisk.trunks]]")[0])
    # for people: names in brackets must come through as they are
    assert "[[asterisk.trunks]]" in run("doctor", "--config", str(path)).failed(1).output
    path.write_text(path.read_text().split("[[asterisk]]")[0])
    assert "[[asterisk]]" in run("doctor", "--config", str(path)).output


def test_doctor_a_database_without_tables_is_not_touched(tmp_path: Path) -> None:
    doctor(tmp_path, "database", "cadencia db upgrade")
    assert not (tmp_path / "cadencia.db").exists(), "a look changes nothing"
    config = settings_file(tmp_path, ami_port=1)
    run("db", "upgrade", "--config", str(config)).ok()
    run("db", "upgrade", "--config", str(config)).ok()
    found = json.loads(run("doctor", "--json", "--config", str(config)).output)
    assert [finding["ok"] for finding in found if finding["part"] == "database"] == [True]


def test_doctor_a_database_out_of_reach(tmp_path: Path) -> None:
    port = free_port()
    url = f"postgresql://nobody:secret-word@127.0.0.1:{port}/x"
    doctor(tmp_path, "database", "out of reach", "database.url", database=url)
    doctor(tmp_path, "database", "database.url", database="mysql://nobody:secret-word@127.0.0.1/x")


def test_doctor_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "cadencia.db").write_text("This is no database. " * 100)
    doctor(tmp_path, "database", "cadencia.db")


def test_doctor_redis_out_of_reach(tmp_path: Path) -> None:
    port = free_port()
    doctor(tmp_path, "redis", "redis.url", redis=f"redis://:secret-word@127.0.0.1:{port}/0")
    doctor(tmp_path, "redis", "redis.url", redis="http://127.0.0.1")


def test_doctor_a_redis_that_keeps_nothing(tmp_path: Path, valkey_server: EmbeddedServer) -> None:
    doctor(tmp_path, "redis", "appendonly", redis=valkey_server.tcp_url)


def test_doctor_a_redis_that_is_something_else(tmp_path: Path) -> None:
    with listener(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
        doctor(tmp_path, "redis", redis=f"redis://127.0.0.1:{port}/0")


def test_settings_that_are_wrong_name_the_setting(tmp_path: Path) -> None:
    config = settings_file(tmp_path, ami_port=1)
    good = config.read_text()
    for wrong, words in (
        (good + "color = 3\n", ("color",)),
        (good.replace("port = 1\n", "port = 99999\n"), ("port",)),
        (good.replace('node = "n1"', 'node = "n 1"'), ("node",)),
        (good.replace(SECRET, f"file:{tmp_path / 'nothing'}"), ("secret", "nothing")),
        ("node = ", ("TOML",)),
    ):
        config.write_text(wrong)
        run("serve", "--config", str(config)).failed(1, *words)
