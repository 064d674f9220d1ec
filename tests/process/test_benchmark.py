"""The command line compares the vendors of a server that runs."""

from __future__ import annotations

import json

from tests.process.conftest import Run


def test_vendors_are_compared_and_people_see_how(
    house: tuple[str, str], run: Run
) -> None:
    told = run("benchmark", "MSFT", "-n", "5", "--target", house[0])

    assert (told.status, told.complaints) == (0, "")
    for expected in ("alpha_vantage", "yahoo", "1 of 1", "100 %", "equal"):
        assert expected in told.output


def test_a_comparison_is_written_as_json(house: tuple[str, str], run: Run) -> None:
    told = run(
        *["benchmark", "MSFT", "-n", "5", "--provider", "yahoo", "--rounds", "2"],
        *["--json", "--target", house[0]],
    )

    assert (told.status, told.complaints) == (0, "")
    (yahoo,) = json.loads(told.output)["providers"]
    assert (yahoo["provider"], yahoo["answered"], yahoo["completeness"]) == (
        "yahoo",
        2,
        1.0,
    )


def test_a_vendor_that_does_not_exist_is_told(house: tuple[str, str], run: Run) -> None:
    told = run("benchmark", "--provider", "nobody", "--target", house[0])

    assert (told.status, told.output) == (2, "")
    assert "'nobody' is not known; there are: alpha_vantage, yahoo" in told.complaints
