"""Scripts put together from their parts: keys by name, and no function that is not called."""

from __future__ import annotations

import re

import pytest

from dialer.queues.keys import Keys
from dialer.queues.lua_text import script_text
from dialer.queues.scripts import Scripts

KEYS = {"live": "p:live", "gate": "p:gate"}
TOP = re.compile(r"^local function (\w+)", re.MULTILINE)


def text(*parts: str) -> str:
    return script_text(parts, KEYS)


def test_keys_stand_for_their_names() -> None:
    assert text("call('HGET', K.live, K.gate .. '1')") == "call('HGET', 'p:live', 'p:gate' .. '1')"


def test_a_key_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError):
        text("return K.lives")


def test_functions_that_are_not_called_go_with_those_that_they_alone_call() -> None:
    prelude = """
local function one() return 1 end
local function two()
  return one()
end
local function three(n)
  if n then
    return two()
  end
end
local function four() return 4 end
"""
    assert TOP.findall(text(prelude, "return four()")) == ["four"]
    assert TOP.findall(text(prelude, "return three(true)")) == ["one", "two", "three"]


def test_a_name_in_a_string_or_comment_is_no_call() -> None:
    prelude = "local function busy() return 1 end\nlocal function idle() return 2 end\n"
    assert TOP.findall(text(prelude, "-- busy() is not called\nreturn 'busy \\' idle' .. \"idle\"")) == []


def test_what_a_rare_function_alone_needs_is_made_in_it() -> None:
    prelude = """
local function shared() return 1 end
local function own() return shared() end
local function other()
  return own()
end
local function seldom(n) -- rarely
  return other() + n
end
"""
    made = text(prelude, "if x then seldom(1) end\nreturn shared()")
    assert made.index("local function shared") < made.index("local function seldom") < made.index("local function own")
    assert made.index("local function own") < made.index("local function other") < made.index("return other() + n")
    assert made.count("local function own") == 1


def test_what_two_rare_functions_need_is_made_once_for_both() -> None:
    prelude = """
local function both() return 1 end
local function a() -- rarely
  return both()
end
local function b() -- rarely
  return both()
end
"""
    made = text(prelude, "return a() + b()")
    assert TOP.findall(made) == ["both", "a", "b"]
    assert made.index("local function both") < made.index("local function a(")


@pytest.mark.parametrize("script", Scripts(Keys("x:")).all(), ids=lambda script: script.name)
def test_every_script_has_all_that_it_calls(script: object) -> None:
    made: str = script.text  # type: ignore[attr-defined]
    defined = set(TOP.findall(made))
    everything = set(TOP.findall("".join(one.text for one in Scripts(Keys("x:")).all())))
    bare = re.sub(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|--.*", "", made)
    called = set(re.findall(r"(?<![\w.:])(\w+)\(", bare)) & everything
    assert called <= defined | set(re.findall(r"local (\w+) =|local (\w+),", bare)) | defined
    assert "K." not in bare
