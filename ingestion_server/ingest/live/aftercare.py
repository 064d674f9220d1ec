"""What is made good afterwards: gaps are filled, and vendors' own bars are told."""

from __future__ import annotations

import logging
from typing import Final, final

from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Break, Channel
from ingestion_server.ingest.live.confirming import BarConfirmer
from ingestion_server.ingest.live.filling import Filled, Filler
from ingestion_server.ingest.live.press import Press
from ingestion_server.ingest.live.tasks import Spawn
from ingestion_server.ingest.live.unfinished import Series, Unfinished, Word
from ingestion_server.ports.live import StreamEventKind

_log: Final = logging.getLogger(__name__)


@final
class Aftercare:
    """Ask for what is missing of channels and bars, and publish it once it is had."""

    def __init__(
        self, press: Press, filler: Filler, confirmer: BarConfirmer, spawn: Spawn
    ) -> None:
        self._press = press
        self._filler = filler
        self._confirmer = confirmer
        self._spawn = spawn
        self._unfinished: dict[BarLine, Unfinished] = {}
        self.filled = 0
        """Gaps that were."""

    def fill(self, channel: Channel, broken: Break, to_ns: int) -> None:
        """Have a gap filled, if that can be verified."""
        self._spawn(self._fill(channel, broken, to_ns), "gap")

    def confirm(
        self, channel: Channel, line: BarLine, open_ns: int, end_ns: int
    ) -> None:
        """Have the vendor's own bar told as soon as it is final."""
        bars = self._unfinished.get(line)
        if bars is None:
            series = Series(
                channel.instrument, line.interval, line.hours, channel.route.own_bars
            )
            bars = self._unfinished[line] = Unfinished(series)
            self._spawn(self._confirm(channel, line, bars), "bars")
        if not bars.add(open_ns, end_ns):
            reason = f"{len(bars)} bars wait for theirs already"
            self._tell(line, Word(open_ns, end_ns, reason=reason))

    async def _fill(self, channel: Channel, broken: Break, to_ns: int) -> None:
        filled = await self._filler.fill(
            channel.instrument,
            broken.provider,
            broken.from_ns,
            to_ns,
            broken.before,
            broken.overlap.trades,
        )
        channel.forget(broken.overlap)
        if not isinstance(filled, Filled):
            _log.info(
                "a gap of %s at %s stands: %s",
                channel.symbol,
                broken.provider,
                filled.reason,
            )
            return
        self.filled += 1
        self._press.settle(channel)
        trades = list(filled.trades)
        await self._press.publish(channel.partition, trades)
        for line in channel.lines:
            line.add(trades)
            line.trust(broken.from_ns, to_ns)
        self._press.announce(
            channel.partition,
            StreamEventKind.BACKFILLED,
            from_ns=broken.from_ns,
            to_ns=to_ns,
            count=len(trades),
            verified=True,
            provider=broken.provider,
        )

    async def _confirm(self, channel: Channel, line: BarLine, bars: Unfinished) -> None:
        try:
            while bars and line in channel.lines:
                for word in await self._confirmer.words(bars):
                    if line in channel.lines:
                        self._tell(line, word)
        finally:
            del self._unfinished[line]

    def _tell(self, line: BarLine, word: Word) -> None:
        if word.bar is not None:
            line.serve(word.bar)
            self._press.soon()
            return
        self._press.announce(
            line.partition,
            StreamEventKind.GAP,
            from_ns=word.open_ns,
            to_ns=word.end_ns,
            cause="trades of this bar are missing, and no vendor tells its own: "
            + word.reason,
        )
