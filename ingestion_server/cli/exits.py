"""What the exit status of a command means."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """Say how a command ended; the numbers are stable."""

    OK = 0
    """An answer; if it is incomplete, that is said, and it is an answer still."""
    DEFECT = 1
    """Something that should not happen."""
    USAGE = 2
    """The command or the query is wrong, or there is no such job."""
    NO_DATA = 3
    """No vendor knows the symbol, or none has data."""
    UNREACHABLE = 4
    """No server answers, or it is stopping."""
    FAILED = 5
    """
    Vendors failed, a quota is used up, it or a change cannot be kept, time ran out, or
    a job has not brought everything: later may be better.
    """
    CONFIGURATION = 6
    """The server lacks a vendor, a key or a plan for this, or one cheap enough."""


EPILOG: Final = """\
[bold]Exit status[/bold]
0  an answer; if it is incomplete, the table or stderr says so
1  a defect
2  wrong usage, INVALID_QUERY, or no job that this could be done to
3  no data: SYMBOL_UNKNOWN, NO_DATA_UNEXPLAINED
4  no server at the target, or it is stopping
5  vendors failed, quota used up, time ran out, or a job ended with bars missing
6  the server lacks a vendor, a key or a plan for this, or one cheap enough
"""
"""The same, for the help of a command that asks the server."""
