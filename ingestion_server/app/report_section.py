"""What can be set of reports: what is promised, and how long counts are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ingestion_server.app.sections import Section
from ingestion_server.app.words import Expected


class ReportSettings(Section):
    """Tell how well callers and vendors were served."""

    objective: Annotated[
        float,
        Field(gt=0, lt=1, allow_inf_nan=False),
        Expected("a number above 0 and below 1"),
    ] = 0.999
    """Share of calls that should be answered; the rest is the error budget."""
    retention_days: Annotated[
        int, Field(ge=1, le=730), Expected("an integer from 1 to 730")
    ] = 90
    """How long counts are kept; by the minute for two days, then by the hour."""
    write_seconds: Annotated[
        float,
        Field(ge=1, le=60, allow_inf_nan=False),
        Expected("a number from 1 to 60"),
    ] = 10.0
    """How often counts are written: what `kill -9` loses at most, and a little more."""
