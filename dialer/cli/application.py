"""Sub-commands, and what all of them share: errors that say what to do, exit codes, `--json`."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from dialer.cli import (
    actions,
    agents,
    backup,
    call,
    callbacks,
    campaigns,
    crm,
    database,
    deliveries,
    demo,
    dnc,
    doctor,
    erase,
    evidence,
    filters,
    history,
    keys,
    lists,
    live,
    person,
    recording,
    recycle,
    registry,
    replay,
    report,
    serve,
    shards,
    simulate,
    support,
    tenants,
    users,
    why,
    worker,
)
from dialer.cli.screen import fail
from dialer.errors import DialerError

app = typer.Typer(
    name="cadencia",
    help="Predictive outbound dialer on Asterisk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(campaigns.app, name="campaign")
campaigns.app.command("filter")(filters.filter_)
lists.app.command("reset")(recycle.reset)
lists.app.command("penetration")(recycle.penetration)
app.add_typer(lists.app, name="list")
app.add_typer(dnc.app, name="dnc")
app.add_typer(registry.app, name="registry")
app.add_typer(crm.app, name="crm")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(actions.app, name="actions")
app.add_typer(agents.app, name="agents")
app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="key")
app.add_typer(users.app, name="user")
app.add_typer(tenants.app, name="tenant")
app.add_typer(shards.app, name="shards")
app.add_typer(evidence.app, name="evidence")
app.add_typer(recording.app, name="recording")
app.add_typer(person.app, name="person")
app.command("call")(call.call)
app.command("callbacks")(callbacks.callbacks)
app.command("erase")(erase.erase)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("live")(live.live)
app.command("report")(report.report)
app.command("history")(history.history)
app.command("simulate")(simulate.simulate)
app.command("replay")(replay.replay)
app.command("why")(why.why)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("support-bundle")(support.support_bundle)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cadencia {version('cadencia')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Predictive outbound dialer on Asterisk."""


def main() -> NoReturn:
    """Run the command: exit code 0, 1 for a failure, 2 for wrong usage."""
    try:
        app()
    except DialerError as error:
        fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
