"""Secrets, and what remains of them."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest

from ingestion_server.ports.http import HttpRequest
from ingestion_server.transport.redaction import Redactor, secrets_of
from tests.transport.fakes import KEY


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        quote_plus(KEY),
        json.dumps(KEY)[1:-1],
        KEY.replace("/", "\\/"),
    ],
)
def test_a_key_is_found_in_every_spelling(spelling: str) -> None:
    redactor = Redactor(lambda: [KEY])

    assert redactor.text(f"a {spelling} b") == "a *** b"
    assert redactor.body(f"a {spelling} b".encode()) == b"a *** b"


def test_longer_secrets_go_first() -> None:
    redactor = Redactor(lambda: ["abcd", "abcdef"])

    assert redactor.text("abcdef abcd") == "*** ***"


def test_what_is_too_short_is_no_secret() -> None:
    assert Redactor(lambda: ["", "abc"]).text("abc") == "abc"


def test_an_innocent_body_is_not_copied() -> None:
    body = b"x" * 1000

    assert Redactor(lambda: [KEY], ["key"]).body(body) is body


def test_secret_parameters_are_blanked_whatever_they_hold() -> None:
    redactor = Redactor(parameters=["crumb"])

    blanked = redactor.text("https://h/?a=1&crumb=x%2Fy&b=2 crumb=1; gcrumb=ok")

    assert blanked == "https://h/?a=1&crumb=***&b=2 crumb=***; gcrumb=ok"
    assert redactor.body(b'"/?CRUMB=abc"') == b'"/?CRUMB=***"'


def test_keys_may_change_while_the_server_runs() -> None:
    keys = ["first"]
    redactor = Redactor(lambda: keys)

    assert redactor.text("first second") == "*** second"
    keys.append("second")
    assert redactor.text("first second") == "*** ***"


def test_a_request_tells_its_secrets() -> None:
    request = HttpRequest(
        "acme",
        "https://h/?KEY=in-url",
        (("key", "in-query"), ("symbol", "A")),
        form=(("key", "in-form"),),
        headers=(
            ("Cookie", "A3=d=long-enough; lang=en-US"),
            ("Authorization", "Bearer in-header"),
            ("Accept", "anything"),
        ),
    )

    assert secrets_of(request, {"key"}) == [
        "in-query",
        "in-form",
        "in-url",
        "d=long-enough",
        "in-header",
    ]
