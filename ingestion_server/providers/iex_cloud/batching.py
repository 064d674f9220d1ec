"""Charts of days of several symbols by one call of the batch endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    EntitlementMissingError,
    ProviderError,
)
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.iex_cloud import reach
from ingestion_server.providers.iex_cloud.charts import Day, page_of
from ingestion_server.providers.iex_cloud.declarations import CHART, MOST_SYMBOLS, NAME
from ingestion_server.providers.iex_cloud.payloads import decoded
from ingestion_server.providers.iex_cloud.quotes import BATCH, unknown
from ingestion_server.providers.iex_cloud.requests import parameters_of
from ingestion_server.providers.iex_cloud.symbols import spelled, spelling


class _Charted(msgspec.Struct):
    chart: list[Day] | None = None


_decoder: Final = msgspec.json.Decoder(dict[str, _Charted])


@final
class IexBatching:
    """
    Tell days of up to a hundred listings at once.

    A call costs what its charts would cost one by one, so asks belong together that
    begin at about the same time: all charts are as long as the longest.
    """

    most_symbols: int = MOST_SYMBOLS

    def __init__(self, root: str) -> None:
        self._root = root

    def fits(self, ask: BarAsk) -> bool:
        """Tell whether such bars may be asked for together with others of the kind."""
        span = Span(ask.span.start_ns, min(ask.span.end_ns, ask.now_ns))
        if (
            ask.interval is not Interval.DAY_1
            or spelling(ask.instrument) is None
            or CHART in ask.refused
            or span.start_ns >= span.end_ns
        ):
            return False
        # A few days of long ago cost less alone, for a batch has no single days.
        first, last = reach.labelled(span)
        return not reach.single_days(first, last, reach.today(ask.now_ns))

    def batch_request(self, asks: Sequence[BarAsk]) -> HttpRequest:
        """
        Return the unsigned request that tells all that is asked for.

        Raises:
            CapabilityMissingError: They cannot share a call.
            EntitlementMissingError: The plan turned out not to include charts.

        """
        symbols = list(dict.fromkeys(spelled(ask.instrument) for ask in asks))
        if any(CHART in ask.refused for ask in asks):
            raise EntitlementMissingError(
                f"the plan with {NAME} does not include {CHART}",
                provider=NAME,
                feature=CHART,
            )
        now_ns = max(ask.now_ns for ask in asks)
        span = Span(
            min(ask.span.start_ns for ask in asks),
            min(max(ask.span.end_ns for ask in asks), now_ns),
        )
        if (
            span.start_ns >= span.end_ns
            or len(symbols) > MOST_SYMBOLS
            or not all(ask.interval is Interval.DAY_1 for ask in asks)
        ):
            raise CapabilityMissingError(
                f"{NAME} tells past days of at most {MOST_SYMBOLS} symbols at once",
                provider=NAME,
            )
        chart = reach.chart(*reach.labelled(span), reach.today(now_ns))
        return HttpRequest(
            NAME,
            self._root + BATCH,
            (
                ("symbols", ",".join(symbols)),
                ("types", CHART),
                ("range", chart.range),
                *parameters_of(chart),
            ),
            feature=CHART,
            times=chart.bars * len(symbols),
            span=span,
        )

    def read_batch(
        self, response: HttpResponse, asks: Sequence[BarAsk]
    ) -> Mapping[BarAsk, Page | ProviderError]:
        """
        Read the answer: for each question its page, or why there is none.

        Raises:
            MalformedPayloadError: It holds no charts.

        """
        charts = {
            symbol.upper(): charted.chart
            for symbol, charted in decoded(_decoder, response.body, "charts").items()
        }
        return {ask: _page(charts, ask) for ask in asks}


def _page(
    charts: Mapping[str, Sequence[Day] | None], ask: BarAsk
) -> Page | ProviderError:
    rows = charts.get(spelled(ask.instrument))
    if rows is None:
        # What it does not know is left out [M].
        return unknown(ask.instrument)
    try:
        return page_of(rows, ask)
    except ProviderError as error:
        return error
