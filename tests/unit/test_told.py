"""What went wrong, in Spanish: every code that is raised has words, with its own arguments, and there are no others."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dialer
from dialer.api.desk_ports import NotThen
from dialer.api.errors import ApiError, on_input_error
from dialer.campaigns import CampaignInput, coded, parse_campaign
from dialer.compliance.eligibility import RefusalReason
from dialer.console.campaign_forms import read
from dialer.console.problems import Told, by_code, not_then, said, told
from dialer.console.texts import texts
from dialer.errors import InputError, QueueError
from dialer.intake.phones import PhoneVerdict
from dialer.reporting.order import RawOrder, parse_order

ENGLISH, SPANISH = texts("en"), texts("es")
#: Arguments that are not arguments of the text.
_OTHERS = {"error", "details", "headers", "word", "allowed", "code"}
#: Codes that are put together out of a reason or a verdict, and codes that tables hold.
_MADE = {
    *(f"law_{reason}" for reason in RefusalReason),
    *(f"phone_{verdict}" for verdict in PhoneVerdict if verdict is not PhoneVerdict.VALID),
}


def raised() -> Iterator[tuple[str, set[str] | None]]:
    """Each code in the source, with its arguments where they can be read there."""
    for path in Path(dialer.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in {"ApiError", "InputError"}:
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(code := given.get("code"), ast.Constant):
                named = {name for name in given if name is not None and name not in _OTHERS}
                yield str(code.value), None if None in given else named


def constants() -> set[str]:
    """Every text in the source."""
    trees = (ast.parse(path.read_text("utf-8")) for path in Path(dialer.__file__).parent.rglob("*.py"))
    return {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def fields(code: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(SPANISH(f"told.{code}")) if name}


CODES = sorted(raised(), key=lambda pair: pair[0])


def test_codes_are_found() -> None:
    assert len(CODES) > 40


@pytest.mark.parametrize(("code", "arguments"), CODES, ids=[code for code, _ in CODES])
def test_every_code_has_spanish_words_of_its_arguments(code: str, arguments: set[str] | None) -> None:
    assert SPANISH.has(f"told.{code}")
    if arguments:  # without any the words are taken as they stand
        assert fields(code) <= arguments
    elif arguments is not None:
        assert by_code(SPANISH, code, {}) == SPANISH(f"told.{code}")


@pytest.mark.parametrize("code", sorted(_MADE))
def test_every_reason_of_the_law_and_of_numbers_has_spanish_words(code: str) -> None:
    words = by_code(SPANISH, code, {"rule": "ES-1@2"} if code.startswith("law_") else {})
    assert words is not None
    assert "{" not in words


def test_there_are_no_words_that_nobody_says() -> None:
    codes = {key.removeprefix("told.") for key in SPANISH.keys() if key.startswith("told.")}  # noqa: SIM118 - no mapping
    said_somewhere = constants() | _MADE
    assert {code for code in codes - said_somewhere if not code.startswith(("kind_", "mark."))} == set()


def test_nobody_but_the_english_reads_english() -> None:
    unknown = ApiError(404, "there is no campaign 'x'", code="no_campaign", campaign="x")
    assert told(ENGLISH, unknown) == "there is no campaign 'x'"
    assert told(SPANISH, unknown) == "No existe la campaña «x»."
    state = ApiError(
        409, "is stopped", code="campaign_state", campaign="x", state="stopped", possible=["draft", "running"]
    )
    assert told(SPANISH, state) == "La campaña «x» está parada; desde ahí puede pasar a: borrador, en marcha."


def test_an_error_without_a_code_is_told_by_its_kind_with_the_english_behind() -> None:
    assert told(SPANISH, ApiError(404, "there is no such file")) == "No existe (there is no such file)."
    assert told(SPANISH, QueueError("Redis is away")).endswith("inténtelo de nuevo (Redis is away).")
    assert told(SPANISH, ApiError(418, "teapot", error="teapot")) == "No se ha podido (teapot)."
    assert told(SPANISH, Told(422, "Elija una campaña.")) == "Elija una campaña."
    assert said(SPANISH, "as it stands", "of_no_catalogue", {}) == "as it stands"


def test_the_api_tells_the_code_with_its_arguments() -> None:
    assert ApiError(404, "no", code="no_list", list="l").details == {"code": "no_list", "arguments": {"list": "l"}}
    assert ApiError(404, "no").details == {}
    answer = on_input_error(None, InputError("priority: is no number", code="at_most", bound=3))  # type: ignore[arg-type]  # not looked at
    assert answer.content.details == {
        "code": "at_most",
        "arguments": {"bound": 3},
        "fields": [{"field": "priority", "message": "is no number"}],
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ratio": 0.5}, "Debe ser 1 como mínimo."),
        ({"max_lines": 2_000_000}, "Debe ser 1.000.000 como máximo."),
        ({"name": "x" * 201}, "Debe tener 200 caracteres o elementos como máximo."),
        ({"abandonment_windows": []}, "Debe tener 1 como mínimo."),
        ({"id": "no such id!"}, SPANISH("told.not_a_name")),
        ({"caller_id": "600"}, SPANISH("told.not_a_phone")),
        ({"max_abandonment": 0.5}, "Puede ser de 0 a 3 %"),
        ({"screen_pop": "ftp://x/"}, SPANISH("told.url_scheme")),
        ({"script": "Dear {na me}"}, "«na me» no es un campo; los campos son letras, cifras y _, como {name}."),
    ],
)
def test_settings_that_cannot_be_are_told_in_spanish(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as found:
        parse_campaign({"id": "winter", **settings})
    assert told(SPANISH, found.value).startswith(words)
    assert told(ENGLISH, found.value) == str(found.value)


def test_what_a_field_of_a_form_cannot_be_is_told_in_spanish_while_it_is_typed() -> None:
    problem = read({"max_abandonment": "50"}).problems["max_abandonment"]
    assert told(SPANISH, problem).startswith("Puede ser de 0 a 3 %")


@given(st.text())
def test_whatever_msgspec_may_say_is_a_known_code_or_none(what: str) -> None:
    code, arguments = coded(what)
    assert not code or by_code(SPANISH, code, arguments)


def test_the_limits_of_every_number_are_read_from_what_msgspec_says() -> None:
    with pytest.raises(msgspec.ValidationError) as found:
        msgspec.convert({"id": "a", "preview_s": 1}, CampaignInput)
    assert coded(str(found.value)) == ("at_least", {"bound": 3.0})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (RawOrder(by="shoe"), "Un informe no puede ser por eso"),
        (RawOrder(since="2026-11-30", until="2026-11-01"), SPANISH("told.report_since")),
        (RawOrder(timezone="Mars/Base"), "«Mars/Base» no es una zona horaria"),
        (RawOrder(since="yesterday"), SPANISH("told.not_a_moment")),
    ],
)
def test_reports_that_cannot_be_are_told_in_spanish(asked: RawOrder, words: str) -> None:
    with pytest.raises(InputError) as found:
        parse_order(asked, 1_800_000_000.0, "Europe/Madrid")
    assert told(SPANISH, found.value).startswith(words)


def test_a_callback_against_the_law_says_until_when_by_the_clock_of_the_person() -> None:
    against = NotThen(says="in English", code="law_hours", arguments={"rule": "ES-HORAS"}, next_at=1_800_000_000.0)
    assert not_then(ENGLISH, against, "Europe/Madrid") == "in English"
    words = not_then(SPANISH, against, "Europe/Madrid")
    assert words == "la ley no permite llamar a esta hora (ES-HORAS); desde el 15/01/2027 09:00, hora de Europe/Madrid"
