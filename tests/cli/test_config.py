"""`config` shows what is in effect, where it comes from, and no key."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ingestion_server.cli.config import config
from ingestion_server.cli.exits import Exit

KEY = "s3cr3t-k3y"


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither the terminal nor the environment of the test matter."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("INGESTION_CONFIG", "ALPHAVANTAGE_API_KEY", "ALPHA_VANTAGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(*words: str) -> Result:
    """Run the command."""
    app = typer.Typer()
    app.command()(config)
    return CliRunner().invoke(app, words)


def test_people_see_a_table_with_origins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("retry.attempts = 4\n")
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)

    result = run("--config", str(file))

    lines = {
        line.split()[0]: line.split()[1:] for line in result.stdout.split("\n")[3:-2]
    }
    assert result.exit_code == Exit.OK
    assert lines["retry.attempts"][0] == "4"
    assert lines["providers.alpha_vantage.api_key"] == [
        "********",
        "ALPHAVANTAGE_API_KEY",
    ]
    assert KEY not in result.output


def test_programs_get_values_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTION_PROVIDERS__ORDER", "yahoo")
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", KEY)

    result = run("--json")

    told = json.loads(result.stdout)
    assert told["providers.order"] == {
        "value": ["yahoo"],
        "origin": "INGESTION_PROVIDERS__ORDER",
    }
    assert told["grpc.max_concurrent_calls"] == {"value": 256, "origin": "default"}
    assert told["state.folder"]["value"] is None
    assert told["providers.alpha_vantage.api_key"]["value"] == "********"
    assert KEY not in result.output


def test_what_is_wrong_is_told_beside_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INGESTION_GRPC__ADRESS", "[red]x")
    monkeypatch.setenv("INGESTION_RETRY__ATTEMPTS", "[many]")

    result = run("--json")

    assert result.exit_code == Exit.USAGE
    assert result.stdout == ""
    unknown, wrong = result.stderr.splitlines()
    assert unknown.startswith("INGESTION_GRPC__ADRESS: unknown setting; did you mean")
    assert wrong.endswith(": expected an integer ≥ 1, got '[many]'")


def test_budgets_are_shown_to_people_in_words_and_to_programs_as_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    file = tmp_path / "server.toml"
    file.write_text(
        """
        [providers.yahoo.budget]
        weights = { chart = 2, "*" = 1 }
        price_per_unit_usd = 0.0000001

        [[providers.yahoo.budget.windows]]
        name = "minute"
        limit = 60
        seconds = 60

        [[providers.yahoo.budget.windows]]
        name = "day"
        limit = 900
        kind = "fixed"
        period = "day"
        reset_zone = "Europe/Berlin"
        counts = "units"
        """
    )

    shown = " ".join(run("--config", str(file)).stdout.split())
    told = json.loads(run("--config", str(file), "--json").stdout)

    assert "minute: 60 calls per 60 s, day: 900 units per day (kind fixed, " in shown
    assert "providers.yahoo.budget.weights chart = 2, * = 1 " in shown
    assert "providers.yahoo.budget.price_per_unit_usd 0.0000001 " in shown
    assert "providers.alpha_vantage.budget.windows (as the plan says) default" in shown
    assert told["providers.yahoo.budget.windows"] == {
        "value": [
            {"name": "minute", "limit": 60, "seconds": 60.0},
            {
                "name": "day",
                "limit": 900,
                "kind": "fixed",
                "period": "day",
                "reset_zone": "Europe/Berlin",
                "counts": "units",
            },
        ],
        "origin": str(file),
    }
    assert told["providers.yahoo.budget.weights"]["value"] == {"chart": 2, "*": 1}
    assert told["providers.yahoo.budget.price_per_unit_usd"]["value"] == 1e-07
    assert told["providers.yahoo.budget.used_header"]["value"] is None


def test_a_wrong_budget_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('providers.yahoo.budget.windows = [{ name = "m", limit = 0 }]\n')

    result = run("--config", str(file))

    assert result.exit_code == Exit.USAGE
    assert "providers.yahoo.budget.windows[0].limit (" in result.stderr
    assert "expected an integer ≥ 1, got 0" in result.stderr
