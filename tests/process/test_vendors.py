"""The command line shows and changes the vendors of a server that runs."""

from __future__ import annotations

import json
from typing import Any

from tests.process.conftest import Run

AV, YAHOO = "alpha_vantage", "yahoo"


def listed(door: str, run: Run, *arguments: str) -> dict[str, Any]:
    """Return the vendors as JSON, by name, after some changes."""
    told = run("providers", *arguments, "--json", "--target", door)
    assert told.status == 0, told.complaints
    return {one["name"]: one for one in json.loads(told.output)["providers"]}


def test_providers_are_written_as_json(house: tuple[str, str], run: Run) -> None:
    vendors = listed(house[0], run)

    assert list(vendors) == [AV, YAHOO, "finnhub", "iex_cloud"]
    gone = vendors.pop("iex_cloud")
    assert gone["lifecycle"] == {"stage": "STAGE_RETIRED", "since": "2024-08-31"}
    assert not gone.get("enabled")
    for one in vendors.values():
        assert one["enabled"]
        assert one["lifecycle"]["stage"] == "STAGE_ACTIVE"
        assert "bars:equity" in [each["kind"] for each in one["health"]]


def test_providers_are_drawn_as_a_table(house: tuple[str, str], run: Run) -> None:
    told = run("providers", "--target", house[0])

    assert (told.status, told.complaints) == (0, "")
    for expected in (AV, YAHOO, "bars:equity", "closed"):
        assert expected in told.output


def test_the_route_is_explained_and_nobody_is_asked(
    house: tuple[str, str], run: Run
) -> None:
    told = run("explain", "AAPL", "--target", house[0])
    vendors = listed(house[0], run)

    assert (told.status, told.complaints) == (0, "")
    assert "Route for AAPL" in told.output
    assert told.output.index(AV) < told.output.index(YAHOO)
    assert "asked first" in told.output
    assert not any(
        each.get("samples") for one in vendors.values() for each in one["health"]
    )


def test_a_vendor_is_switched_off_and_on_again(
    house: tuple[str, str], run: Run
) -> None:
    off = listed(house[0], run, "--disable", YAHOO)[YAHOO]
    explained = run("explain", "AAPL", "--target", house[0])
    on = listed(house[0], run, "--enable", YAHOO)[YAHOO]

    assert not off.get("enabled", False)
    assert off["unusableReason"] == "an operator switched it off"
    assert "is switched off" in " ".join(explained.output.split())
    assert on["enabled"]
    assert not on.get("unusableReason")


def test_a_change_that_is_refused_is_told_and_ends_with_a_status(
    house: tuple[str, str], run: Run
) -> None:
    told = run("providers", "--disable", "iex", "--target", house[0])

    assert told.status != 0
    assert told.complaints.startswith("INVALID_QUERY")
    assert "iex" in told.complaints
    assert "Traceback" not in told.complaints
