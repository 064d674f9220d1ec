"""The options of `quota` reach the server, and wrong ones are refused."""

from __future__ import annotations

import pytest
from marketdata.ingestion.v1 import quota_service_pb2

from tests.cli.conftest import Run
from tests.client.fakes import FakeServer


@pytest.fixture
def quota(run: Run, server: FakeServer) -> Run:
    """Run the command `quota` against the server."""

    def invoke(*arguments: str):
        return run("quota", "--target", server.target, *arguments)

    return invoke


def test_every_vendor_is_asked_for_by_default(quota: Run, server: FakeServer) -> None:
    shown = quota()

    assert shown.exit_code == 0
    assert server.quotas.requests == [
        quota_service_pb2.ListQuotasRequest(),
        quota_service_pb2.ForecastQuotaRequest(),
    ]


def test_vendors_can_be_named(quota: Run, server: FakeServer) -> None:
    quota("-p", "yahoo", "--provider", "alpha_vantage")

    assert [list(each.providers) for each in server.quotas.requests] == [
        ["yahoo", "alpha_vantage"]
    ] * 2


def test_wrong_usage_is_told_without_asking_the_server(
    quota: Run, server: FakeServer
) -> None:
    shown = quota("--timeout", "0")

    assert shown.exit_code == 2
    assert "--timeout" in shown.stderr
    assert server.quotas.requests == []


def test_help_explains_the_picture_and_the_exit_status(run: Run) -> None:
    shown = run("quota", "--help")

    assert shown.exit_code == 0
    for text in ("█ is used", "from 80 %", "Ctrl-C", "Exit status"):
        assert text in shown.stdout
