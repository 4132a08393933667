"""`cadencia agents`: who is signed in, and signing in and out."""

from __future__ import annotations

from typing import Annotated

import typer

from dialer.cli.client import Api, ApiKeyOption, ApiUrlOption, ConfigOption, with_api
from dialer.cli.screen import JsonOption, out, print_json, print_rows

app = typer.Typer(help="Agents: who works, sign-in, pause, sign-out.")

Agent = Annotated[str, typer.Argument(help="Id of the agent.", show_default=False)]


@app.callback(invoke_without_command=True)
def agents(
    context: typer.Context,
    config: ConfigOption = None,
    api_url: ApiUrlOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Without a sub-command: everybody who is signed in."""
    if context.invoked_subcommand is not None:
        return
    found = Api.connect(config, api_url, api_key).get("/agents")["items"]
    if as_json:
        print_json(found)
    else:
        print_rows(found, ["id", "state", "reason", "campaigns", "call", "calls_today"])


@app.command("sign-in")
@with_api
def sign_in(
    api: Api,
    agent: Agent,
    phone: Annotated[str, typer.Option(help="Their phone, as Asterisk knows it.")],
    campaign: Annotated[list[str], typer.Option(help="Campaigns they work for, in order.")],
    priority: Annotated[int, typer.Option(help="Higher is chosen first.")] = 0,
    shift_ends_at: Annotated[
        str | None, typer.Option(help="End of their shift: 2026-05-04T18:00:00Z. Nobody is called for them past it.")
    ] = None,
) -> None:
    """Call an agent's phone and keep it; calls come as soon as it is answered."""
    body: dict[str, object] = {"phone": phone, "campaigns": campaign, "priority": priority}
    if shift_ends_at is not None:
        body["shift_ends_at"] = shift_ends_at
    api.post(f"/agents/{agent}/sign-in", body)
    out.print(f"{agent}: calling {phone}.")


@app.command()
@with_api
def ready(
    api: Api,
    agent: Agent,
) -> None:
    """From a pause or wrap-up back to calls."""
    api.post(f"/agents/{agent}/ready")


@app.command()
@with_api
def pause(
    api: Api,
    agent: Agent,
    code: Annotated[str, typer.Option(help="Pause code.")] = "pause",
) -> None:
    """No more calls, after the present one."""
    api.post(f"/agents/{agent}/pause", {"code": code})


@app.command("sign-out")
@with_api
def sign_out(
    api: Api,
    agent: Agent,
) -> None:
    """Lay down their phone, after the present call."""
    api.post(f"/agents/{agent}/sign-out")
