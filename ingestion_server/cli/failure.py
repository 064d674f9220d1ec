"""How a failure of the client is told to people, and which exit status it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from ingestion_server.cli.exits import Exit
from ingestion_server.client import (
    ConfigurationError,
    DeadlineExceededError,
    IngestionClientError,
    InvalidQueryError,
    JobError,
    LedgerUnavailableError,
    LimitError,
    NoDataError,
    ProviderError,
    ServerStoppingError,
    ServerUnreachableError,
    StateUnavailableError,
)

STATUSES: Final[Mapping[type[IngestionClientError], Exit]] = {
    InvalidQueryError: Exit.USAGE,
    JobError: Exit.USAGE,
    NoDataError: Exit.NO_DATA,
    ServerUnreachableError: Exit.UNREACHABLE,
    ServerStoppingError: Exit.UNREACHABLE,
    LimitError: Exit.FAILED,
    ProviderError: Exit.FAILED,
    DeadlineExceededError: Exit.FAILED,
    LedgerUnavailableError: Exit.FAILED,
    StateUnavailableError: Exit.FAILED,
    ConfigurationError: Exit.CONFIGURATION,
}
"""The exit status of each group of failures; any other is a defect."""


def exit_status(error: IngestionClientError) -> Exit:
    """Tell the exit status that a failure means."""
    meant = (status for kind, status in STATUSES.items() if isinstance(error, kind))
    return next(meant, Exit.DEFECT)


def tell(console: Console, error: IngestionClientError) -> None:
    """Tell what happened, what is wrong where, and when to come back."""
    # Words of servers and vendors are printed as they are: no markup, no folding.
    label = error.reason or "error"
    console.print(
        Text.assemble((label, "bold red"), ": ", error.message), soft_wrap=True
    )
    for note in getattr(error, "__notes__", ()):
        console.print(Text(f"  {note}"), soft_wrap=True)
