"""Users of the console on the real server: signing in, second factors, what ends sessions, what the log says of it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from sqlalchemy import text

from dialer.api.key_ports import Role
from dialer.api.user_ports import User, UserState
from dialer.console.sessions import COOKIE
from dialer.runtime.users import UserDesk
from dialer.storage.database import Database
from dialer.testing import FakeNode
from tests.accounts import BETTER, GOOD, code, desk
from tests.integration.test_console import Visitor, csrf_of, serving
from tests.patience import PATIENCE_S


class Person(Visitor):
    """Somebody at a browser, and the accounts behind the server."""

    users: UserDesk
    database: Database

    async def post(self, path: str, status: int = 303, **form: str) -> str:
        async with self.http.post(self.url + path, data=form, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def enter(self, name: str, password: str = GOOD, code: str = "", status: int = 303) -> aiohttp.ClientResponse:
        form = {"name": name, "password": password, "code": code}
        async with self.http.post(f"{self.url}/console/login", data=form, allow_redirects=False) as answer:
            await answer.read()
            assert answer.status == status
            return answer

    async def elsewhere(self, cookie: str) -> int:
        """What another browser with this cookie is answered."""
        async with (
            aiohttp.ClientSession(headers={"Cookie": f"{COOKIE}={cookie}"}) as http,
            http.get(f"{self.url}/console/account", allow_redirects=False) as answer,
        ):
            return answer.status

    async def csrf(self) -> str:
        return csrf_of(await self.page("/console/account"))

    def deeds(self) -> list[tuple[str, str, str, str]]:
        return [(note.who, note.action, note.object, note.outcome) for note in self.node.audit.notes]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> AsyncIterator[Person]:
    folder = tmp_path_factory.mktemp("accounts")
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, folder / 'cadencia.db')}")
    async with serving(folder, lambda node: with_users(node, database)) as visitor:
        found = Person(visitor.node, visitor.console, visitor.http, visitor.url)
        found.users, found.database = desk(database, visitor.node.clock), database
        yield found
    await database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def person(served: Person) -> Person:
    """As nobody had been there before, but for the addresses from which somebody has signed in."""
    served.http.cookie_jar.clear()
    served.node.clock.advance(1_000.0)
    async with served.database.write() as connection:
        await connection.execute(text("DELETE FROM users"))
    for name, role in (("marta", Role.MANAGER), ("susi", Role.SUPERVISOR), ("eva", Role.AGENT)):
        await served.users.create(name, role, "", GOOD)
    served.node.audit.notes.clear()
    return served


def with_users(node: FakeNode, database: Database) -> None:
    users = desk(database, node.clock)
    node.ports = replace(node.ports, users=users, user_book=users)


# ---- getting in


async def test_a_password_opens_the_console(person: Person) -> None:
    answer = await person.enter("Marta ")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert GOOD not in cookie
    assert answer.headers["location"] == "/console/"
    assert "marta" in await person.page("/console/account")
    assert person.deeds() == [("user:marta", "session.begun", "", "ok")]
    assert person.node.audit.notes[0].role == "manager"
    assert person.node.audit.notes[0].address == "127.0.0.1"


async def test_what_is_wrong_is_not_told(person: Person) -> None:
    await person.users.set_state("susi", UserState.DISABLED)
    told = set()
    for name, password in (
        ("marta", BETTER),
        ("nobody", GOOD),
        ("susi", GOOD),
        ("marta", ""),
        ("", GOOD),
        ("<b>", GOOD),
    ):
        async with person.http.post(f"{person.url}/console/login", data={"name": name, "password": password}) as answer:
            assert answer.status == 401
            assert COOKIE not in answer.cookies
            page = await answer.text()
            told.add(re.sub(r'value="[^"]*"', "", page))
    assert len(told) == 1
    assert "<b>" not in page
    assert {(who, outcome) for who, _, _, outcome in person.deeds()} == {("", "unauthorized")}


async def test_whoever_guesses_a_password_must_wait_and_nobody_is_locked_out(person: Person) -> None:
    await person.users.create("otto", Role.MANAGER, "", GOOD)
    await person.enter("susi")
    for _ in range(10):
        await person.enter("otto", BETTER, status=401)
    await person.enter("otto", GOOD, status=429)  # this name from anywhere; the right one too, or it would tell
    await person.enter("nobody", GOOD, status=401)
    await person.enter("susi", GOOD)  # known from here
    person.node.clock.advance(15.0)
    await person.enter("otto", GOOD)
    for _ in range(9):
        await person.enter("susi", BETTER, status=401)
    await person.enter("susi", GOOD)


async def test_an_address_that_guesses_many_names_must_wait(person: Person) -> None:
    for n in range(20):
        await person.enter(f"name{n}", GOOD, status=401)
    answer = await person.enter("eva", GOOD, status=429)
    assert "content-security-policy" in answer.headers
    person.node.clock.advance(2.5)
    await person.enter("eva", GOOD)


async def test_an_agent_is_themself_and_nobody_else(person: Person) -> None:
    answer = await person.enter("eva")
    assert answer.headers["location"] == "/console/desk"
    assert "eva" in await person.page("/console/account")
    await person.page("/console/", 303)  # to their own page
    await person.page("/console/system", 403)


# ---- what ends sessions


async def test_a_change_of_password_role_or_state_ends_sessions(person: Person) -> None:
    changes: list[Callable[[], Coroutine[Any, Any, User]]] = [
        lambda: person.users.set_password("susi", BETTER),
        lambda: person.users.set_role("susi", Role.AGENT, ""),
        lambda: person.users.set_role("susi", Role.SUPERVISOR, ""),
        lambda: person.users.set_state("susi", UserState.DISABLED),
        lambda: person.users.end_second_factor("susi"),
    ]
    for change in changes:
        await person.users.set_state("susi", UserState.ACTIVE)
        await person.users.set_password("susi", GOOD)
        await person.enter("susi")
        await person.page("/console/account")
        await change()
        person.node.clock.advance(6.0)  # as long as a user who was found is trusted
        await person.page("/console/account", 303)


async def test_ones_own_new_password_ends_the_other_sessions(person: Person) -> None:
    other = (await person.enter("susi")).cookies[COOKIE].value
    assert await person.elsewhere(other) == 200
    csrf = await person.csrf()
    for old, new, again, says in (
        (BETTER, BETTER, BETTER, "present password is wrong"),
        (GOOD, BETTER, GOOD, "not the same"),
        (GOOD, "susi-susi-susi", "susi-susi-susi", "made of the name"),
        (GOOD, "short", "short", "at least 12"),
    ):
        form = {"csrf": csrf, "old": old, "new": new, "again": again}
        assert says in await person.post("/console/account/password", 422, **form)
    await person.post("/console/account/password", 403, csrf="x", old=GOOD, new=BETTER, again=BETTER)
    await person.post("/console/account/password", csrf=csrf, old=GOOD, new=BETTER, again=BETTER)
    await person.page("/console/account")  # this one goes on
    assert await person.elsewhere(other) == 303
    await person.enter("susi", GOOD, status=401)
    await person.enter("susi", BETTER)
    assert ("user:susi", "user.password", "user:susi", "ok") in person.deeds()
    assert ("user:susi", "user.password", "user:susi", "invalid") in person.deeds()


async def test_a_stream_ends_with_its_session(person: Person) -> None:
    await person.enter("susi")
    async with person.http.get(f"{person.url}/console/stream/wallboard") as stream:
        assert stream.status == 200
        await person.users.set_state("susi", UserState.DISABLED)
        person.node.clock.advance(6.0)
        async with asyncio.timeout(PATIENCE_S):
            await stream.content.read()
    await person.page("/console/stream/wallboard", 401)


async def test_a_session_of_a_key_has_no_password(person: Person) -> None:
    await person.sign_in("boss")
    csrf = await person.csrf()
    await person.post("/console/account/password", 403, csrf=csrf, old=GOOD, new=BETTER, again=BETTER)
    await person.post("/console/account/second-factor", 403, csrf=csrf, password=GOOD)
    assert person.deeds()[0][:2] == (person.node.keys.keys[next(iter(person.node.keys.keys))].who, "session.begun")


# ---- second factor


async def test_a_second_factor_from_its_picture_to_its_end(person: Person) -> None:
    clock = person.node.clock
    await person.enter("marta")
    csrf = await person.csrf()
    await person.post("/console/account/second-factor", 422, csrf=csrf, password=BETTER)
    shown = await person.post("/console/account/second-factor", 200, csrf=csrf, password=GOOD)
    assert 'src="data:image/svg+xml' in shown
    promise = re.search(r'name="promise" value="([^"]+)"', shown)
    secret = re.search(r'<code class="secret">([A-Z2-7]{32})</code>', shown)
    assert promise is not None
    assert secret is not None
    confirm = "/console/account/second-factor/confirm"
    await person.post(confirm, 403, csrf=csrf, promise="forged", code=code(secret[1], clock.now()))
    assert "This code is wrong" in await person.post(confirm, 422, csrf=csrf, promise=promise[1], code="12345")
    await person.enter("marta")  # it counts for nothing yet
    csrf = await person.csrf()
    # Another session's page is not this one's.
    await person.post(confirm, 403, csrf=csrf, promise=promise[1], code=code(secret[1], clock.now()))
    shown = await person.post("/console/account/second-factor", 200, csrf=csrf, password=GOOD)
    promise = re.search(r'name="promise" value="([^"]+)"', shown)
    secret = re.search(r'<code class="secret">([A-Z2-7]{32})</code>', shown)
    assert promise is not None
    assert secret is not None
    codes = await person.post(confirm, 200, csrf=csrf, promise=promise[1], code=code(secret[1], clock.now()))
    recovery = re.findall(r"<li><code>([0-9a-f-]+)</code></li>", codes)
    assert len(recovery) == 10
    await person.page("/console/account")  # this session goes on
    await person.enter("marta", status=401)
    await person.enter("marta", code=code(secret[1], clock.now()), status=401)  # used already
    clock.advance(30.0)
    await person.enter("marta", code=code(secret[1], clock.now()))
    await person.enter("marta", code=recovery[3])
    await person.enter("marta", code=recovery[3], status=401)
    csrf = await person.csrf()
    await person.post("/console/account/second-factor/off", 422, csrf=csrf, password=BETTER)
    await person.post("/console/account/second-factor/off", csrf=csrf, password=GOOD)
    await person.enter("marta")
    noted = str(person.node.audit.notes)
    assert not any(word in noted for word in (GOOD, BETTER, secret[1], *recovery))
