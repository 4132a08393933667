"""The OpenAPI description: whole, valid in itself, and without pages that load from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from dialer.api.app import create_app
from dialer.settings import Settings
from dialer.testing import FakeNode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with TestClient(create_app(FakeNode(tmp_path_factory.mktemp("u")).ports, Settings())) as http:
        answer = http.get("/api/openapi.json")
        assert answer.headers["content-type"].startswith("application/")
        found: dict[str, Any] = answer.json()
        return found


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in description["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_every_route_is_described_with_its_errors(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        where = f"{method} {path}"
        statuses = set(operation["responses"])
        assert operation.get("summary"), where
        assert operation.get("description"), where
        assert "500" in statuses, where
        if path not in {"/healthz", "/readyz"}:
            assert {"401", "403", "429"} <= statuses, where
        if method in {"POST", "PUT", "PATCH"} and "415" in statuses:
            assert operation["requestBody"]["content"], where
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= statuses, where
        if "{" in path and not path.startswith("/api/v1/agents"):
            assert "404" in statuses, where
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")) and (path, status) != ("/readyz", "503"):
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, f"{where} {status}"


def test_references_lead_somewhere_and_operations_have_names_of_their_own(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    schemas = description["components"]["schemas"]

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(description))
    assert found
    assert [ref for ref in found if ref.removeprefix("#/components/schemas/") not in schemas] == []
    ids = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(set(ids)) == len(ids)
    assert description["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_path_parameters_are_those_of_the_path(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        described = {item["name"] for item in operation.get("parameters", ()) if item["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"


def test_no_page_of_the_framework_is_served(tmp_path: Path) -> None:
    with TestClient(create_app(FakeNode(tmp_path).ports, Settings())) as http:
        for path in ("/schema", "/api", "/api/swagger", "/api/redoc", "/schema/swagger", "/docs"):
            assert http.get(path).status_code == 404, path


def test_the_guide_names_every_route(description: dict[str, Any]) -> None:
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [
        f"{method} {path}"
        for method, path, _ in operations(description)
        if f"`{method} {path.removeprefix('/api/v1')}`" not in guide
    ]
    assert missing == []
