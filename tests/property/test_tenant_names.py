"""Whose something is follows from its name, and for nobody from two names."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, literal, select

from dialer.core.ids import valid_name
from dialer.core.tenants import INSTALLATION, everywhere, named, owns, tenant_of, valid_tenant
from dialer.queues.removals import listing_scope
from dialer.storage.tenants import of_tenant

_LETTERS = "ab19-_A"
tenants = st.text("ab19-", min_size=1, max_size=26).filter(valid_tenant)
names = st.one_of(st.text(_LETTERS, max_size=20), st.builds(named, tenants, st.text(_LETTERS, min_size=1, max_size=20)))
_ENGINE = create_engine("sqlite://")


@given(tenants, st.text(_LETTERS, min_size=1, max_size=20))
def test_what_is_named_for_a_tenant_is_its_own(tenant: str, rest: str) -> None:
    name = named(tenant, rest)
    assert tenant_of(name) == tenant
    assert owns(tenant, name)
    assert owns(INSTALLATION, name)


@given(tenants, tenants, names)
def test_nothing_is_of_two_tenants(first: str, second: str, name: str) -> None:
    assume(first != second)
    assert not (owns(first, name) and owns(second, name))


@given(names)
def test_the_installations_own_is_no_tenants(name: str) -> None:
    tenant = tenant_of(name)
    assert tenant == INSTALLATION or (valid_tenant(tenant) and name.startswith(named(tenant, "")))


@given(tenants, names)
def test_the_database_says_the_same(tenant: str, name: str) -> None:
    with _ENGINE.connect() as connection:
        values = select(literal(name).label("name")).subquery()
        found = connection.execute(select(values.c.name).where(of_tenant(values.c.name, tenant)))
        assert (found.one_or_none() is not None) is owns(tenant, name)


@given(tenants, st.text(_LETTERS, min_size=1, max_size=20))
def test_the_list_of_all_its_campaigns_is_a_list_and_no_campaign(tenant: str, rest: str) -> None:
    scope = everywhere(named(tenant, rest))
    assert scope == everywhere(scope)
    assert owns(tenant, scope)
    assert listing_scope(scope) is None
    assert not valid_name(scope)


@given(st.text(_LETTERS, min_size=1, max_size=20))
def test_everywhere_of_the_installations_own_is_everywhere(name: str) -> None:
    assume(tenant_of(name) == INSTALLATION)
    assert everywhere(name) == "*"
