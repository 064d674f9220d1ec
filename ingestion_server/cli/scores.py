"""A score as a bar."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from ingestion_server.cli.writing import cells_of

_GOOD: Final = 0.75
_FAIR: Final = 0.5
CELLS: Final = 6


def scored(score: float, *, judged: bool = True) -> Text:
    """Draw a score from 0 to 1, and write it; ``?`` marks one nobody can vouch for."""
    filled = cells_of(score, 1.0, CELLS)
    if not judged:
        style = "dim"
    elif score >= _GOOD:
        style = "green"
    else:
        style = "yellow" if score >= _FAIR else "red"
    return Text.assemble(
        ("█" * filled, style),
        ("·" * (CELLS - filled), "dim"),
        f" {score:.2f}",
        "" if judged else "?",
    )
