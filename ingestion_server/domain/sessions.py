"""The trading sessions of one exchange calendar, as compact arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """
    Hold when one exchange is open, one row per session, ascending.

    All arrays have the same length and hold int64 nanoseconds since 1970 UTC.
    Between ``covers_from_ns`` and ``covers_until_ns`` (labels, ``[from, until)``)
    a date that is not listed is known to have no session; outside of that nothing
    is known.
    """

    calendar: str
    """Name of the calendar, for example ``XNYS``."""
    zone: str
    """IANA name of the exchange's time zone, for example ``America/New_York``."""
    labels_ns: npt.NDArray[np.int64]
    """The session's date at 00:00 UTC."""
    opens_ns: npt.NDArray[np.int64]
    """When regular trading opens."""
    closes_ns: npt.NDArray[np.int64]
    """When regular trading closes; half days close early."""
    break_starts_ns: npt.NDArray[np.int64]
    """When the midday break starts; -1 where there is none."""
    break_ends_ns: npt.NDArray[np.int64]
    """When the midday break ends; -1 where there is none."""
    covers_from_ns: int
    """First label about which something is known."""
    covers_until_ns: int
    """First label about which nothing is known any more."""
