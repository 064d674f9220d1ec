"""A score is a bar with a number."""

from __future__ import annotations

import pytest

from ingestion_server.cli.scores import scored


@pytest.mark.parametrize(
    ("score", "picture", "colour"),
    [
        (0.0, "······ 0.00", "red"),
        (0.01, "█····· 0.01", "red"),
        (0.5, "███··· 0.50", "yellow"),
        (0.75, "████·· 0.75", "green"),
        (0.999, "█████· 1.00", "green"),
        (1.0, "██████ 1.00", "green"),
    ],
)
def test_a_bar_is_full_only_if_all_is_well(
    score: float, picture: str, colour: str
) -> None:
    drawn = scored(score)

    assert drawn.plain == picture
    assert {span.style for span in drawn.spans} <= {colour, "dim"}
    assert not score or drawn.spans[0].style == colour


def test_a_score_that_nobody_can_vouch_for_is_dim() -> None:
    drawn = scored(1.0, judged=False)

    assert drawn.plain == "██████ 1.00?"
    assert drawn.spans[0].style == "dim"
