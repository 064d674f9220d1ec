"""What is asked of an etcd is as it wants it, and what it answers is not believed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion_server.discovery import etcd

ENTRY = etcd.entry("market/data", "10.0.0.5:50051", {"region": "eu", "weight": 3})
ASKS: Mapping[str, etcd.Ask[object]] = {
    "authenticate": etcd.authenticate("me", "secret"),
    "grant": etcd.grant(15),
    "keep_alive": etcd.keep_alive(7),
    "hold": etcd.hold(7, ENTRY),
    "revoke": etcd.revoke(7),
}
EVERY_ASK = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())


def test_an_entry_is_what_the_resolver_of_etcd_reads() -> None:
    assert ENTRY.key == "market/data/10.0.0.5:50051"
    assert json.loads(ENTRY.value) == {
        "Op": 0,
        "Addr": "10.0.0.5:50051",
        "Metadata": {"region": "eu", "weight": 3},
    }


def test_an_entry_is_written_only_if_it_hangs_on_another_lease() -> None:
    ask = etcd.hold(7, ENTRY)

    body = json.loads(ask.body)

    key = base64.b64encode(ENTRY.key.encode()).decode()
    value = base64.b64encode(ENTRY.value.encode()).decode()
    assert ask.path == "/v3/kv/txn"
    assert body == {
        "compare": [{"key": key, "target": "LEASE", "result": "EQUAL", "lease": "7"}],
        "failure": [{"requestPut": {"key": key, "value": value, "lease": "7"}}],
    }
    assert not ask.read(b'{"header": {}, "responses": []}')
    assert ask.read(b'{"header": {}, "succeeded": true}')


def test_numbers_are_read_as_texts_and_as_numbers() -> None:
    assert etcd.grant(15).read(b'{"ID": "1117", "TTL": "15"}') == etcd.Lease(1117, 15)
    assert etcd.grant(15).read(b'{"ID": 1117, "TTL": 15}') == etcd.Lease(1117, 15)


def test_a_lease_without_time_is_lost() -> None:
    left = etcd.keep_alive(7).read(b'{"result": {"ID": "7", "TTL": "15"}}')
    assert left == 15

    with pytest.raises(etcd.LeaseLostError):
        etcd.keep_alive(7).read(b'{"result": {"ID": "7"}}')


def test_a_stream_that_fails_after_it_began_is_no_answer() -> None:
    failed = b'{"error": {"grpc_code": 14, "http_code": 503, "message": "no leader"}}'

    with pytest.raises(etcd.EtcdUnavailableError, match="no leader"):
        etcd.keep_alive(7).read(failed)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, 5, etcd.LeaseLostError),
        (400, 3, etcd.EtcdRefusedError),
        (403, 7, etcd.EtcdRefusedError),
        (401, 16, etcd.EtcdRefusedError),
        (503, 14, etcd.EtcdUnavailableError),
        (504, 4, etcd.EtcdUnavailableError),
        (500, 99, etcd.EtcdUnavailableError),
    ],
)
def test_what_a_refusal_means_is_told_by_its_code(
    status: int, code: int, kind: type[etcd.EtcdError]
) -> None:
    body = json.dumps({"message": "etcdserver: no", "code": code}).encode()

    error = etcd.refusal(status, body)

    assert type(error) is kind
    assert str(error) == "etcdserver: no"


def test_a_refusal_is_told_in_one_line() -> None:
    body = json.dumps({"message": "a\nb\x1b[31m" * 1000, "code": 3}).encode()

    told = str(etcd.refusal(400, body))

    assert told.isprintable()


def test_a_page_in_place_of_an_answer_is_told_by_its_status() -> None:
    error = etcd.refusal(302, b"<html>")

    assert isinstance(error, etcd.EtcdMalformedError)
    assert "HTTP 302" in str(error)


@pytest.mark.parametrize(
    ("ask", "body"),
    [
        (ASKS["authenticate"], b'{"token": ""}'),
        (ASKS["authenticate"], b'{"token": "a\\r\\nHost: b"}'),
        (ASKS["grant"], b'{"ID": "0", "TTL": "15"}'),
        (ASKS["grant"], b'{"ID": "7", "TTL": "-1"}'),
        (ASKS["grant"], b'{"ID": "7"}'),
        (ASKS["keep_alive"], b"{}"),
        (ASKS["hold"], b"{}"),
        (ASKS["revoke"], b"[]"),
    ],
)
def test_answers_that_cannot_be_true_are_malformed(
    ask: etcd.Ask[object], body: bytes
) -> None:
    with pytest.raises(etcd.EtcdMalformedError):
        ask.read(body)


@EVERY_ASK
@given(body=st.binary() | st.text().map(str.encode))
@example(body=b"\xff")
@example(body=b'{"header": "\xff"}')
@example(body=b"[" * 5_000)
@example(body=b'{"error": ' + b"[" * 5_000)
def test_whatever_comes_is_an_answer_or_an_error_of_etcd(
    ask: etcd.Ask[object], body: bytes
) -> None:
    assert etcd.refusal(400, body).reason in etcd.REASONS
    with suppress(etcd.EtcdError):
        ask.read(body)
