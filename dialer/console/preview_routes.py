"""What agents decide on their page about whom they are shown."""

from __future__ import annotations

from typing import Final

from litestar import post

from dialer.api.errors import ApiError
from dialer.api.preview_routes import MAX_REASON, PreviewAnswer, answer
from dialer.console.answers import FORM, PageRequest, Site, Visitor
from dialer.console.desk_routes import own_desk
from dialer.console.problems import Told
from dialer.console.visit import check_csrf
from dialer.errors import InputError


@post("/desk/preview", opt=FORM, status_code=204)
async def decide(request: PageRequest, console: Site, visit: Visitor) -> None:
    """Call whom this agent is shown, or skip them."""
    agent = own_desk(visit)
    form = await request.form()
    await check_csrf(request, visit, form)
    wanted = str(form.get("answer", ""))
    if wanted not in {"call", "skip"}:
        raise ApiError(422, "answer: must be call or skip")
    decision = PreviewAnswer(
        answer="call" if wanted == "call" else "skip",
        contact=str(form.get("contact", "")),
        reason=str(form.get("reason", ""))[:MAX_REASON],
    )
    try:
        await answer(console.ports, visit.key, agent, decision)
    except InputError as error:
        raise ApiError(422, str(error), code=error.code, **error.arguments) from error
    except ApiError as error:
        reason = error.details.get("reason", "")
        told = next(
            (key for key in (f"preview.refused.{reason}", f"desk.refused.{reason}") if visit.texts.has(key)), ""
        )
        if not told:
            raise
        until = f" ({error.details['retry_at'][:16].replace('T', ' ')} UTC)" if "retry_at" in error.details else ""
        raise Told(error.status, visit.texts(told) + until, details=error.details) from error


HANDLERS: Final = (decide,)
