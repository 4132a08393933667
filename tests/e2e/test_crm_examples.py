"""The examples of docs/crm do what they say, against a whole node; those whose interpreter this machine has."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from dialer.core.campaign import CampaignState
from dialer.core.ids import CampaignId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, floor

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "crm" / "examples"
#: What runs an example, and the prefix of the contacts that it pushes.
RUN = {
    "push.sh": ("sh", "sh"),
    "push.py": (sys.executable, "py"),
    "push.mjs": ("node", "js"),
    "push.php": ("php", "php"),
}


def test_every_example_is_run_or_cannot_be() -> None:
    found = {path.name for path in EXAMPLES.iterdir()}
    assert found == {*RUN, "Push.cs"}, "compiling C# takes more than a test machine has"


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
    async with floor(tmp_path, own_valkey) as site:
        await site.begin(agents=1, campaign={"method": "preview"})
        _, key = await Keys(site.node.database).create("crm", "crm", now=site.now)
        environment = os.environ | {
            "CADENCIA_URL": site.node.api_url,
            "CADENCIA_KEY": key,
            "CADENCIA_CAMPAIGN": CAMPAIGN,
            "PYTHONPATH": str(ROOT),
        }
        ran = []
        for name, (program, prefix) in RUN.items():
            if shutil.which(program) is None:
                continue
            process = await asyncio.create_subprocess_exec(
                program,
                str(EXAMPLES / name),
                env=environment,
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            async with asyncio.timeout(60):
                told, _ = await process.communicate()
            assert process.returncode == 0, f"{name}: {told.decode()}"
            await site.wait("removal.applied", contact=f"{prefix}-2")
            assert (await site.results("removal.applied", contact=f"{prefix}-2"))[0]["reason"] == "has paid"
            ran.append(name)
        assert {"push.sh", "push.py"} <= set(ran)
        assert [entry["phone"] for entry in await site.results("dnc.applied")] == ["+34600111229"]
