from __future__ import annotations

import json

import pytest

import router_ml.errors
from router_ml.errors import InvalidRequestError, RouterError
from serving.http.errors import STATUS, HttpError, problem_of, status_of


def leaves(kind: type[RouterError]) -> list[type[RouterError]]:
    below = [c for c in kind.__subclasses__() if c.__module__ == router_ml.errors.__name__]
    return [leaf for c in below for leaf in leaves(c)] or [kind]


@pytest.mark.parametrize("leaf", [*leaves(RouterError), InvalidRequestError])
def test_every_leaf_is_mapped(leaf: type[RouterError]) -> None:
    mapped = [kind for kind in leaf.__mro__ if kind in STATUS]
    assert mapped, f"add {leaf.__name__} or a base of it to serving.http.errors.STATUS"
    status, body, _ = problem_of(leaf("about a prompt"))
    assert status == status_of(leaf("")) == json.loads(body)["status"]
    assert (b"about a prompt" in body) == issubclass(leaf, InvalidRequestError)


def test_a_defect_says_nothing() -> None:
    status, body, _ = problem_of(ZeroDivisionError("secret"))
    assert status == 500
    assert b"secret" not in body


def test_http_errors_bring_their_headers() -> None:
    status, body, headers = problem_of(HttpError(401, "why", headers={"a": "b"}))
    assert (status, json.loads(body)["detail"], headers) == (401, "why", {"a": "b"})
