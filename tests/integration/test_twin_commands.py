"""`cadencia simulate` and `cadencia replay` as they are typed: results, files, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dialer.cli.application import app
from dialer.core.agent import AgentState
from dialer.core.agent_spell import AgentSpell, milliseconds, quarters
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.outcome import Outcome
from dialer.core.pacing_entry import PacingEntry
from dialer.errors import DialerError
from dialer.storage.agent_time import AgentTimes
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.pacing_journal import PacingJournal
from dialer.storage.schema import migrate
from pacing.floor import Floor, Shift, Steps
from pacing.replaying import CallRow
from tests.twin_days import MORNING, recorded_day, write_calls

FAST = ["--hours", "0.5", "--agents", "4", "--talk", "40", "--processes", "1"]


def cadencia(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> Any:
    result = cadencia(*arguments, "--json")
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def refusal(*arguments: object) -> str:
    """The message of a command that failed on purpose."""
    result = cadencia(*arguments)
    assert result.exit_code != 0, result.output
    if isinstance(result.exception, DialerError):
        return str(result.exception)
    return " ".join(result.output.split())


def test_methods_side_by_side() -> None:
    found = answer("simulate", *FAST, "--method", "progressive", "--method", "ratio", "--days", 2)
    progressive, ratio = found["methods"]
    assert (progressive["method"], ratio["method"]) == ("progressive", "ratio")
    assert progressive["days"] == 2
    assert progressive["abandoned"] == 0
    assert ratio["occupancy"] > progressive["occupancy"]


def test_days_are_the_same_by_one_process_or_several() -> None:
    arguments = ("simulate", "--hours", "0.2", "--agents", 3, "--method", "ratio", "--days", 2)
    assert answer(*arguments, "--processes", 1) == answer(*arguments, "--processes", 2)


def test_a_scenario_is_changed_by_options(tmp_path: Path) -> None:
    (tmp_path / "talks.csv").write_text("id,talk\n1,10\n2,20\n3,\n", encoding="utf-8")
    path = tmp_path / "floor.toml"
    path.write_text(
        'name = "Two shifts"\nhours = 1\nmethods = ["ratio"]\n[talk]\ncsv = "talks.csv"\ncolumn = "talk"\n'
        '[[shifts]]\nagents = 2\n[[shifts]]\nagents = 4\nfrom = "09:30"\n',
        encoding="utf-8",
    )
    found = answer("simulate", path, "--agents", 3, "--answer-rate", 0.5, "--processes", 1)
    assert found["scenario"] == "Two shifts"
    assert found["methods"][0]["agents"] == 3
    assert "50 % answer" in found["floor"]


def test_files_are_written(tmp_path: Path) -> None:
    html, plot = tmp_path / "a.html", tmp_path / "a.png"
    result = cadencia("simulate", *FAST, "--method", "progressive", "--days", 1, "--html", html, "--plot", plot)
    assert result.exit_code == 0, result.output
    assert "</html>" in html.read_text(encoding="utf-8")
    assert plot.stat().st_size > 10_000


def test_a_sweep_has_a_row_for_each_point() -> None:
    found = answer(
        "simulate", *FAST, "--method", "ratio", "--days", 1, "--sweep", "agents=3..5:1", "--sweep", "ratio=1,2"
    )
    assert [row["point"] for row in found] == [
        {"agents": float(agents), "ratio": ratio} for agents in (3, 4, 5) for ratio in (1.0, 2.0)
    ]
    assert [row["agents"] for row in found] == [3, 3, 4, 4, 5, 5]


def test_how_many_agents_by_friday() -> None:
    found = answer(
        *("simulate", "--contacts", 400, "--hours", 1, "--talk", 60, "--method", "ratio", "--processes", 1),
        *("--plan", "agents", "--from", "2026-11-23", "--by", "2026-11-27", "--closed", "2026-11-25"),
    )[0]
    assert found["working_days"] == 4
    assert found["agents"] >= 2
    enough = {int(row["agents"]): "through" in row["list"] for row in found["rows"]}
    assert enough[found["agents"]]
    assert not enough.get(found["agents"] - 1, False)


def test_what_a_limit_costs_and_what_one_more_agent_brings() -> None:
    limit, more = answer(
        *("simulate", "--hours", 1, "--agents", 10, "--talk", 40, "--answer-rate", 0.5, "--days", 1, "--processes", 1),
        *("--plan", "limit", "--plan", "one-more"),
    )
    assert limit["question"] == "What does 1 % instead of 3 % cost?"
    assert limit["occupancy"] < 0.0
    assert more["agents"] == 11
    assert more["talks_a_day"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "predictve"], "did you mean 'predictive'"),
        (["--sweep", "agents"], "write it as agents=10..30:5"),
        (["--plan", "money"], "--plan must be one of agents, limit, one-more"),
        (["--plan", "agents", "--contacts", "50"], "needs a deadline: --by"),
        (["--plan", "agents", "--by", "2026-11-27", "--from", "2026-11-23"], "It takes a list"),
        (["--plan", "agents", "--contacts", "50", "--by", "Friday"], "must be a date such as"),
        (["--plan", "agents", "--contacts", "9", "--from", "2026-11-21", "--by", "2026-11-22"], "no working day"),
        (["--plan", "agents", "--contacts", "9", "--by", "2026-11-22", "--work", "sunny"], "write mon-fri"),
        (["--plan", "limit", "--against", "0.03"], "two different limits"),
        (["--plan", "one-more", "--sweep", "agents=1,2"], "two things"),
        (["--on", "moon"], "must be auto, local or rq"),
        (["--plot", "x.pdf"], "must end in .png or .svg"),
        (["--html", "missing/x.html"], "does not exist"),
        (["nothing.toml"], "cannot read the scenario"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_says_what_to_do(arguments: list[str], says: str) -> None:
    assert says in refusal("simulate", "--hours", "0.1", *arguments)


def test_a_broken_scenario_says_where(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for text, says in (
        ("agents = ", "not valid TOML"),
        ("agnts = 3", "did you mean 'agents'"),
        ('[talk]\ncsv = "no.csv"\ncolumn = "x"', "cannot read"),
    ):
        path.write_text(text, encoding="utf-8")
        assert says in refusal("simulate", path)
    path.write_bytes(b'name = "\xff"')
    assert "not UTF-8" in refusal("simulate", path)
    (tmp_path / "t.csv").write_text("talk\n1\nmany\n", encoding="utf-8")
    path.write_text('[talk]\ncsv = "t.csv"\ncolumn = "talk"', encoding="utf-8")
    assert "line 3" in refusal("simulate", path)
    path.write_text('[talk]\ncsv = "t.csv"\ncolumn = "talks"', encoding="utf-8")
    assert "has no column 'talks'; there are talk" in refusal("simulate", path)


FLOOR = Floor(shifts=(Shift(agents=5),), answer=Steps(0.4), hours=1.0)


@pytest.fixture(scope="module")
def rows() -> list[CallRow]:
    return recorded_day(FLOOR, "progressive")[0]


@pytest.mark.parametrize("iso", [True, False], ids=["RFC 3339", "unix seconds"])
def test_a_day_is_replayed_from_a_file(rows: list[CallRow], tmp_path: Path, iso: bool) -> None:
    path = write_calls(tmp_path / "calls.csv", rows, iso=iso)
    html = tmp_path / "r.html"
    found = answer(
        *("replay", path, "--in-force", "progressive", "--method", "ratio", "--ratio", 2),
        *("--html", html, "--processes", 1),
    )
    assert found["method_in_force"] == "progressive"
    assert [trial["method"] for trial in found["simulated"]] == ["progressive, simulated", "ratio"]
    assert found["simulated"][0]["occupancy"] == pytest.approx(found["really"]["occupancy"], abs=0.05)
    assert found["really"]["dialed"] == len(rows)
    assert "</html>" in html.read_text(encoding="utf-8")


def test_a_day_is_replayed_from_the_database_beside_its_journal(rows: list[CallRow], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/record.db"
    config = tmp_path / "cadencia.toml"
    config.write_text(f'[database]\nurl = "{url}"\n', encoding="utf-8")
    asyncio.run(_store(url, rows))
    arguments = ("replay", "--campaign", "winter", "--config", config, "--processes", 1)
    found = answer(*arguments, "--day", "2026-11-20", "--method", "ratio")
    assert found["method_in_force"] == "progressive"
    assert found["really"]["dialed"] == len(rows)
    assert found["pacing_journal"] == {"idle": 0.75, "max_lines": 0.25}
    assert any("pacing journal" in text for text in found["remarks"])
    assert "has no calls" in refusal(*arguments, "--day", "2026-11-19")
    assert "no campaign 'summer'" in refusal("replay", "--campaign", "summer", "--config", config)
    # Nothing was on record of the agents' time, so wrap-ups were reckoned with; now they are as they were.
    assert found["wrapup_assumed_s"] is not None
    asyncio.run(_store_spells(url, rows))
    known = answer(*arguments, "--day", "2026-11-20", "--method", "ratio")
    assert known["wrapup_assumed_s"] is None
    exactly = answer("replay", write_calls(tmp_path / "c.csv", rows), "--in-force", "progressive", "--method", "ratio")
    assert known["really"]["occupancy"] == pytest.approx(exactly["really"]["occupancy"], abs=0.001)


async def _store_spells(url: str, rows: list[CallRow]) -> None:
    """Talks and wrap-ups of the rows; of a call whose wrap-up took no time there is none."""
    database = Database(url)
    try:
        await AgentTimes(database).append(
            [
                AgentSpell(
                    agent=AgentId(row.agent),
                    campaign=CampaignId("winter"),
                    state=state,
                    began_at=begin,
                    ended_at=end,
                    ms=milliseconds(begin, end),
                    call=CallId(f"call-{place}"),
                )
                for place, row in enumerate(rows)
                if row.connect_s is not None
                for state, since, until in (
                    (AgentState.TALKING, row.connect_s, row.end_s),
                    (AgentState.WRAPUP, row.end_s, row.end_s + (row.wrapup_s or 0.0)),
                )
                for begin, end in quarters(since, until)
            ]
        )
    finally:
        await database.close()


async def _store(url: str, rows: list[CallRow]) -> None:
    database = Database(url)
    winter = CampaignId("winter")
    try:
        await migrate(database)
        await Campaigns(database).create(Campaign(id=winter, method="progressive"), 0.0)
        await Attempts(database).record(
            [
                (
                    Attempt(
                        call=CallId(f"call-{place}"),
                        campaign=winter,
                        contact=ContactId(f"c-{place}"),
                        phone=Phone("+34600000000"),
                        attempt_number=1,
                        outcome=Outcome(row.outcome),
                        reason="",
                        started_at=row.start_s,
                        ended_at=row.end_s,
                        answered_at=row.answer_s,
                        waiting_at=row.answer_s,
                        connected_at=row.connect_s,
                        agent=AgentId(row.agent) if row.agent else None,
                        method="progressive",
                    ),
                    None,
                )
                for place, row in enumerate(rows)
            ]
        )
        await PacingJournal(database).append([_entry(place) for place in range(4)])
    finally:
        await database.close()


def _entry(place: int) -> PacingEntry:
    return PacingEntry(
        at=MORNING + place,
        campaign=CampaignId("winter"),
        node=NodeName("n1"),
        method="progressive",
        dial=1,
        started=1,
        limit="idle" if place else "max_lines",
        explanation="",
        expected_abandonment=0.0,
        threshold=0.0,
        budget_left=None,
        idle=1,
        busy=0,
        waiting=0,
        in_flight=0,
        answer_rate=None,
        mean_talk_s=None,
        mean_wrapup_s=None,
    )


HEADER = "start,answer,end,outcome,agent\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks the columns start, answer, end, outcome, agent"),
        ("start,end,outcome\n1,2,busy\n", "lacks the columns answer, agent"),
        (HEADER, "the day is empty"),
        (HEADER + "100,,90,busy,\n", "1 call ends before it starts (line 2)"),
        (HEADER + "100,,110,busy,\n200,,210,no_answer,\n", "nobody talked with an agent"),
        (HEADER + "100,105,110,teapot,\n", "line 2: outcome 'teapot' is not known; it may be abandoned"),
        (HEADER + "yesterday,105,110,busy,\n", "line 2: start must be a moment such as"),
        (HEADER + "nan,105,110,busy,\n", "must be unix seconds"),
        (HEADER + ",105,110,busy,\n", "start and end must be given"),
        (HEADER + "100,105,200,connected,anna\n200000,200005,200100,connected,anna\n", "of one day"),
        (HEADER + '100,"105,110,busy,\n', "unexpected end of data"),
        ("start,answer,end,outcome,agent,wrapup\n1,2,3,connected,a,-5\n", "wrapup must be from 0 to 21,600"),
    ],
)
def test_a_file_that_cannot_be_replayed_says_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(text, encoding="utf-8")
    assert says in refusal("replay", path)


def test_replay_is_asked_for_one_day_of_one_source(tmp_path: Path) -> None:
    assert "either a CSV file or --campaign" in refusal("replay")
    path = tmp_path / "calls.csv"
    path.write_text(HEADER + "100,105,200,connected,anna\n", encoding="utf-8")
    assert "--day goes with --campaign" in refusal("replay", path, "--day", "2026-11-20")
    assert "no pacing method 'magic'" in refusal("replay", path, "--method", "magic")
    assert "is no zone" in refusal("replay", path, "--timezone", "Mars/Olympus")
    assert "cannot read" in refusal("replay", tmp_path / "none.csv")
