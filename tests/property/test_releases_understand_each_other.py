"""Nodes of this release and of earlier ones that may run beside it read what the other wrote, whatever it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dialer.queues.server_check import LAYOUT
from tests.releases import MESSAGES, RELEASES, shapes, shapes_of, type_of

Shape = dict[str, Any]

NOW = shapes()
#: What this release does not know yet.
LATER = {"of_a_later_release": [{"more": 1}], "another": None}
BOTH = [(release, message) for release in RELEASES for message in MESSAGES]
of_both = pytest.mark.parametrize(("release", "message"), BOTH)
some = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def values(shape: Shape, parts: Shape, later: bool = False) -> st.SearchStrategy[Any]:
    """Whatever has that shape, in plain values; with `later`, what a later release may add to it as well."""

    def of(inner: Shape) -> st.SearchStrategy[Any]:
        return values(inner, parts, later)

    match shape:
        case {"$ref": str(name)}:
            return st.deferred(lambda: of(parts[name.removeprefix("#/$defs/")]))
        case {"anyOf": list(options)}:
            return st.one_of([of(option) for option in options])
        case {"enum": list(words)}:
            return st.sampled_from(words)
        case {"type": "string", "contentEncoding": "base64"}:
            return st.binary(max_size=4)
        case {"type": "string", "format": "date"}:
            return st.dates().map(str)
        case {"type": "string"}:
            return st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
        case {"type": "integer"}:
            return st.integers(-(2**53), 2**53)
        case {"type": "number"}:
            return st.floats(allow_nan=False, allow_infinity=False)
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "null"}:
            return st.none()
        case {"type": "array", "prefixItems": list(places)}:
            least = shape["minItems"]
            full = st.tuples(*map(of, places)).map(list)
            cut = st.integers(least, len(places))
            return st.tuples(full, cut).map(lambda it: it[0] + list(LATER.values()) if later else it[0][: it[1]])
        case {"type": "array"}:
            return st.lists(of(shape.get("items", {})), max_size=2)
        case {"type": "object", "properties": dict(fields)}:
            must = {name: of(field) for name, field in fields.items() if name in shape["required"]}
            may = {name: of(field) for name, field in fields.items() if name not in must}
            return st.fixed_dictionaries(must, optional=may).map(lambda it: {**LATER, **it} if later else it)
        case {"type": "object"}:
            # Some are by outcome, which shapes do not tell.
            keys = st.sampled_from(parts["Outcome"]["enum"])
            return st.dictionaries(keys, of(shape.get("additionalProperties", {})), max_size=2)
        case {}:
            return st.none() | of({"type": "string"}) | of({"type": "integer"})
    raise AssertionError(f"no such shape: {shape}")


def read(message: str, plain: Any) -> Any:
    """What a node of this release reads where `plain` was written."""
    if MESSAGES[message][1] == "msgpack":
        return msgspec.msgpack.decode(msgspec.msgpack.encode(plain), type=type_of(message))
    return msgspec.json.decode(msgspec.json.encode(plain), type=type_of(message))


def written(value: Any) -> Any:
    """What a node of this release writes, in plain values."""
    return json.loads(msgspec.json.encode(value))


def reader(release: Shape, message: str) -> Draft202012Validator:
    """What a node of that release can read: whatever has its shape, and more."""
    return Draft202012Validator({**release["messages"][message], "$defs": release["$defs"]})


@of_both
def test_this_release_reads_what_an_earlier_one_wrote(release: str, message: str) -> None:
    before = shapes_of(release)

    @some
    @given(values(before["messages"][message], before["$defs"]))
    def check(plain: Any) -> None:
        read(message, plain)

    check()


@of_both
def test_an_earlier_release_reads_what_this_one_writes(release: str, message: str) -> None:
    before = reader(shapes_of(release), message)

    @some
    @given(values(NOW["messages"][message], NOW["$defs"]))
    def check(plain: Any) -> None:
        before.validate(written(read(message, plain)))

    check()


@pytest.mark.parametrize("message", MESSAGES)
def test_what_a_later_release_adds_is_left_alone(message: str) -> None:
    @some
    @given(values(NOW["messages"][message], NOW["$defs"], later=True))
    def check(plain: Any) -> None:
        assert read(message, plain) == read(message, without_later(plain))

    check()


def without_later(plain: Any) -> Any:
    """What this release knows of it."""
    match plain:
        case dict():
            return {key: without_later(value) for key, value in plain.items() if key not in LATER}
        case [*known, first, last] if [first, last] == list(LATER.values()):
            return without_later(known)
        case list():
            return [without_later(value) for value in plain]
    return plain


def differences(before: Shape, now: Shape) -> Iterator[str]:
    """What an earlier release would miss or not understand, and no example need show."""
    if before["layout"] != now["layout"]:
        yield "layout"
    for name, part in before["$defs"].items():
        found = now["$defs"].get(name, {})
        if sorted(map(str, part.get("enum", ()))) != sorted(map(str, found.get("enum", ()))):
            yield f"words of {name}"
        yield from (f"{name}.{field}" for field in part.get("properties", {}) if field not in found["properties"])
    for job, arguments in before["jobs"].items():
        taken = now["jobs"].get(job)
        if taken is None:
            yield job
            continue
        yield from (f"{job}({argument})" for argument in arguments if argument not in taken)
        # A node of an earlier release gives what it had to give, and a worker of this one must do with that.
        yield from (f"{job}({argument})" for argument, must in taken.items() if must and not arguments.get(argument))


@pytest.mark.parametrize("release", RELEASES)
def test_no_word_field_or_job_is_lost_or_renamed(release: str) -> None:
    assert list(differences(shapes_of(release), NOW)) == []


def test_the_oldest_release_has_this_layout() -> None:
    assert {shapes_of(release)["layout"] for release in RELEASES} == {LAYOUT}


def test_what_is_lost_renamed_or_new_is_noticed() -> None:
    other = deepcopy(NOW)
    other["$defs"]["Outcome"]["enum"].append("vanished")
    other["$defs"]["Neighbour"]["properties"]["address_of"] = other["$defs"]["Neighbour"]["properties"].pop("address")
    job = next(name for name in other["jobs"] if name.endswith("import_list"))
    other["jobs"][job]["folder"] = True
    other["layout"] = "0"
    found = ["layout", "Neighbour.address", "words of Outcome", f"{job}(folder)"]
    assert sorted(differences(NOW, other)) == sorted(found)
    other["$defs"]["Neighbour"]["required"].append("colour")
    with pytest.raises(Exception, match="colour"):
        reader(other, "that a node lives").validate(written(read("that a node lives", _A_NODE)))
    reader(NOW, "that a node lives").validate(written(read("that a node lives", _A_NODE)))


_A_NODE = {"node": "n1", "boot": "0123", "address": "", "until": 1.0}
