"""What went wrong, in Spanish: every code that is raised has words, with its own arguments, and there are no others."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dialer
import workers
from dialer.api.desk_ports import NotThen
from dialer.api.errors import ApiError, on_input_error
from dialer.campaigns import CampaignInput, coded, parse_campaign
from dialer.compliance.eligibility import RefusalReason
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.rule_words import demanded
from dialer.compliance.rules import AbandonmentUnit, AbandonmentWindow, KeyPart, Mark
from dialer.compliance.screening import BARRED
from dialer.compliance.suppression import ERASED
from dialer.compliance.windows import DAYS
from dialer.console.campaign_forms import read
from dialer.console.problems import Told, by_code, not_then, part_words, put_in_words, said, told, words
from dialer.console.texts import texts
from dialer.core.contact_filter import parse_filter
from dialer.core.outcome import Outcome
from dialer.core.saying import NOTHING, TROUBLES, Saying, of_error, say
from dialer.errors import ConfigError, DialerError, InputError, QueueError, StorageError
from dialer.intake.phones import PhoneVerdict
from dialer.reporting.order import RawOrder, parse_order
from dialer.runtime.filters import FILTERED
from dialer.runtime.next_number import PHONE_ATTEMPTS
from dialer.runtime.passwords import PROBLEMS
from dialer.storage.failures import ADVICE_CODES

ENGLISH, SPANISH = texts("en"), texts("es")
#: Whoever is called so makes a sentence with a code.
_MAKERS = {
    "ApiError",
    "InputError",
    "say",
    "CrmError",
    *("SwitchError", "QueueError", "GateNotReady", "StorageError", "StoreError"),
}
#: Arguments that are not arguments of the text.
_OTHERS = {"error", "details", "headers", "word", "allowed", "code", "retryable", "wait_s"}
#: Codes that are put together out of a reason or a verdict, and codes that tables hold.
_MADE = {
    *(f"law_{reason}" for reason in RefusalReason),
    "law_campaign_days",
    *(f"password_{problem}" for problem in PROBLEMS),
    *(f"phone_{verdict}" for verdict in PhoneVerdict if verdict is not PhoneVerdict.VALID),
    *(code for _, code in TROUBLES),
    *ADVICE_CODES.values(),
}
#: What they are said with.
_SAID_WITH = {"rule": "ES-1@2", "problem": "so it is", "where": "here"}
#: Groups of single words, each with all that may stand in it.
_GROUPS: dict[str, set[str]] = {
    "join": {"and", "or"},
    "mark": set(Mark),
    "day": set(DAYS),
    "by": {*KeyPart, *AbandonmentUnit},
    "window": set(AbandonmentWindow),
    "after": {*Outcome, "refusal"},
}


@pytest.fixture(scope="module")
def trees() -> list[ast.Module]:
    """The modules that say something."""
    folders = [Path(str(package.__file__)).parent for package in (dialer, workers)]
    return [ast.parse(path.read_text("utf-8")) for folder in folders for path in folder.rglob("*.py")]


def raised(trees: list[ast.Module]) -> Iterator[tuple[str, set[str] | None]]:
    """Each code in the source, with its arguments where they can be read there."""
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in _MAKERS:
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(code := given.get("code"), ast.Constant):
                others = {"code"} if node.func.id == "say" else _OTHERS
                named = {name for name in given if name is not None and name not in others}
                yield str(code.value), None if None in given else named


def constants(trees: list[ast.Module]) -> set[str]:
    """Every text in the source."""
    return {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def fields(code: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(SPANISH(f"told.{code}")) if name}


def test_every_code_has_spanish_words_of_its_arguments(trees: list[ast.Module]) -> None:
    codes = list(raised(trees))
    assert len(codes) > 400
    assert [code for code, _ in codes if not SPANISH.has(f"told.{code}")] == []
    for code, arguments in codes:
        if arguments:  # without any the words are taken as they stand
            assert fields(code) <= arguments, code
        elif arguments is not None:
            assert by_code(SPANISH, code, {}) == SPANISH(f"told.{code}"), code


@pytest.mark.parametrize("code", sorted(_MADE))
def test_every_reason_of_the_law_and_of_numbers_has_spanish_words(code: str) -> None:
    words = by_code(SPANISH, code, _SAID_WITH)
    assert words is not None
    assert "{" not in words


def test_there_are_no_words_that_nobody_says(trees: list[ast.Module]) -> None:
    codes = {key.removeprefix("told.") for key in SPANISH.keys() if key.startswith("told.")}  # noqa: SIM118 - no mapping
    said_somewhere = (
        constants(trees) | _MADE | {f"{group}.{word}" for group, words in _GROUPS.items() for word in words}
    )
    assert {code for code in codes - said_somewhere if not code.startswith("kind_")} == set()


@pytest.mark.parametrize("group", sorted(_GROUPS))
def test_every_word_that_a_sentence_may_be_given_is_spanish(group: str) -> None:
    assert {word for word in _GROUPS[group] if not SPANISH.has(f"told.{group}.{word}")} == set()


class Sayings(list[Saying]):
    """Sayings, and those among their arguments."""

    def take(self, saying: Saying) -> None:
        self.append(saying)
        for value in saying.arguments.values():
            for one in value if isinstance(value, list | tuple) else [value]:
                if isinstance(one, Saying):
                    self.take(one)


@pytest.fixture(scope="module")
def rules() -> Sayings:
    book, found = load_rule_book(find_folder(None)), Sayings()
    for one in (*book.countries.values(), book.policy):
        for rule in one.rules:
            found.take(demanded(book, rule))
    return found


def test_what_every_rule_on_file_demands_is_told_in_spanish(rules: Sayings) -> None:
    assert len(rules) > 200
    untold = {one.code for one in rules if by_code(SPANISH, one.code, one.arguments) is None}
    assert untold == set()
    assert not any(re.search(r"[{}_]|for each|at most|closed", words(SPANISH, one)) for one in rules)


def test_whatever_the_gate_refuses_for_has_words_in_every_language(trees: list[ast.Module]) -> None:
    reasons = {reason.value for reason in RefusalReason}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TurnedAway":
                reasons |= {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
    scripts = Path(str(dialer.__file__)).parent / "queues" / "lua"
    reasons |= {found for path in scripts.glob("*.lua") for found in re.findall(r"refuse\('(\w+)'\)", path.read_text())}
    reasons |= {ERASED, BARRED, PHONE_ATTEMPTS, FILTERED}
    assert len(reasons) > 15
    assert {reason for reason in reasons for texts in (ENGLISH, SPANISH) if not texts.has(f"gate.{reason}")} == set()


def test_countries_and_notes_of_the_law_are_in_spanish_as_long_as_their_files_say_the_same() -> None:
    book = load_rule_book(find_folder(None))
    files = [*book.countries.values(), book.policy]
    said = {f"law.country.{one.country}" for one in files}
    said |= {f"law.note.{rule.note}" for one in files for rule in one.rules if rule.note}
    assert {key for key in SPANISH.keys() if key.startswith("law.")} == said  # noqa: SIM118 - no mapping


def test_what_a_rule_demands_is_told_with_its_days_hours_and_keys(rules: Sayings) -> None:
    told = {words(SPANISH, one) for one in rules}
    assert any(re.search(r"^lunes a viernes 0\d:00-\d\d:00.*, domingo cerrado", one) for one in told)
    assert any(re.search(r"^como máximo \d llamadas .*en \d días.* por \w+", one) for one in told)
    assert any(one.startswith("como máximo 3 % de las respuestas de personas, por campaña") for one in told)


@pytest.mark.parametrize(
    ("filter", "told_so"),
    [
        ("", "Al final: está vacío; escriba una comparación, como state = "),
        ("state =", "Al final: aquí va un texto entre comillas, un número, true o false."),
        ("state = 1 2", "Carácter 11, en «2»: aquí va and, or, o nada más."),
        ("state in 1", "Carácter 10, en «1»: aquí va [."),
        ("@calls > 1", "Carácter 1, en «@calls»: @calls no se conoce; existe @attempts."),
        ("name begins with 3", "Carácter 18, en «3»: aquí va un texto entre comillas"),
        ("vip < true", "Carácter 7, en «true»: true y false no son ni más ni menos que nada."),
        ('"x" = name', 'Carácter 1, en «"x"»: aquí va el nombre de un campo; el valor va a la derecha.'),
        ("a = $", "Carácter 5, en «$»: esto no se puede leer."),
        ("not " * 40 + "a", "Carácter 129, en «not»: hay demasiados paréntesis o not"),
        ("a" * 4_001, "Tiene 4.001 caracteres; como máximo 4.000."),
    ],
)
def test_filters_that_cannot_be_read_are_told_in_spanish(filter: str, told_so: str) -> None:
    with pytest.raises(InputError) as found:
        parse_filter(filter)
    assert told(SPANISH, found.value).startswith(told_so)
    assert told(ENGLISH, found.value) == str(found.value)


def test_sayings_within_sayings_are_told_in_spanish_and_go_out_in_english() -> None:
    inner = say("no version of it has been built yet", code="registry_not_built")
    outer = say("registry r cannot be asked", code="registry_unavailable", registry="r", problem=inner)
    assert words(SPANISH, outer).startswith("no se puede preguntar al registro r: todavía no se ha creado")
    assert words(ENGLISH, outer) == outer.says
    sent = ApiError(409, "no", code="may_not_dial", problem=outer).details
    assert sent == {"code": "may_not_dial", "arguments": {"problem": outer.says}}
    assert words(SPANISH, NOTHING) == ""
    assert put_in_words(SPANISH, {"server": "pbx", "reason": inner})["reason"] == words(SPANISH, inner)


@pytest.mark.parametrize(
    ("error", "spanish"),
    [
        (ConfigError("redis.url is wrong"), "hay algo que corregir en los ajustes (redis.url is wrong)"),
        (QueueError("Redis is slow", code="redis_slow"), SPANISH("told.redis_slow")),
        (StorageError("it broke"), "la base de datos no está al alcance o se niega (it broke)"),
        (InputError("priority: is no number", code="at_most", bound=3), "Debe ser 3 como máximo."),
    ],
)
def test_errors_of_parts_are_sayings(error: DialerError, spanish: str) -> None:
    saying = of_error(error)
    assert (saying.says, words(SPANISH, saying)) == (str(error), spanish)


@pytest.mark.parametrize(
    ("part", "spanish"),
    [
        ("database", "base de datos"),
        ("campaign winter", "campaña winter"),
        ("asterisk pbx", "Asterisk pbx"),
        ("recordings pbx", "grabaciones de pbx"),
        ("recordings key", "clave de las grabaciones"),
        ("something new", "something new"),
    ],
)
def test_parts_of_the_installation_have_spanish_names(part: str, spanish: str) -> None:
    assert part_words(SPANISH, part) == spanish


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
        (RawOrder(by="shoe"), "Un reporte no puede ser por eso"),
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
