"""What bars of several vendors may stand in one series."""

from __future__ import annotations

from msgspec.structs import replace

from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.ingest.collected import Collected, Piece


def unmixable(query: BarQuery, collected: Collected, provider: str) -> str:
    """Return why a vendor may not add to what is there; empty if it may."""
    fx = query.instrument.asset_class is AssetClass.FX
    others = any(piece.provider != provider for piece in collected.pieces)
    if others and fx and not query.interval.intraday:
        return "days of FX begin at different hours with different vendors"
    return ""


def unlike(query: BarQuery, collected: Collected, piece: Piece) -> str:
    """Return why a piece must not stand beside what is there; empty if it may."""
    have, given = collected.currency, piece.currency
    known = bool(have) or query.instrument.exchange in US_VENUES
    others = any(mine.provider != piece.provider for mine in collected.pieces)
    if not others or not len(piece.series):
        return ""
    if have == given and known:
        return ""
    return f"prices in {given or 'an unnamed unit'} do not suit {have or 'another'}"


def fitted(collected: Collected, piece: Piece) -> Piece:
    """Return a piece without its volume, if that counts something else."""
    mine, given = collected.volume_unit, piece.volume_unit
    pieces = collected.pieces
    own = pieces and pieces[0].provider == piece.provider and not given
    if not pieces or mine == given or own or piece.series.volume is None:
        # Of its own bars, a vendor need not say each time what they count.
        return piece
    flag = QualityFlag(
        FlagKind.FIELD_ABSENT,
        f"{piece.provider} counts volume in {given or 'units'}, the rest of this "
        f"series in {mine or 'units'}: its volume is left out",
    )
    return replace(
        piece,
        series=replace(piece.series, volume=None),
        flags=[*piece.flags, flag],
    )
