"""`doctor` tells what it found in a table or as JSON, and whether one can start."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ingestion_server.cli.doctor import doctor


class Simulated(BaseHTTPRequestHandler):
    """Answer as a sandbox does where nothing is."""

    def do_HEAD(self) -> None:
        """Answer anything."""
        self.send_error(404)

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


@pytest.fixture
def sandbox_url() -> Iterator[str]:
    """Serve something that answers."""
    with HTTPServer(("127.0.0.1", 0), Simulated) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _calm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let this machine's user, ports and terminal not matter."""
    calendars = tmp_path_factory.getbasetemp() / "calendars"
    monkeypatch.setenv("INGESTION_CALENDARS__CACHE_FOLDER", str(calendars))
    monkeypatch.setenv("INGESTION_STATE__FOLDER", str(calendars.with_name("state")))
    monkeypatch.setenv("INGESTION_GRPC__ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv("INGESTION_HTTP__ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("INGESTION_CONFIG", "ALPHAVANTAGE_API_KEY", "ALPHA_VANTAGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(*words: str) -> Result:
    """Run the command."""
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, words)


def test_warnings_do_not_stop_the_server() -> None:
    result = run("--offline")

    assert result.exit_code == 0
    assert "has no key, so it is not asked" in result.stdout
    assert "→ set ALPHAVANTAGE_API_KEY" in result.stdout
    assert "--offline" in result.stdout


def test_programs_get_findings_with_verdicts(sandbox_url: str) -> None:
    result = run("--json", "--sandbox-url", sandbox_url)

    report = json.loads(result.stdout)
    by_name = {finding["name"]: finding for finding in report["findings"]}
    assert result.exit_code == 0
    assert report["ok"] is True
    assert by_name["reach sandbox"] == {
        "name": "reach sandbox",
        "verdict": "ok",
        "text": f"{sandbox_url.removeprefix('http://')} answers",
        "advice": "",
    }
    assert by_name["clock"]["text"].startswith("agrees")


def test_a_finding_that_stops_the_server_is_status_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        monkeypatch.setenv("INGESTION_GRPC__ADDRESS", address)
        result = run("--offline")

    assert result.exit_code == 1
    assert f"{address} is taken by another program" in result.stdout


def test_wrong_settings_are_findings_each(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[log]\nlevel = "loud"\ncolour = true\n')

    result = run("--config", str(file), "--offline", "--json")

    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [finding["verdict"] for finding in report["findings"]] == ["fail", "fail"]
    assert "log.colour" in report["findings"][0]["text"]
    assert "log.level" in report["findings"][1]["text"]
