"""The exchanges we know: calendar and time zone by market identifier code."""

from __future__ import annotations

from typing import Final, NamedTuple


class Venue(NamedTuple):
    """Say when and where an exchange trades."""

    mic: str
    """Market identifier code, ISO 10383."""
    calendar: str
    """Name of its calendar."""
    zone: str
    """IANA name of its time zone."""


def _venue(mic: str, zone: str, calendar: str = "") -> Venue:
    return Venue(mic, calendar or mic, zone)


_NEW_YORK: Final = "America/New_York"

VENUES: Final = {
    venue.mic: venue
    for venue in (
        _venue("XNYS", _NEW_YORK),
        _venue("XNAS", _NEW_YORK, "XNYS"),
        _venue("ARCX", _NEW_YORK, "XNYS"),
        _venue("BATS", _NEW_YORK, "XNYS"),
        _venue("XASE", _NEW_YORK, "XNYS"),
        _venue("XCME", "America/Chicago", "CMES"),
        _venue("XCBT", "America/Chicago", "CMES"),
        _venue("XCEC", _NEW_YORK, "CMES"),
        _venue("XNYM", _NEW_YORK, "CMES"),
        _venue("XTSE", "America/Toronto"),
        _venue("XTSX", "America/Toronto", "XTSE"),
        _venue("BVMF", "America/Sao_Paulo"),
        _venue("XMEX", "America/Mexico_City"),
        _venue("XLON", "Europe/London"),
        _venue("XDUB", "Europe/Dublin"),
        _venue("XETR", "Europe/Berlin"),
        _venue("XFRA", "Europe/Berlin"),
        _venue("XPAR", "Europe/Paris"),
        _venue("XAMS", "Europe/Amsterdam"),
        _venue("XBRU", "Europe/Brussels"),
        _venue("XLIS", "Europe/Lisbon"),
        _venue("XMIL", "Europe/Rome"),
        _venue("XMAD", "Europe/Madrid"),
        _venue("XSWX", "Europe/Zurich"),
        _venue("XWBO", "Europe/Vienna"),
        _venue("XSTO", "Europe/Stockholm"),
        _venue("XOSL", "Europe/Oslo"),
        _venue("XCSE", "Europe/Copenhagen"),
        _venue("XHEL", "Europe/Helsinki"),
        _venue("XWAR", "Europe/Warsaw"),
        _venue("XTAE", "Asia/Jerusalem"),
        _venue("XJSE", "Africa/Johannesburg"),
        _venue("XTKS", "Asia/Tokyo"),
        _venue("XHKG", "Asia/Hong_Kong"),
        _venue("XSHG", "Asia/Shanghai"),
        _venue("XSHE", "Asia/Shanghai", "XSHG"),
        _venue("XKRX", "Asia/Seoul"),
        _venue("XTAI", "Asia/Taipei"),
        _venue("XSES", "Asia/Singapore"),
        _venue("XBOM", "Asia/Kolkata"),
        _venue("XNSE", "Asia/Kolkata", "XBOM"),
        _venue("XIDX", "Asia/Jakarta"),
        _venue("XASX", "Australia/Sydney"),
        _venue("XNZE", "Pacific/Auckland"),
    )
}

PRIMARY_VENUE: Final = "XNYS"
"""Stands for every US listing: all US exchanges share its calendar."""

US_VENUES: Final = frozenset({"XNYS", "XNAS", "ARCX", "BATS", "XASE"})

INDEX_VENUES: Final = {
    "^GSPC": "XNYS",
    "^DJI": "XNYS",
    "^IXIC": "XNYS",
    "^NDX": "XNYS",
    "^RUT": "XNYS",
    "^VIX": "XNYS",
    "^NYA": "XNYS",
    "^FTSE": "XLON",
    "^GDAXI": "XETR",
    "^FCHI": "XPAR",
    "^STOXX50E": "XETR",
    "^AEX": "XAMS",
    "^SSMI": "XSWX",
    "^N225": "XTKS",
    "^HSI": "XHKG",
    "^GSPTSE": "XTSE",
    "^AXJO": "XASX",
}
"""Whose sessions an index follows, by its symbol."""
