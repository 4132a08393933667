"""Events per second of this project's AMI decoder, pyst2's and panoramisk's, on the same recorded bytes.

    python benchmarks/ami_events.py [--events 20000] [--repeat 5] [--json FILE]

The bytes are the sessions of ``tests/data/ami`` (recorded from Asterisk 22), repeated to the wanted number of events
and fed in chunks of 64 KB, as a socket gives them. Every row ends with the same knowledge of every event: its name, and
the values of ``Uniqueid`` and ``ActionID`` (``names only``: just its name). Best of the repeats, which take turns, so
that a noisy machine is noisy for all. Time is the thread's own CPU time (one core), so that others
on the machine count little. ``over a socket`` is wall time: a local socket through the whole driver of each.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from dialer.ami import AmiConnection, Authentication, Decoder, EventReceived

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "ami"
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
CHUNK_BYTES = 65_536


def recorded(wanted: int) -> tuple[bytes, int]:
    """Bytes without banners, and how many messages they hold."""
    blocks: list[bytes] = []
    for path in sorted(DATA.glob("*.rx.txt")):
        messages = path.read_bytes().partition(b"\r\n")[2].split(b"\r\n\r\n")
        blocks += [m + b"\r\n\r\n" for m in messages if m.startswith(b"Event: ")]
    times = -(-wanted // len(blocks))
    blocks = (blocks * times)[:wanted]
    return b"".join(blocks), len(blocks)


def chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def ours(data: bytes) -> int:
    decoder, count = Decoder(expect_banner=False), 0
    for chunk in chunks(data):
        for message in decoder.receive_data(chunk):
            _ = message.event, message.get("Uniqueid"), message.action_id
            count += 1
    return count


def ours_names(data: bytes) -> int:
    decoder, count = Decoder(expect_banner=False), 0
    for chunk in chunks(data):
        for message in decoder.receive_data(chunk):
            _ = message.event
            count += 1
    return count


def ours_connection(data: bytes) -> int:
    connection = AmiConnection(username="u", secret="s", now=0.0, events="on", authentication=Authentication.PLAIN)
    connection.receive_data(BANNER + b"Response: Success\r\nActionID: ami/1\r\n\r\n", 0.0)
    count = 0
    for chunk in chunks(data):
        for event in connection.receive_data(chunk, 0.0):
            if isinstance(event, EventReceived):
                _ = event.message.event, event.message.get("Uniqueid"), event.message.action_id
                count += 1
    return count


def pyst2_parser(data: bytes) -> int:
    from asterisk.manager import Event, ManagerMsg

    count, rest, lines = 0, b"", []
    for chunk in chunks(data):
        *whole, rest = (rest + chunk).split(b"\r\n")
        for line in whole:
            if line:
                lines.append(line.decode("utf8", "ignore") + "\r\n")
            elif lines:
                event = Event(ManagerMsg(lines))
                _ = event.name, event.get_header("Uniqueid"), event.get_header("ActionID")
                count, lines = count + 1, []
    return count


def panoramisk_parser(data: bytes) -> int:
    from panoramisk.message import Message

    count, rest = 0, ""
    for chunk in chunks(data):
        *whole, rest = (rest + chunk.decode("utf8", "ignore")).split("\r\n\r\n")
        for block in whole:
            message = Message.from_line(block)
            _ = message.event, message.get("Uniqueid"), message.get("ActionID")
            count += 1
    return count


def pyst2_socket(data: bytes, wanted: int) -> int:
    """The whole of pyst2 as it is, on a local connection."""
    from asterisk.manager import Manager

    done = threading.Event()
    seen = 0

    def count(_event: object, _manager: object) -> None:
        nonlocal seen
        seen += 1
        if seen == wanted:
            done.set()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def pour() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(BANNER)
                peer.sendall(data)
                done.wait(600)

        threading.Thread(target=pour, daemon=True).start()
        manager = Manager()
        manager.register_event("*", count)
        manager.connect("127.0.0.1", server.getsockname()[1])
        done.wait(600)
        manager._connected.clear()
        manager._running.clear()
    return seen


def ours_socket(data: bytes, wanted: int) -> int:
    """Our decoder and connection on a local connection, reading as asyncio does."""
    connection = AmiConnection(username="u", secret="s", now=0.0, events="on", authentication=Authentication.PLAIN)
    seen = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pour() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(BANNER + b"Response: Success\r\nActionID: ami/1\r\n\r\n" + data)

        threading.Thread(target=pour, daemon=True).start()
        with socket.create_connection(server.getsockname()) as client:
            while seen < wanted and (chunk := client.recv(262_144)):
                for event in connection.receive_data(chunk, 0.0):
                    if isinstance(event, EventReceived):
                        _ = event.message.event, event.message.get("Uniqueid"), event.message.action_id
                        seen += 1
    return seen


def best(runs: dict[str, Callable[[], int]], repeat: int, clock: Callable[[], float]) -> dict[str, float]:
    """Events per second of each, best of `repeat` rounds in which they take turns."""
    rates = dict.fromkeys(runs, 0.0)
    for _ in range(repeat):
        for name, run in runs.items():
            gc.collect()
            began = clock()
            count = run()
            rates[name] = max(rates[name], count / (clock() - began))
    return rates


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=DATA, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--events", type=int, default=20_000)
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--socket-events", type=int, default=3_000, help="for pyst2 as it is, which is slow")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    data, count = recorded(given.events)
    few, few_count = recorded(given.socket_events)
    rates = best(
        {
            "cadencia decoder": lambda: ours(data),
            "cadencia decoder, names only": lambda: ours_names(data),
            "cadencia connection": lambda: ours_connection(data),
            "panoramisk parser": lambda: panoramisk_parser(data),
            "pyst2 parser": lambda: pyst2_parser(data),
        },
        given.repeat,
        time.thread_time,
    )
    rates |= best(
        {
            "cadencia over a socket": lambda: ours_socket(data, count),
            "pyst2 over a socket": lambda: pyst2_socket(few, few_count),
        },
        1,
        time.perf_counter,
    )
    base = rates["cadencia decoder"]
    print(f"{count:,} events of {len(data) / count:.0f} bytes, best of {given.repeat}\n")
    print(f"{'':32} {'events/s':>10} {'µs/event':>9} {'ratio':>7}")
    for name, rate in rates.items():
        print(f"{name:32} {rate:10,.0f} {1e6 / rate:9.2f} {rate / base:7.3f}")
    if given.json is not None:
        result = {
            "benchmark": "ami_events",
            "events": count,
            "bytes_per_event": round(len(data) / count, 1),
            "events_per_s": {name: round(rate) for name, rate in rates.items()},
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "commit": commit(),
        }
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
