"""What `cadencia doctor` finds about traces: whether the collector takes them."""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import Final

import aiohttp

from dialer.core.saying import NOTHING, Saying, say
from dialer.crm.client import words_of
from dialer.runtime.finding import Finding
from dialer.settings import Settings, Tracing
from dialer.tracing.addresses import traces_url

_PART: Final = "traces"
#: Of several seconds that it may be given, a look takes these at most.
_LOOK_S: Final = 5.0
_MEND_PACKAGES: Final = say("pip install 'cadencia[tracing]', or leave tracing.endpoint out", code="mend_no_packages")
_MEND_REACH: Final = say(
    "look at tracing.endpoint, the firewall and the certificate; calls go on without traces",
    code="mend_collector_unreachable",
)


async def tracing_findings(settings: Settings) -> list[Finding]:
    """Whether traces can be sent; nothing where none are wanted. Sends an empty one."""
    tracing = settings.tracing
    if not tracing.endpoint:
        return []
    if find_spec("opentelemetry") is None:
        return [
            Finding(
                part=_PART,
                ok=False,
                said=say("the packages for traces are missing", code="no_packages"),
                fix=_MEND_PACKAGES,
            )
        ]
    wrong, fix = await _ask(tracing)
    if wrong:
        return [Finding(part=_PART, ok=False, said=wrong, fix=fix)]
    share = f"{tracing.share * 100:g}"
    said = say(
        f"the collector takes traces; {share} % of the contacts are traced", code="collector_well", percent=share
    )
    return [Finding(part=_PART, ok=True, said=said)]


async def _ask(tracing: Tracing) -> tuple[Saying, Saying]:
    """What is wrong, and what to do; both empty where all is well."""
    within_s = min(tracing.timeout_s, _LOOK_S)
    try:
        # As in the exporter, that file stands for the system's authorities.
        trusted = ssl.create_default_context(cafile=tracing.ca_file or None)
    except OSError as error:
        problem = error.strerror or str(error)
        said = say(f"tracing.ca_file cannot be read: {problem}", code="collector_ca_unreadable", problem=problem)
        return said, _MEND_REACH
    headers = {**tracing.headers, "content-type": "application/x-protobuf"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=within_s)) as session,
            # A request without spans has no bytes.
            session.post(
                traces_url(tracing.endpoint), data=b"", headers=headers, ssl=trusted, allow_redirects=False
            ) as answer,
        ):
            status = answer.status
    except TimeoutError:
        said = say(
            f"the collector does not answer within {within_s:g} s", code="collector_silent", within_s=f"{within_s:g}"
        )
        return said, _MEND_REACH
    except aiohttp.ClientError as error:
        words = words_of(error)
        return say(f"the collector is not reached: {words}", code="collector_unreachable", problem=words), _MEND_REACH
    if 200 <= status < 300:
        return NOTHING, NOTHING
    said = say(f"the collector answers {status}", code="collector_refuses", status=status)
    if status in {401, 403}:
        return said, say("correct tracing.headers", code="mend_collector_headers")
    if status in {404, 405}:
        return said, say(
            "correct the path of tracing.endpoint; most collectors take traces at /v1/traces",
            code="mend_collector_path",
        )
    return said, say("look at the collector's own log", code="mend_collector_log")
