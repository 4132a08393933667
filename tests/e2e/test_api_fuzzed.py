"""Every operation of the API with requests made up from its own description, right ones and wrong ones.

A real node with its database answers them: nothing may be an internal error, and the node must be alive at the end.
`make fuzz` asks each operation many more times.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from dialer.simulation.profiles import FAST
from dialer.simulation.world import World
from tests.e2e.sites import ExchangeThread, Site, settings_file

pytestmark = pytest.mark.slow

EXAMPLES: Final = int(os.environ.get("CADENCIA_FUZZ_EXAMPLES", "3"))
#: What is there, so that half of the requests get further than "there is no such campaign".
KNOWN: Final = {"campaign": "winter", "contact": "c-1", "agent": "ana"}
#: Streams without an end.
ENDLESS: Final = frozenset({"/api/v1/events"})


def cases(operation: Any) -> st.SearchStrategy[Any]:
    """Requests as described, and requests that are not."""
    right = operation.as_strategy()
    if not (operation.body or operation.query or operation.path_parameters):
        return right  # type: ignore[no-any-return]  # there is nothing to get wrong
    return st.one_of(right, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def ask(operation: Any, key: str) -> Counter[int]:
    """What came of it: status -> requests."""
    seen: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=cases(operation), deep=st.booleans())
    def asked(case: Any, deep: bool) -> None:
        if deep and case.path_parameters:
            case.path_parameters |= {name: KNOWN[name] for name in KNOWN.keys() & case.path_parameters.keys()}
        answer = case.call(headers={"Authorization": f"Bearer {key}"}, timeout=30)
        seen[answer.status_code] += 1
        assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.text}"

    asked()
    return seen


def test_nothing_that_is_asked_is_an_internal_error(tmp_path: Path) -> None:
    with ExchangeThread(World(FAST, seed=1)) as exchange:
        site = Site(tmp_path, settings_file(tmp_path, ami_port=exchange.exchange.port))
        try:
            program = site.start()
            api = site.api
            api.post("/campaigns", {"id": "winter"})
            api.post("/campaigns/winter/contacts", {"id": "c-1", "phones": ["+34600111222"]})
            api.post("/agents/ana/sign-in", {"phone": "ana", "campaigns": ["winter"]})
            described = schemathesis.openapi.from_url(f"{api.url}/api/openapi.json")
            operations = [result.ok() for result in described.get_all_operations() if isinstance(result, Ok)]
            key = json.loads((tmp_path / "var" / "node.json").read_text())["api_key"]
            found = {
                f"{operation.method} {operation.path}": ask(operation, key)
                for operation in operations
                if operation.path not in ENDLESS
            }
            assert len(found) > 60
            statuses = sum(found.values(), Counter())
            assert statuses[200] > 50
            assert statuses[422] > 20
            assert api.get("/live")["campaigns"], "the node is alive and the campaign in place"
            assert not [line for line in program.complaints.splitlines() if "[error" in line]
        finally:
            site.clear_away()
