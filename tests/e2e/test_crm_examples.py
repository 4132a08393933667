"""The examples of docs/crm do what they say, against a whole node; those whose interpreter this machine has."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dialer.core.campaign import CampaignState
from dialer.core.ids import CampaignId, ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.contacts import Contacts
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, Floor, floor

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "crm" / "examples"
#: What runs an example, and the prefix of the contacts that it pushes; these every machine has.
ALWAYS = {"push.sh": ("sh", "sh"), "push.py": (sys.executable, "py")}
#: And these some have; the C# one is compiled first, by the command that stands in it.
IF_THERE = {"push.mjs": ("node", "js"), "push.php": ("php", "php"), "Push.cs": ("mono", "cs")}


def test_every_example_has_somebody_to_run_it() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {*ALWAYS, *IF_THERE}


def compiled(folder: Path) -> Path:
    """The C# example as a program."""
    source = EXAMPLES / "Push.cs"
    command = re.search(r"^//   (mcs .*) Push\.cs$", source.read_text(encoding="utf-8"), re.MULTILINE)
    assert command is not None
    done = subprocess.run(
        [*shlex.split(command[1]), "-warnaserror", f"-out:{folder / 'Push.exe'}", str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "Push.exe"


def here(program: str, name: str) -> bool:
    """Whether this machine can run an example."""
    if shutil.which(program) is None or (name == "Push.cs" and shutil.which("mcs") is None):
        return False
    modules = subprocess.run([program, "-m"], capture_output=True, check=True).stdout if name == "push.php" else b"curl"
    return b"curl" in modules


async def test_the_fifteen_minutes(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    """The blocks of the page, one after another in one shell, as a reader would type them."""
    page = (ROOT / "docs" / "crm.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh run\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 9
    async with floor(tmp_path, own_valkey) as site:
        _, key = await Keys(site.node.database).create("crm", "crm", now=site.now)
        (tmp_path / "try").mkdir()
        details = {"api_url": site.node.api_url, "api_key": key}
        (tmp_path / "try" / "demo.json").write_text(json.dumps(details), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *("bash", "-eu", "-c", "\n".join(blocks)),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(90):
            told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()
        assert '"allowed":["PAID","LATER","AWAY","NEVER"]' in told.decode()
        assert (await site.wait("call.disposed", ref="d-1", is_sale=True))["amount"] == "129.90"
        await site.wait("removal.applied", contact="crm-60")
        await site.wait("callback.accepted", contact="crm-59")
        assert site.node.live.campaign_state(CampaignId("loyalty-7")) is CampaignState.RUNNING


async def test_the_examples_do_what_they_say(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    examples = await asyncio.to_thread(lambda: ALWAYS | {n: run for n, run in IF_THERE.items() if here(run[0], n)})
    async with floor(tmp_path, own_valkey) as site:
        await run_all(site, examples)
        assert [entry["phone"] for entry in await site.results("dnc.applied")] == ["+34600111229"]


async def run_all(site: Floor, examples: Mapping[str, tuple[str, str]]) -> None:
    """Run examples one after another, and see that each did what it says."""
    await site.begin(agents=1, campaign={"method": "preview"})
    _, key = await Keys(site.node.database).create("crm", "crm", now=site.now)
    environment = os.environ | {
        "CADENCIA_URL": site.node.api_url,
        "CADENCIA_KEY": key,
        "CADENCIA_CAMPAIGN": CAMPAIGN,
        "PYTHONPATH": str(ROOT),
    }
    for name, (program, prefix) in examples.items():
        path = EXAMPLES / name
        process = await asyncio.create_subprocess_exec(
            program,
            str(await asyncio.to_thread(compiled, site.folder) if name == "Push.cs" else path),
            env=environment,
            cwd=site.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            told, _ = await process.communicate()
        assert process.returncode == 0, f"{name}: {told.decode()}"
        stored = await Contacts(site.node.database).get(CAMPAIGN, ContactId(f"{prefix}-1"))
        assert stored is not None
        assert (stored.contact.name, stored.contact.fields) == ("Ana García", {"debt": 129.9}), name
        await site.wait("removal.applied", contact=f"{prefix}-2")
        assert (await site.results("removal.applied", contact=f"{prefix}-2"))[0]["reason"] == "has paid"
