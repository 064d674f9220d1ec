"""A picture of prices made of characters."""

from __future__ import annotations

import numpy as np
import plotext  # type: ignore[import-untyped]
from rich.text import Text

from ingestion_server.cli.render import times
from ingestion_server.client import Bars

_HEIGHT = 20
_MARGIN = 12
"""What the prices at the left need."""
_TICK_WIDTH = 18
"""What a time below the picture needs."""


def drawn(bars: Bars, width: int) -> Text:
    """Draw candles, or a line of closes where candles have no room."""
    known = np.isfinite(bars.open + bars.high + bars.low + bars.close)
    if not known.any():
        return Text(f"{bars.symbol}: no prices to draw")
    # Positions are counted, not timed: nights and weekends would leave holes.
    places = list(range(np.count_nonzero(known)))
    figure = plotext.figure
    figure.clear()
    figure.theme("simple")
    figure.plot_size(width, _HEIGHT)
    figure.title(f"{bars.symbol} {bars.interval} {bars.currency}".strip())
    if len(places) <= width - _MARGIN:
        figure.draw(
            figure.candlestick(
                {
                    "date": places,
                    "open": bars.open[known].tolist(),
                    "high": bars.high[known].tolist(),
                    "low": bars.low[known].tolist(),
                    "close": bars.close[known].tolist(),
                }
            )
        )
    else:
        figure.draw(
            figure.signal(places, bars.close[known].tolist(), marker="braille").lines()
        )
    labels = np.array(times(bars))[known].tolist()
    count = min(len(places), max(2, (width - _MARGIN) // _TICK_WIDTH))
    ticks = np.linspace(0, len(places) - 1, count).round().astype(int).tolist()
    figure.ruler("x").ticks(ticks, labels=[labels[tick] for tick in ticks])
    return Text.from_ansi(figure.build().string(), no_wrap=True)
