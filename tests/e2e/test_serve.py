"""`cadencia serve` as an operator runs it: stopped and killed in the middle of calls, and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dialer.simulation.distributions import Constant
from dialer.simulation.profiles import FAST
from dialer.simulation.world import Fate, Reaction, World
from tests.e2e.programs import wait_for
from tests.e2e.sites import ExchangeThread, Site, settings_file

pytestmark = pytest.mark.slow

CONTACTS = 80
AGENTS = 6
RINGS = "34600990001"
TALKS = "34600990002"
#: Calls of half a second: at any moment some ring and some talk.
PROFILE = replace(
    FAST,
    mix={Reaction.PERSON: 0.6, Reaction.BUSY: 0.2, Reaction.MACHINE: 0.1, Reaction.INVALID: 0.1},
    talk=Constant(0.4),
)


@contextmanager
def running(folder: Path) -> Iterator[tuple[Site, ExchangeThread]]:
    """A site whose campaign calls a list."""
    scripted = {
        RINGS: Fate(reaction=Reaction.NO_ANSWER, ring_s=0.0),
        TALKS: Fate(reaction=Reaction.PERSON, ring_s=0.1, talk_s=9.0),
    }
    with ExchangeThread(World(PROFILE, seed=1, scripted=scripted)) as exchange:
        site = Site(folder, settings_file(folder, ami_port=exchange.exchange.port))
        try:
            yield site, exchange
        finally:
            site.clear_away()


def prepare(site: Site) -> None:
    (site.folder / "campaign.toml").write_text(
        'method = "progressive"\nring_timeout_s = 15.0\nwrapup_limit_s = 0.0\nmax_attempts = 1\n'
    )
    site.cadencia("campaign", "create", "winter", "--file", str(site.folder / "campaign.toml")).ok()
    rows = [["id", "phone", "priority"], ["rings", f"+{RINGS}", "100"], ["talks", f"+{TALKS}", "100"]]
    rows += [[f"crm-{number}", f"+346001{number:05d}", "0"] for number in range(CONTACTS)]
    site.cadencia("list", "load", "winter", str(site.write_csv(rows))).ok()
    sign_in(site)
    site.cadencia("campaign", "start", "winter").ok()


def sign_in(site: Site) -> None:
    # as the agents' page does it: six commands would take longer than the calls
    for number in range(1, AGENTS + 1):
        name = f"agent{number:02d}"
        site.api.post(f"/agents/{name}/sign-in", {"phone": name, "campaigns": ["winter"]})


def finish(site: Site) -> None:
    """The rest of the list."""
    wait_for(lambda: site.ended() >= CONTACTS + 2, f"the whole list called, {site.live()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_every_call_has_one_end_over_a_restart(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as (site, exchange):
        first = site.start()
        prepare(site)
        client = site.client()
        talk = client.wait("call.connected", contact="talks")
        ring = client.wait("call.started", contact="rings")
        wait_for(lambda: site.ended() >= 20, "twenty calls over")
        client.read()
        client.close()
        live = exchange.customers()
        assert {talk["call"], ring["call"]} <= live
        if number is signal.SIGTERM:
            assert first.end(number) == 0, first.complaints
            # what rang has been hung up, the talk goes on
            assert ring["call"] not in exchange.customers()
        else:
            first.signal(number)
            first.ended()
        first.gone()
        assert talk["call"] in exchange.customers(), "talks go on without the dialer"

        answered = [row[0] for row in site.sql("SELECT outcome FROM attempts")]
        people = sum(outcome in {"connected", "abandoned", "hung_up"} for outcome in answered)
        second = site.start()
        # the budget knows what it was charged with before
        before = site.live()["abandonment"]
        assert before["legal_live_answers"] >= people > 0
        sign_in(site)
        client = site.client()
        ended = client.wait("call.ended", contact="rings")
        assert ended["outcome"] in {"lost", "cancelled"}
        assert exchange.ask(lambda ex: [r.ended_by for r in ex.log if r.call == ring["call"]]) == ["dialer"]
        over = client.wait("call.ended", contact="talks")
        assert over["outcome"] == "connected"
        assert exchange.ask(lambda ex: [r.ended_by for r in ex.log if r.call == talk["call"]]) == ["customer"]
        finish(site)
        site.check(client, exchange)
        client.close()
        # nobody was called for a second attempt: those whose fate is not known wait for theirs
        contacts = site.sql("SELECT contact, count(*) FROM attempts GROUP BY contact HAVING count(*) > 1")
        assert contacts == []
        assert second.end(signal.SIGTERM) == 0, second.complaints
        second.gone()
        assert "Traceback" not in second.complaints
        if number is signal.SIGTERM:
            # after a kill the worker beside the node may say how it lost its Redis
            assert "Traceback" not in first.complaints


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_an_import_goes_on_after_a_restart(tmp_path: Path, number: signal.Signals) -> None:
    rows = 80_000
    with running(tmp_path) as (site, _):
        first = site.start()
        site.cadencia("campaign", "create", "winter").ok()
        file = site.folder / "list.csv"
        file.write_text("id,phone\n" + "".join(f"c{n},+346{n:08d}\n" for n in range(rows)))
        state = site.api.upload("/campaigns/winter/lists", file, "text/csv", name="big")
        path = f"/lists/{state['id']}"
        wait_for(lambda: 0 < site.api.get(path)["read"] < rows, "some rows read")
        first.signal(number)
        first.ended()
        first.gone()
        second = site.start()
        wait_for(lambda: site.api.get(path)["state"] != "running", f"the rest, {site.api.get(path)}")
        done = site.api.get(path)
        assert (done["state"], done["read"], done["accepted"]) == ("done", rows, rows), str(done)
        assert site.sql("SELECT count(*) FROM contacts") == [(rows,)]
        assert second.end(signal.SIGTERM) == 0, second.complaints


def test_a_second_node_on_the_same_folder_says_so(tmp_path: Path) -> None:
    with running(tmp_path) as (site, _):
        first = site.start()
        site.cadencia("serve").failed(1, "another process", "data_dir")
        assert first.end(signal.SIGINT) == 0
        first.gone()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with running(tmp_path) as (site, exchange):
        settings_file(tmp_path, ami_port=exchange.exchange.port, api_port=exchange.exchange.port)
        site.cadencia("serve").failed(1, str(exchange.exchange.port), "api.port")
