"""Nothing but the gate makes a permit, and no customer's phone rings without one: looked up in the code itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import pytest

from dialer.core.commands import Originate
from dialer.core.permit import Permit

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("dialer", "pacing", "workers")
#: Who answers for the gate; and who names a call that an earlier process made, by a permit that has expired.
MAKERS = {"dialer/queues/wire.py", "dialer/queues/memory_gate.py"}
RECOVERERS = {"dialer/queues/redis_queues.py", "dialer/core/recovery_desk.py"}
#: What may be changed of a permit, where.
CHANGES = {
    ("dialer/runtime/gatekeeper.py", "verdict"),
    ("dialer/queues/memory.py", "fencing_token"),
    # of a call that was taken by another node and taken back, long after it was handed over
    ("dialer/core/recovery_desk.py", "fencing_token"),
}
#: The one maker of the command, the makers of the AMI action, and those who ask for it.
COMMANDERS = {"dialer/core/call_start.py"}
ACTION_MAKERS = {"dialer/ami/actions.py"}
ACTION_USERS = {"dialer/switch/server.py": {"originate", "call_agent", "call_monitor"}}
#: Those who send a Local channel through our dialplan, which rings nobody.
LOCAL_USERS = {
    "dialer/switch/announcements.py": {"action_for"},
    "dialer/switch/comforts.py": {"action_for"},
    "dialer/switch/phone_keys.py": {"ask"},
}


@dataclass(frozen=True)
class Found:
    """A node of the code, and where it stands."""

    file: str
    function: str
    node: ast.Call


def calls(source: str, file: str) -> Iterator[Found]:
    def walk(node: ast.AST, function: str) -> Iterator[Found]:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            if isinstance(child, ast.Call):
                yield Found(file, function, child)
            yield from walk(child, inner)

    yield from walk(ast.parse(source), "")


@pytest.fixture(scope="module")
def every_call() -> list[Found]:
    return [
        found
        for package in SHIPPED
        for path in sorted((ROOT / package).rglob("*.py"))
        for found in calls(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]


def named(node: ast.expr) -> str:
    """The last part of a name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def makes(found: Found, kind: str) -> bool:
    """Whether a value of the class is made: called, or handed to something that may call it."""
    node = found.node
    handed = [*node.args, *(keyword.value for keyword in node.keywords)]
    if named(node.func) == kind:
        return True
    if named(node.func) in {"isinstance", "issubclass"}:
        return False
    names = [one.value if isinstance(one, ast.Attribute) and one.attr == "__new__" else one for one in handed]
    made_by_itself = isinstance(node.func, ast.Attribute) and named(node.func.value) == kind
    return made_by_itself or any(isinstance(one, ast.Name | ast.Attribute) and named(one) == kind for one in names)


def keyword(found: Found, name: str) -> ast.expr | None:
    return next((one.value for one in found.node.keywords if one.arg == name), None)


def test_only_the_gate_makes_permits(every_call: list[Found]) -> None:
    made = [found for found in every_call if makes(found, "Permit")]
    assert {found.file for found in made} == MAKERS | RECOVERERS
    for found in made:
        if found.file in RECOVERERS:
            expiry = keyword(found, "expires_at")
            # `Permit.valid` is false from that moment on, and every later one.
            assert ast.unparse(expiry or ast.Constant(None)) in {"0.0", "event.at"}, found.file


def test_nobody_makes_one_permit_of_another(every_call: list[Found]) -> None:
    changed = {
        (found.file, one.arg)
        for found in every_call
        if named(found.node.func) == "replace" and found.node.args and named(found.node.args[0]) == "permit"
        for one in found.node.keywords
    }
    assert changed == CHANGES
    wanted = {"deepcopy", "copy", "convert", "__setattr__", "setattr"}
    careless = [
        found
        for found in every_call
        if named(found.node.func) in wanted and any(named(one) == "permit" for one in found.node.args)
    ]
    assert not careless


def test_the_command_to_ring_has_a_permit_and_one_maker(every_call: list[Found]) -> None:
    made = [found for found in every_call if makes(found, "Originate")]
    assert {found.file for found in made} == COMMANDERS
    for found in made:
        assert named(keyword(found, "permit") or ast.Name("")) == "permit"
    assert get_type_hints(Originate)["permit"] is Permit, "and the type allows nothing else"
    assert "permit" in {field.name for field in fields(Originate)}


def test_asterisk_is_asked_to_ring_for_that_command_and_for_phones_of_ours_alone(every_call: list[Found]) -> None:
    actions = {
        found.file
        for found in every_call
        if found.file.startswith(("dialer/simulation", "dialer/testing")) is False
        for one in found.node.args
        if isinstance(one, ast.Constant) and one.value == "Originate"
    }
    assert actions == ACTION_MAKERS
    asked: dict[str, set[str]] = {}
    for found in every_call:
        func = found.node.func
        if isinstance(func, ast.Attribute) and func.attr == "originate" and named(func.value) == "actions":
            asked.setdefault(found.file, set()).add(found.function)
    assert asked == ACTION_USERS | LOCAL_USERS


@pytest.mark.parametrize("file", LOCAL_USERS)
def test_what_rings_nobody_is_a_channel_within_asterisk_alone(file: str) -> None:
    source = (ROOT / file).read_text("utf-8")
    asked = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "actions.originate"
    ]
    assert asked
    for call in asked:
        # Into a context of ours, whatever stands before the @: no context of ours dials.
        assert re.fullmatch(r"f'Local/(s|\{command\.room\})@\{CONTEXT\w*\}/n'", ast.unparse(call.args[0]))
    plan = (ROOT / "config" / "asterisk" / "extensions.conf").read_text("utf-8")
    assert not re.search(r"\b(Dial|Originate|Page|FollowMe|SendText|System)\(", plan)


def test_phones_of_ours_are_dialed_as_the_settings_say_and_by_no_trunk() -> None:
    source = (ROOT / "dialer/switch/server.py").read_text("utf-8")
    for method in ast.walk(ast.parse(source)):
        if isinstance(method, ast.FunctionDef) and method.name in {"call_agent", "call_monitor"}:
            [asked] = [one for one in ast.walk(method) if isinstance(one, ast.Call) and named(one.func) == "originate"]
            named_first = {
                ast.unparse(one.targets[0]): one.value for one in ast.walk(method) if isinstance(one, ast.Assign)
            }
            dialed = ast.unparse(named_first.get(ast.unparse(asked.args[0]), asked.args[0]))
            assert dialed.startswith("mapping.dial_phone(self._server.agent_dial, command.")


def test_the_switch_looks_at_the_permit_before_it_rings() -> None:
    source = (ROOT / "dialer/switch/server.py").read_text("utf-8")
    tree = ast.parse(source)
    [method] = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "originate"]
    lines: dict[str, int] = {}
    for node in ast.walk(method):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            lines.setdefault(ast.unparse(node.func), node.lineno)
    assert lines["permit.valid"] < lines["actions.originate"]


@pytest.mark.parametrize(
    "code",
    [
        "Permit(call='x')",
        "permit.Permit(call='x')",
        "Permit.__new__(Permit)",
        "map(Permit.__new__, x)",
        "msgspec.convert(x, Permit)",
        "partial(Permit, call='x')",
        "object.__new__(Permit)",
    ],
)
def test_the_look_finds_every_way_to_make_one(code: str) -> None:
    assert any(makes(found, "Permit") for found in calls(code, "x.py"))
