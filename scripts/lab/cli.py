"""The command line of scripts/asterisk-lab."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import ledger, plan, servers, templates
from .detection import measure
from .install import Programs, install
from .layout import DEFAULT_PHONES, DEFAULT_PORT_BASE, MAX_PHONES, PROJECT, LabError, Layout, default_directory
from .record import record


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--dir", type=Path, default=default_directory(), help="the lab's directory (%(default)s)")
    shared.add_argument(
        "--port-base",
        type=int,
        default=DEFAULT_PORT_BASE,
        help="shifts all ports; another base is another lab (%(default)s)",
    )
    shared.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser = argparse.ArgumentParser(
        prog="asterisk-lab",
        description="A real Asterisk with a carrier, callees and agents' phones, without root rights.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", parents=[shared], help="install what is missing, start what does not run")
    up.add_argument(
        "--phones", type=int, default=DEFAULT_PHONES, help=f"agents' phones, up to {MAX_PHONES} (%(default)s)"
    )
    commands.add_parser("down", parents=[shared], help="stop everything; the installed programs stay")
    commands.add_parser("status", parents=[shared], help="what runs, what is missing (exit code 3: not all runs)")
    commands.add_parser("install", parents=[shared], help="download and unpack the programs only")
    cli = commands.add_parser("cli", parents=[shared], help="the command line of an Asterisk")
    cli.add_argument("--server", choices=("dialer", "voice"), default="dialer")
    cli.add_argument("words", nargs="*", metavar="WORD", help="a command; without one, the interactive console")
    calls = commands.add_parser("calls", parents=[shared], help="what the carrier did with each call")
    calls.add_argument("--since", type=float, default=0.0, metavar="UNIX_SECONDS")
    numbers = commands.add_parser(
        "numbers", parents=[shared], help="a list of numbers to dial, as CSV with the truth about each"
    )
    numbers.add_argument("--count", type=int, default=1000)
    numbers.add_argument("--first-serial", type=int, default=0)
    record = commands.add_parser("record", parents=[shared], help="record AMI transcripts of the running lab")
    record.add_argument("--to", type=Path, default=PROJECT / "tests" / "data" / "ami" / "lab")
    record.add_argument("names", nargs="*", metavar="NAME", help="which ones; without one, all")
    amd = commands.add_parser("amd", parents=[shared], help="measure answering-machine detection on the running lab")
    amd.add_argument("--calls", type=int, default=10, help="calls to each callee (%(default)s)")
    amd.add_argument("--options", default="", metavar="A-B-...", help="arguments of AMD(); amd.conf where left out")
    render = commands.add_parser(
        "render", parents=[shared], help="fill the templates of config/asterisk in for a server of your own"
    )
    render.add_argument("--to", type=Path, required=True)
    render.add_argument("--webrtc", action="store_true", help="config/asterisk/webrtc, for phones in browsers, instead")
    render.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 done, 1 failed, 2 wrong usage, 3 the lab does not run."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except LabError as error:
        print(f"asterisk-lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _say(text: str) -> None:
    print(f"asterisk-lab: {text}", file=sys.stderr)


def _run(options: argparse.Namespace) -> int:
    layout = Layout(options.dir.absolute(), options.port_base)
    match options.command:
        case "up":
            servers.up(layout, options.phones, _say)
            return _describe(layout, as_json=options.json)
        case "down":
            servers.down(layout, _say)
            if options.json:
                print(json.dumps(servers.status(layout)))
            return 0
        case "status":
            _describe(layout, as_json=options.json)
            return 0 if servers.status(layout)["running"] else 3
        case "install":
            programs = install(layout, _say)
            print(
                json.dumps({"installed": True, "root": str(programs.root)})
                if options.json
                else f"installed in {programs.root}"
            )
            return 0
        case "cli":
            return _cli(layout, options)
        case "calls":
            return _calls(layout, options)
        case "numbers":
            return _numbers(options)
        case "record":
            record(layout, options.to, options.names, _say)
            return 0
        case "amd":
            if not servers.status(layout)["running"]:
                raise LabError("the lab does not run: scripts/asterisk-lab up")
            for verdicts in measure(layout, options=options.options, calls=options.calls):
                print(verdicts.line(), flush=True)
            return 0
        case _:
            return _render(options)


def _describe(layout: Layout, *, as_json: bool) -> int:
    told = servers.describe(layout)
    if as_json:
        print(json.dumps(told, indent=2))
        return 0
    print(f"programs   {'installed' if told['installed'] else 'not installed: scripts/asterisk-lab install'}")
    for part, pid in told["parts"].items():
        print(f"{part:<10} {f'runs, process {pid}' if pid else 'does not run: scripts/asterisk-lab up'}")
    if told["running"]:
        ami = told["ami"]
        print(f"AMI        {ami['host']}:{ami['port']}, user {ami['user']}, secret in {ami['secret_file']}")
        print(f"phones     {told['phones_registered']} registered, {told['phones'][0]} to {told['phones'][-1]}")
        print("dial       PJSIP/346KRTsssss@carrier (docs/asterisk.md has the number plan)")
    return 0


def _programs(layout: Layout) -> Programs:
    programs = Programs(layout.root)
    if not programs.complete():
        raise LabError("the lab is not installed: scripts/asterisk-lab up")
    return programs


def _cli(layout: Layout, options: argparse.Namespace) -> int:
    command = _programs(layout).asterisk(layout.run / options.server / "asterisk.conf", "-r")
    if servers.status(layout)["parts"][options.server] is None:
        raise LabError(f"{options.server} does not run: scripts/asterisk-lab up")
    if options.words:
        command += ["-x", " ".join(options.words)]
    os.execv(command[0], command)


def _calls(layout: Layout, options: argparse.Namespace) -> int:
    found = ledger.read(layout, since=options.since)
    if options.json:
        print(json.dumps([call.as_json() for call in found]))
        return 0
    for call in found:
        talk = f"{call.ended_at - call.answered_at:.1f} s" if call.ended_at and call.answered_at else ""
        print(f"{call.invited_at:.3f}  {call.number}  {call.did:<15} {call.sip or '':<4} {talk}")
    return 0


def _numbers(options: argparse.Namespace) -> int:
    callees = list(plan.mixed(options.count, first_serial=options.first_serial))
    if options.json:
        print(json.dumps([callee.as_json() for callee in callees]))
        return 0
    print("id,phone,kind,answers,machine,sip")
    for index, callee in enumerate(callees, 1):
        print(f"lab-{index},{callee.e164},{callee.kind},{int(callee.answers)},{int(callee.machine)},{callee.sip or ''}")
    return 0


def _render(options: argparse.Namespace) -> int:
    values = {}
    for pair in options.values:
        name, equals, value = pair.partition("=")
        if not equals:
            raise LabError(f"--set wants NAME=VALUE, not {pair!r}")
        values[name] = value
    source = PROJECT / "config" / "asterisk"
    written = templates.fill_folder(source / "webrtc" if options.webrtc else source, options.to, values)
    print("\n".join(str(path) for path in written))
    return 0
