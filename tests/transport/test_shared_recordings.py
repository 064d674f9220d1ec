"""The recordings that come with the project, answered from with the real vendors."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion_server.domain.errors import NoDataUnexplainedError
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.transport.replay import ReplayTransport

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
CHART = "https://query1.finance.yahoo.com/v8/finance/chart"
QUERY = "https://www.alphavantage.co/query"

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the shared recordings are not beside the project"
)


@pytest.fixture
async def replay() -> ReplayTransport:
    """Replay them all."""
    return await ReplayTransport.open(RECORDINGS, [Yahoo(), AlphaVantage()])


def chart(symbol: str, interval: str, span: Span | None = None) -> HttpRequest:
    """Ask Yahoo with a crumb that no recording has."""
    params = (("interval", interval), ("period1", "1"), ("crumb", "no.such.crumb"))
    return HttpRequest("yahoo", f"{CHART}/{symbol}", params, span=span)


@pytest.mark.parametrize(
    ("symbol", "interval", "name"),
    [
        ("%5EDJI", "1wk", "v8_chart_DJI_1wk.json"),
        ("CRM", "1h", "v8_chart_CRM_1h.json"),
        ("GC=F", "1d", "nyf2_chart-GC=F-2020-01-01-to-2020-01-03.json"),
        # These have no envelope: url from the manifest, symbol from the body.
        ("MUV2.DE", "1d", "pp_MUV2.DE_historical01.json"),
        ("MSFT", "1d", "yfrs_history_chart_MSFT.json"),
    ],
)
async def test_a_chart_is_found_by_symbol_and_interval(
    replay: ReplayTransport, symbol: str, interval: str, name: str
) -> None:
    response = await replay.send(chart(symbol, interval), timeout_seconds=1)

    assert response.body == (RECORDINGS / "yahoo" / name).read_bytes()


async def test_of_several_charts_the_closest_answers(replay: ReplayTransport) -> None:
    start = 1_598_832_000 * SECOND_NS  # 2020-08-31
    request = chart("AAPL", "1d", Span(start, start + 60 * DAY_NS))

    response = await replay.send(request, timeout_seconds=1)

    name = "nyf2_chart-AAPL-2020-08-31-to-2020-11-07.json"
    assert response.body == (RECORDINGS / "yahoo" / name).read_bytes()
    assert replay.as_of_ns(request) == response.received_at_ns


async def test_alpha_vantage_answers_without_a_key(replay: ReplayTransport) -> None:
    params = (("function", "TIME_SERIES_DAILY"), ("symbol", "IBM"), ("apikey", "mine"))
    request = HttpRequest("alpha_vantage", QUERY, params)

    response = await replay.send(request, timeout_seconds=1)

    name = "time_series_daily_IBM_partial.json"
    assert response.body == (RECORDINGS / "alphavantage" / name).read_bytes()


async def test_what_was_never_recorded_is_named(replay: ReplayTransport) -> None:
    with pytest.raises(NoDataUnexplainedError, match="chart/NONE") as caught:
        await replay.send(chart("NONE", "1d"), timeout_seconds=1)

    assert "no.such.crumb" not in str(caught.value)
