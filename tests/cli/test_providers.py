"""The options of `providers` reach the server, and wrong ones are refused."""

from __future__ import annotations

import subprocess
import sys

import grpc
import pytest
from marketdata.ingestion.v1 import provider_service_pb2

from tests.cli.conftest import Run
from tests.client.fakes import FakeServer
from tests.client.telling import Refusal

LIST = provider_service_pb2.ListProvidersRequest()
Update = provider_service_pb2.UpdateProviderRequest


@pytest.fixture
def providers(run: Run, server: FakeServer) -> Run:
    """Run the command `providers` against the server."""

    def invoke(*arguments: str):
        return run("providers", "--target", server.target, *arguments)

    return invoke


def test_every_vendor_is_shown_by_default(providers: Run, server: FakeServer) -> None:
    shown = providers()

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert server.providers.requests == [LIST]
    assert "alpha_vantage" in shown.stdout
    assert "iex" in shown.stdout


def test_vendors_can_be_named(providers: Run) -> None:
    shown = providers("-p", "iex")

    assert "iex" in shown.stdout
    assert "alpha_vantage" not in shown.stdout


def test_changes_are_made_first_each_vendor_at_once(
    providers: Run, server: FakeServer
) -> None:
    shown = providers(
        *["--enable", "yahoo", "--disable", "iex", "--enable", "tiingo"],
        *["--set-priority", "yahoo=0", "--set-priority", "polygon=1000"],
    )

    assert shown.exit_code == 0
    assert server.providers.requests == [
        Update(name="yahoo", enabled=True, priority=0),
        Update(name="tiingo", enabled=True),
        Update(name="iex", enabled=False),
        Update(name="polygon", priority=1_000),
        LIST,
    ]


def test_a_change_that_is_refused_ends_it(providers: Run, server: FakeServer) -> None:
    server.providers.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", "name: 'x' is not known"
    )

    shown = providers("--enable", "x", "--disable", "y")

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == "INVALID_QUERY: name: 'x' is not known\n"
    assert server.providers.requests == [Update(name="x", enabled=True)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--timeout", "0"], "--timeout"),
        (["--enable", "a", "--disable", "a"], "a cannot be enabled and disabled"),
        (["--set-priority", "yahoo"], "'yahoo' is no ID=N"),
        (["--set-priority", "=5"], "'=5' is no ID=N"),
        (["--set-priority", "yahoo=-1"], "'yahoo=-1' is no ID=N"),
        (["--set-priority", "yahoo=1001"], "'yahoo=1001' is no ID=N"),
    ],
)
def test_wrong_usage_is_told_without_asking_the_server(
    providers: Run, server: FakeServer, arguments: list[str], complaint: str
) -> None:
    shown = providers(*arguments)

    assert shown.exit_code == 2
    assert complaint in shown.stderr
    assert server.providers.requests == []


def test_help_explains_the_table_and_the_exit_status(run: Run) -> None:
    shown = run("providers", "--help")

    assert shown.exit_code == 0
    for text in ("From 0", "too few calls", "--set-priority", "Exit status"):
        assert text.lower() in shown.stdout.lower()


@pytest.mark.parametrize(
    ("command", "worker"), [("providers", "roster"), ("explain", "explaining")]
)
def test_the_worker_is_not_needed_for_help(command: str, worker: str) -> None:
    program = (
        f"import sys; import ingestion_server.cli.{command}; "
        f"print('ingestion_server.cli.{worker}' in sys.modules)"
    )

    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == "False"
