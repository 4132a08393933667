"""Mappings: how calls of a CRM become contacts, and results its updates: data in a TOML file (docs/crm/pull.md).

Reading is by JMESPath expressions (`dialer.crm.expressions`), writing by templates (`dialer.crm.templates`). Everything
that can be wrong with a mapping is found when it is loaded, and named with its place in the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from dialer.crm.expressions import Expression
from dialer.crm.soap import Version
from dialer.crm.templates import FACTS, Template, check_slots, compiled, slots_of
from dialer.errors import ConfigError, InputError
from dialer.settings import Crm

#: Results of calls that can become updates.
UpdateType = Literal["call.ended", "call.disposed"]
#: What stands in templates of questions.
ASKED: Final = frozenset({"cursor", "page", "token", "record"})

Path_ = Annotated[str, Meta(pattern=r"^(/[^\s#]*)?\Z", description="begins with / and has no white space")]
Method = Literal["GET", "POST", "PUT", "PATCH"]
T = TypeVar("T")


class Paging(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the next page is found."""

    kind: Literal["none", "link", "token", "number"] = "none"
    #: On an answer: the link or token of the next page; null ends. For numbers: true where there are more; empty: until
    #: a page has no rows.
    next: str = ""
    #: Number of the first page; for offsets `step` is the size of one.
    first: int = 1
    step: Annotated[int, Meta(ge=1)] = 1


