"""
Pages of bars: which part of a reply holds them, and what their stamps mean.

Rows are newest first [R]. A date labels a daily bar as it is; the key of a weekly or
monthly bar is its last trading day [R] and is mapped to the Monday or the first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
from msgspec.structs import replace

from ingestion_server.domain.bars import BarSeries, ascending
from ingestion_server.domain.errors import MalformedPayloadError, NoDataUnexplainedError
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import DAY_NS, Interval, Times, labels
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.domain.zones import utc_from_local
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.alpha_vantage.columns import (
    at_once,
    from_csv,
    from_json,
)
from ingestion_server.providers.alpha_vantage.declarations import (
    EASTERN,
    INTERVAL_NAMES,
    NAME,
    IntradayLabel,
)
from ingestion_server.providers.alpha_vantage.payloads import (
    UNREADABLE,
    is_object,
    malformed,
    names,
    parts,
    start_of,
    text_of,
)
from ingestion_server.providers.alpha_vantage.stamps import (
    label_shown,
    wall_times,
    zone_named,
)
from ingestion_server.providers.alpha_vantage.symbols import currency

_LONG_NAMES: Final = {
    Interval.DAY_1: "Daily",
    Interval.WEEK_1: "Weekly",
    Interval.MONTH_1: "Monthly",
}
_meta: Final = msgspec.json.Decoder(dict[str, str | float | None])


def read_bars(response: HttpResponse, ask: BarAsk, setting: IntradayLabel) -> Page:
    """
    Read one page of bars, ascending, labelled as the house labels them.

    ``setting`` says what intraday stamps of equities mean where the page itself does
    not show it; the page is then flagged.

    Raises:
        NoDataUnexplainedError: The reply is an empty object.
        MalformedPayloadError: The reply holds no such bars.

    """
    unit = currency(ask.instrument)
    if is_object(response.body):
        rows, zone = _from_object(response.body, ask.interval, unit)
    else:
        rows, zone = from_csv(text_of(response.body), unit), ""
    # Reversed, rows that are newest first need no sorting.
    rows = ascending(rows.take(slice(None, None, -1)))
    times, flags = _labelled(rows, ask, zone, setting)
    crypto = ask.instrument.asset_class is AssetClass.CRYPTO
    return Page(
        ascending(replace(rows, open_time_ns=times)),
        unit,
        volume_unit=ask.instrument.pair[0] if crypto else "",
        flags=flags,
    )


def _from_object(body: bytes, interval: Interval, unit: str) -> tuple[BarSeries, str]:
    """Return the rows, in the vendor's order, and the name of their time zone."""
    start = start_of(body)
    member = _member(start, interval)
    if member is not None:
        rows = at_once(body, member, start[member], unit)
        if rows is not None:
            return rows, _told(start, "Time Zone")
    members = parts(body)
    member = _member(members, interval)
    if member is not None:
        return from_json(members[member], unit), _told(members, "Time Zone")
    if not members:
        raise NoDataUnexplainedError(
            f"{NAME} answered with an empty object", provider=NAME
        )
    raise malformed(f"no {_wanted(interval)} time series, but {names(members)}")


def _member(members: Collection[str], interval: Interval) -> str | None:
    """Return the name of the member that holds the rows of the interval."""
    wanted = _wanted(interval)
    found = (name for name in members if "Time Series" in name and wanted in name)
    return next(found, None)


def _wanted(interval: Interval) -> str:
    return _LONG_NAMES.get(interval) or f"({INTERVAL_NAMES[interval]})"


def refreshed_ns(body: bytes) -> int | None:
    """
    Return when the vendor says that it refreshed a page; None if it does not.

    A date without a time means no earlier than its midnight.
    """
    if not is_object(body):
        return None
    try:
        members = parts(body)
        when = _told(members, "Last Refreshed")
        zone = zone_named(_told(members, "Time Zone") or "UTC")
        return int(_utc(wall_times([when]), zone)[0]) if when else None
    except MalformedPayloadError:
        return None


def _told(members: dict[str, msgspec.Raw], what: str) -> str:
    """Return what the meta data say, whatever its number; empty if nothing [R]."""
    try:
        meta = _meta.decode(members.get("Meta Data", b"{}"))
    except UNREADABLE as error:
        raise malformed(f"meta data that cannot be read ({error})") from error
    for name, value in meta.items():
        if name.endswith(what) and isinstance(value, str):
            return value
    return ""


def _labelled(
    rows: BarSeries, ask: BarAsk, zone: str, setting: IntradayLabel
) -> tuple[Times, list[QualityFlag]]:
    wall_ns = rows.open_time_ns
    kind = ask.instrument.asset_class
    if not ask.interval.intraday:
        if kind is AssetClass.FX and ask.interval is Interval.WEEK_1:
            # The currency week opens on Sunday evening: a key of that day belongs to
            # the Monday after it.
            wall_ns = wall_ns + DAY_NS
        return labels(wall_ns, ask.interval), []
    if kind is not AssetClass.EQUITY:
        return _utc(wall_ns, zone_named(zone or "UTC")), []
    zone = zone_named(zone or EASTERN)
    shown = None
    if zone == EASTERN and ask.instrument.exchange in US_VENUES:
        shown = label_shown(wall_ns)
    times = _utc(wall_ns, zone)
    if (shown or setting) == "end":
        times = times - ask.interval.length_ns
    if shown is not None or not len(times):
        return times, []
    detail = (
        f"{NAME} does not say whether its stamps are the start or the end of a bar, "
        f"and this page does not show it; taken for the {setting}"
    )
    return times, [QualityFlag(FlagKind.LABEL_ASSUMED, detail)]


def _utc(wall_ns: Times, zone: str) -> Times:
    return wall_ns if zone == "UTC" else utc_from_local(wall_ns, zone)