class Pending(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`Get the pending calls`."""

    path: Path_ = ""
    method: Method = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    #: A table is sent as JSON, a text as it is (SOAP: what stands in its body).
    body: dict[str, Any] | str | None = None
    #: SOAP's action.
    action: str = ""
    #: On an answer: the calls.
    rows: str
    #: all: every pending call each time, so that one that is missing has been withdrawn. changes: what changed since.
    lists: Literal["all", "changes"] = "all"
    paging: Paging = field(default_factory=Paging)
    #: On the last answer of a listing of changes: the link with which the next one begins.
    changes: str = ""
    #: On a row: its moment or number of change; the greatest is the `{cursor}` of the next listing of changes.
    changed: str = ""
    #: `{cursor}` of the first one.
    since: str = ""
    #: What becomes of a call that was called to its end here, left the CRM's list, and is on it again.
    listed_again: Literal["leave", "call"] = "leave"


class One(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`Get this call`, for an update that meets a newer version of it."""

    path: Path_
    method: Method = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    #: On an answer: the row.
    row: str = "@"


class ContactKeys(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """On a row: what makes a contact of it."""

    #: The CRM's own key of the record; becomes the contact's id.
    record: str
    phones: str
    version: str = ""
    #: True where the call is to be made; false: withdrawn, where it was taken before.
    pending: str = ""
    #: True where the record is gone; asked before everything else.
    gone: str = ""
    name: str = ""
    priority: str = ""
    timezone: str = ""
    not_before: str = ""
    expires: str = ""
    consent: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    #: Fields that must be of a type; a row whose are not is rejected.
    types: dict[str, Literal["number", "boolean", "moment"]] = field(default_factory=dict)


class UpdateRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`Update this call`: the first rule that fits a result is carried out."""

    on: Annotated[tuple[UpdateType, ...], Meta(min_length=1)]
    #: On the facts; empty: always.
    when: str = ""
    path: Path_ = ""
    method: Literal["POST", "PUT", "PATCH"] = "PATCH"
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | str
    action: str = ""
    #: On an answer: whether it was done; for CRMs that answer 200 and mean no.
    done: str = ""
    #: Statuses by which the CRM says that this call is no longer to be made.
    withdrawn: tuple[int, ...] = (404, 409, 410)


class MappingFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping as it stands in its file."""

    title: str
    format: Literal["json", "soap"] = "json"
    soap: Version = "1.1"
    #: Headers of every request.
    headers: dict[str, str] = field(default_factory=dict)
    pending: Pending
    one: One | None = None
    contact: ContactKeys
    update: tuple[UpdateRule, ...] = ()
    tables: dict[str, dict[str, str | int | float | bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A compiled request."""

    method: str
    path: Template
    headers: Mapping[str, Template]
    #: Of `dialer.crm.templates.compiled`; None: no body.
    body: Any
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A compiled `UpdateRule`."""

    on: tuple[str, ...]
    when: Expression
    question: Question
    done: Expression
    withdrawn: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmMapping:
    """A mapping, ready for use."""

    file: MappingFile
    pending: Question
    rows: Expression
    next: Expression
    changes: Expression
    changed: Expression
    one: Question | None
    one_row: Expression
    #: By the name of the key: `record`, `phones`, …, `fields.debt`, `consent.purpose`.
    contact: Mapping[str, Expression]
    rules: Sequence[Rule]

    @property
    def types(self) -> frozenset[str]:
        """Types of results that some rule wants."""
        return frozenset(kind for rule in self.rules for kind in rule.on)


def mapping_path(crm: Crm, mapping: str) -> Path:
    """The file of a mapping: in the folder of mappings (or anywhere, by an absolute path), else one that is shipped."""
    wanted = Path(crm.mappings or "crm") / mapping
    here = Path(__file__).parent
    # Within the package where it was installed, in the source tree where it runs from that.
    shipped = (here / "mappings" / mapping, here.parent.parent / "config" / "crm" / mapping)
    return next((path for path in (wanted, *shipped) if path.is_file()), wanted)


def load_mapping(path: Path) -> CrmMapping:
    """Read and check a mapping.

    Raises:
        ConfigError: names the file, the place in it, and what is wrong there.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the mapping {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    try:
        return compile_mapping(msgspec.convert(raw, MappingFile))
    except (msgspec.ValidationError, InputError) as error:
        raise ConfigError(f"{path}: {error}") from error


def compile_mapping(file: MappingFile) -> CrmMapping:
    """The mapping, ready for use.

    Raises:
        InputError: names the place, and what is wrong there.
    """
    pending, keys, paging = file.pending, file.contact, file.pending.paging
    if paging.kind in {"link", "token"} and not paging.next:
        raise InputError(f"pending.paging.next must find the {paging.kind} of the next page")
    if pending.lists == "changes" and not (pending.changes or pending.changed):
        raise InputError("pending.lists = 'changes' needs pending.changes (a link) or pending.changed (of a row)")
    if pending.lists == "all" and (pending.changes or pending.changed):
        raise InputError("pending.changes and pending.changed belong to pending.lists = 'changes'")
    unknown = sorted(set(keys.types) - set(keys.fields))
    if unknown:
        raise InputError(f"contact.types.{unknown[0]}: there is no contact.fields.{unknown[0]}")
    for table in file.tables:
        if not table.isidentifier() or not table.islower():
            raise InputError(f"tables.{table}: a name of small letters, digits and _")
    plain = ("record", "phones", "version", "pending", "gone", "name", "priority", "timezone", "not_before", "expires")
    named = {name: getattr(keys, name) for name in plain}
    named |= {f"fields.{name}": text for name, text in keys.fields.items()}
    named |= {f"consent.{name}": text for name, text in keys.consent.items()}
    for name in ("record", "phones"):
        if not named[name]:
            raise InputError(f"contact.{name} must not be empty")
    return CrmMapping(
        file=file,
        pending=_question(file, "pending", pending, ASKED, pending.body, pending.action),
        rows=_at("pending.rows", lambda: Expression(pending.rows)),
        next=_at("pending.paging.next", lambda: Expression(paging.next)),
        changes=_at("pending.changes", lambda: Expression(pending.changes)),
        changed=_at("pending.changed", lambda: Expression(pending.changed)),
        one=None if file.one is None else _question(file, "one", file.one, ASKED, None, ""),
        one_row=_at("one.row", lambda: Expression("" if file.one is None else file.one.row)),
        contact={name: _at(f"contact.{name}", lambda text=text: Expression(text)) for name, text in named.items()},
        rules=[_rule(file, place, rule) for place, rule in enumerate(file.update)],
    )


def _rule(file: MappingFile, place: int, rule: UpdateRule) -> Rule:
    where = f"update[{place}]"
    return Rule(
        on=rule.on,
        when=_at(f"{where}.when", lambda: Expression(rule.when)),
        question=_question(file, where, rule, FACTS, rule.body, rule.action),
        done=_at(f"{where}.done", lambda: Expression(rule.done)),
        withdrawn=frozenset(rule.withdrawn),
    )


def _question(
    file: MappingFile, where: str, asked: Pending | One | UpdateRule, known: frozenset[str], body: Any, action: str
) -> Question:
    if file.format == "soap":
        if not isinstance(body, str) or not action:
            raise InputError(f"{where}: SOAP needs a text as body, and an action")
    elif isinstance(body, str):
        raise InputError(f"{where}.body must be a table, which is sent as JSON")
    question = Question(
        method="POST" if file.format == "soap" else asked.method,
        path=_at(f"{where}.path", lambda: Template(asked.path)),
        headers={
            name: _at(f"{where}.headers.{name}", lambda text=text: Template(text))
            for name, text in {**file.headers, **asked.headers}.items()
        },
        body=_at(f"{where}.body", lambda: compiled(body)),
        action=action,
    )
    for part, template in (("path", question.path), ("headers", dict(question.headers)), ("body", question.body)):
        _at(f"{where}.{part}", lambda template=template: check_slots(slots_of(template), known, file.tables))
    return question


def _at(place: str, make: Callable[..., T]) -> T:
    try:
        return make()
    except InputError as error:
        raise InputError(f"{place}: {error}", code=error.code, **error.arguments) from error
