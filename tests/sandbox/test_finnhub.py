"""Finnhub's REST side answers as its documents and recordings say."""

import asyncio
import json

import brotli
import finnhub
import numpy as np
import pytest

from ingestion_server import sandbox

API = "/api/v1"
KEY = "test-99999per1s"
PREMIUM = {"error": "You don't have access to this resource."}
UNKNOWN = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}


def seconds(time_ns):
    """Return epoch seconds."""
    return time_ns // 10**9


@pytest.fixture
def asked(caller):
    """Return what asks the sandbox on the evening of Friday 2025-01-03."""
    return asking(caller)


def asking(caller):
    """Return what asks a sandbox and expects an answer."""

    async def ask(path, **query):
        return await caller.json(f"{API}{path}", **({"token": KEY} | query))

    return ask


async def refused(caller, path, **query):
    """Return status and JSON of a refusal."""
    status, body = await caller.get(f"{API}{path}", **({"token": KEY} | query))
    return status, json.loads(body)


async def candles(ask, time_at, symbol, resolution, window, kind="stock"):
    """Return the candles between two New York times."""
    first, last = window
    return await ask(
        f"/{kind}/candle",
        symbol=symbol,
        resolution=resolution,
        **{"from": str(seconds(time_at(first))), "to": str(seconds(time_at(last)))},
    )


async def test_a_quote_after_the_close_is_the_day(caller, asked):
    """Change and percent are to the close before; the time is just after the close."""
    quote = await asked("/quote", symbol="AAPL")
    day = (await caller.alpha_vantage("GLOBAL_QUOTE", symbol="AAPL"))["Global Quote"]

    assert list(quote) == list(UNKNOWN)
    assert quote["c"] == float(day["05. price"])
    assert quote["o"] == float(day["02. open"])
    assert quote["h"] == float(day["03. high"])
    assert quote["l"] == float(day["04. low"])
    assert quote["pc"] == float(day["08. previous close"])
    assert quote["d"] == pytest.approx(quote["c"] - quote["pc"], abs=1e-5)
    assert quote["dp"] == pytest.approx(100 * quote["d"] / quote["pc"], abs=1e-4)
    assert quote["t"] == seconds(caller.clock.time_ns) - 5 * 3600 + 3


@pytest.mark.parametrize("time", ["2025-01-03 09:30:02", "2025-01-03 11:07:33"])
async def test_a_quote_in_the_session_is_the_last_trade(opened, time):
    """As /stock/tick has it, within the day's range so far."""
    ask = asking(await opened(time, trades_per_second=20.0))

    quote = await ask("/quote", symbol="AAPL")
    page = {"symbol": "AAPL", "date": "2025-01-03", "limit": "1"}
    total = (await ask("/stock/tick", skip="0", **page))["total"]
    last = await ask("/stock/tick", skip=str(total - 1), **page)

    assert last["p"] == [quote["c"]]
    assert last["t"][0] // 1000 == quote["t"]
    assert quote["l"] <= min(quote["o"], quote["c"])
    assert quote["h"] >= max(quote["o"], quote["c"])


async def test_an_open_market_without_a_trade_yet_tells_the_day_before(opened):
    """At the very moment of the open."""
    before = asking(await opened("2025-01-03 09:29:00"))
    caller = await opened("2025-01-03 09:30:00")
    caller.clock.time_ns += 1

    quote = await asking(caller)("/quote", symbol="IBM")

    assert quote == await before("/quote", symbol="IBM")


async def test_where_nothing_trades_the_last_price_holds(opened):
    """At noon in Tokyo, where there is a break, and at night."""
    noon = "2025-01-02 22:13:00"
    ask = asking(await opened(noon, trades_per_second=0.01))

    quote = await ask("/quote", symbol="7203.T")
    bid = await ask("/stock/bidask", symbol="IBM")

    assert quote["l"] <= quote["c"] <= quote["h"]
    assert quote["pc"] > 0
    assert bid == {"a": 0, "av": 0, "b": 0, "bv": 0, "t": 0}


@pytest.mark.parametrize("symbol", ["NOPE", "GC=F", "OANDA:EUR_XXX", "BINANCE:NOUSDT"])
async def test_unknown_symbols_are_zeros_and_no_data_with_status_200(
    asked, time_at, symbol
):
    """Never a 404."""
    window = ("2025-01-02 00:00:00", "2025-01-03 20:00:00")

    assert await asked("/quote", symbol=symbol) == UNKNOWN
    for kind in ("stock", "forex", "crypto"):
        bars = await candles(asked, time_at, symbol, "D", window, kind)
        assert bars == {"s": "no_data"}
    ticks = {"symbol": symbol, "date": "2025-01-03", "limit": "5", "skip": "0"}
    assert (await asked("/stock/tick", **ticks))["total"] == 0
    assert (await asked("/stock/bidask", symbol=symbol))["a"] == 0
    dates = {"from": "2000-01-01", "to": "2025-01-01"}
    assert await asked("/stock/split", symbol=symbol, **dates) == []
    assert await asked("/stock/dividend", symbol=symbol, **dates) == []


async def test_days_are_split_adjusted_and_stamped_at_midnight_utc(caller, time_at):
    """Yahoo tells the same prices, as float32 too."""
    chart = await caller.chart("NVDA", range="1y", interval="1d")

    bars = await candles(
        asking(caller),
        time_at,
        "NVDA",
        "D",
        ("2024-01-04 00:00:00", "2025-01-04 00:00:00"),
    )

    quote = chart["indicators"]["quote"][0]
    count = len(bars["t"])
    assert bars["s"] == "ok"
    assert count > 245
    assert bars["c"][-200:] == quote["close"][-200:]
    assert bars["v"][-200:] == quote["volume"][-200:]
    assert all(stamp % 86_400 == 0 for stamp in bars["t"])
    assert {len(bars[name]) for name in "ohlcvt"} == {count}


@pytest.mark.parametrize("resolution", ["1", "5", "15", "30", "60"])
async def test_intraday_is_as_traded_with_early_and_late_trading(
    caller, time_at, resolution
):
    """Under the begin of each bar, by the clock; it adds up to the trades."""
    size = int(resolution)
    ask = asking(caller)
    window = ("2024-06-07 04:00:00", "2024-06-07 19:59:00")

    bars = await candles(ask, time_at, "NVDA", resolution, window)
    days = await candles(
        ask, time_at, "NVDA", "D", ("2024-06-06 00:00:00", "2024-06-07 20:00:00")
    )

    assert bars["t"][0] == seconds(time_at(window[0]))
    assert all(stamp % (size * 60) == 0 for stamp in bars["t"])
    # Ten for one on the Monday after.
    assert 9 < bars["c"][-1] / days["c"][-1] < 11
    if size == 1:
        at_open = bars["t"].index(seconds(time_at("2024-06-07 09:30:00")))
        regular = slice(at_open, at_open + 390)
        assert sum(bars["v"][regular]) == pytest.approx(days["v"][-1] / 10, abs=1)
        assert np.float32(bars["c"][0]) == bars["c"][0]


async def test_a_call_gives_a_month_of_intraday_bars_at_most(asked, time_at):
    """The newest, whatever was asked for."""
    window = ("2024-09-01 00:00:00", "2025-01-03 20:00:00")

    bars = await candles(asked, time_at, "IBM", "60", window)

    assert bars["t"][0] == seconds(time_at("2024-12-05 04:00:00"))
    assert bars["t"][-1] == seconds(time_at("2025-01-03 19:00:00"))


@pytest.mark.parametrize("resolution", ["1", "D"])
@pytest.mark.parametrize("first", [0, 1_800_000_000, 99_999_999_998])
async def test_a_range_may_end_in_any_future(asked, resolution, first):
    """Nothing is there yet, and that is all."""
    query = {"symbol": "IBM", "resolution": resolution, "from": str(first)}

    bars = await asked("/stock/candle", to="99999999999", **query)

    assert bars["s"] == ("ok" if first == 0 else "no_data")


async def test_weeks_and_months_bear_their_first_day(asked, time_at):
    """Monday, and the first of the month."""
    window = ("2024-11-01 00:00:00", "2025-01-03 20:00:00")

    weeks = await candles(asked, time_at, "IBM", "W", window)
    months = await candles(asked, time_at, "IBM", "M", window)

    assert (weeks["t"][-1] // 86_400 - 4) % 7 == 0
    assert months["t"][-1] == 1_735_689_600


async def test_pairs_and_coins_have_their_own_paths(caller, time_at):
    """At the prices of the other vendors; coins with a volume, currencies without."""
    ask, window = asking(caller), ("2024-12-30 00:00:00", "2025-01-01 12:00:00")

    euro = await candles(ask, time_at, "OANDA:EUR_USD", "D", window, "forex")
    coin = await candles(ask, time_at, "BINANCE:BTCUSDT", "D", window, "crypto")
    served = await caller.alpha_vantage(
        "DIGITAL_CURRENCY_DAILY", symbol="BTC", market="USD"
    )

    theirs = served["Time Series (Digital Currency Daily)"]["2025-01-01"]
    assert set(euro["v"]) == {0}
    assert coin["c"][-1] == np.float32(theirs["4. close"])
    assert coin["v"][-1] == pytest.approx(float(theirs["5. volume"]))
    other = await candles(ask, time_at, "BINANCE:BTCUSDT", "D", window, "stock")
    assert other == {"s": "no_data"}


async def test_trades_are_paged_and_add_up_to_the_day(caller, time_at):
    """Milliseconds, count and total; the last page is short."""
    ask, rows, skip = asking(caller), [], 0
    asked = {"symbol": "KO", "date": "2025-01-03", "limit": "25000"}

    while True:
        page = await ask("/stock/tick", skip=str(skip), **asked)
        assert page["skip"] == skip
        assert page["count"] == len(page["t"]) == len(page["c"]) == len(page["x"])
        rows += zip(page["t"], page["p"], page["v"], strict=True)
        skip += page["count"]
        if skip == page["total"]:
            break

    begin = time_at("2025-01-03 09:30:00") // 10**6
    regular = [row for row in rows if begin <= row[0] < begin + 390 * 60_000]
    bars = await candles(
        ask, time_at, "KO", "D", ("2025-01-02 00:00:00", "2025-01-03 00:00:00")
    )
    assert page["s"] == "KO"
    assert sum(row[2] for row in regular) == bars["v"][-1]
    assert np.float32(regular[0][1]) == bars["o"][-1]
    assert np.float32(regular[-1][1]) == bars["c"][-1]
    assert rows == sorted(rows, key=lambda row: row[0])
    assert rows[-1][0] <= caller.clock.time_ns // 10**6
    assert page["c"][-1] == ["1", "24", "12"]


async def test_any_part_of_the_day_can_be_asked_for(caller):
    """As it is in the whole; beyond the end there is nothing but the total."""
    ask = asking(caller)
    day = {"symbol": "KO", "date": "2025-01-03"}
    page = await ask("/stock/tick", skip="0", limit="25000", **day)

    some = await ask("/stock/tick", skip="700", limit="3", **day)
    none = await ask("/stock/tick", skip=str(page["total"]), limit="3", **day)

    assert (some["skip"], some["count"], some["total"]) == (700, 3, page["total"])
    for column in "tpvxc":
        assert some[column] == page[column][700:703]
        assert none[column] == []
    assert (none["count"], none["total"]) == (0, page["total"])


@pytest.mark.parametrize(
    ("omitted", "left"),
    [({"count": 5}, -5), ({"fraction": 0.25}, 0.75), ({"fraction": 1.0}, 0.0)],
)
async def test_a_replay_may_leave_rows_out(caller, omitted, left):
    """The total is of what it gives, and the page is still in order."""
    ask = asking(caller)
    query = {"symbol": "KO", "date": "2025-01-03", "limit": "25000"}
    whole = await ask("/stock/tick", skip="0", **query)
    total = whole["total"]
    tail = {**query, "skip": str(total - 20)}
    newest = await ask("/stock/tick", **tail)
    await caller.fault("finnhub", fault="omit_rows", **omitted)

    given = (await ask("/stock/tick", skip="0", **query))["total"]
    page = await ask("/stock/tick", **{**query, "skip": str(max(given - 15, 0))})

    assert given == (total + left if left < 0 else pytest.approx(total * left, abs=1))
    assert page["t"] == sorted(page["t"])
    if "count" in omitted:
        kept = [row for at, row in enumerate(newest["t"]) if at not in range(10, 20, 2)]
        assert page["t"] == kept


async def test_bid_and_ask_enclose_the_last_trade(opened):
    """In milliseconds."""
    caller = await opened("2025-01-03 11:00:30")
    ask = asking(caller)

    bid, quote = (
        await ask("/stock/bidask", symbol="MSFT"),
        await ask("/quote", symbol="MSFT"),
    )

    assert list(bid) == ["a", "av", "b", "bv", "t"]
    assert bid["b"] < quote["c"] < bid["a"]
    assert bid["t"] // 1000 == quote["t"]


async def test_search_and_symbols(asked):
    """Both know what is listed, in the vendor's words."""
    found = await asked("/search", q="apple")
    listed = await asked("/stock/symbol", exchange="US")
    london = await asked("/stock/symbol", exchange="L", currency="GBp")

    assert found["count"] == len(found["result"]) == 1
    assert found["result"][0] == {
        "description": "APPLE INC.",
        "displaySymbol": "AAPL",
        "symbol": "AAPL",
        "type": "Common Stock",
    }
    assert (await asked("/search", q="F"))["result"][0]["symbol"] == "F"
    assert (await asked("/search", q="ocado", exchange="US"))["count"] == 0
    assert {row["mic"] for row in listed} == {"XNAS", "XNYS", "ARCX"}
    assert [row["symbol"] for row in london] == ["OCDO.L"]
    assert await asked("/stock/symbol", exchange="US", securityType="none") == []
    assert await asked("/stock/symbol", exchange="US", mic="XLON") == []


async def test_splits_and_dividends(asked):
    """Newest first, within the dates."""
    dates = {"from": "2014-06-09", "to": "2020-12-31"}

    splits = await asked("/stock/split", symbol="AAPL", **dates)
    dividends = await asked("/stock/dividend", symbol="AAPL", **dates)

    assert splits == [
        {"date": "2020-08-31", "fromFactor": 1, "symbol": "AAPL", "toFactor": 4},
        {"date": "2014-06-09", "fromFactor": 1, "symbol": "AAPL", "toFactor": 7},
    ]
    assert dividends[0]["date"] > dividends[-1]["date"] >= "2014-06-09"
    assert dividends[0]["amount"] == dividends[0]["adjustedAmount"]
    oldest = dividends[-1]
    assert oldest["amount"] == pytest.approx(4 * oldest["adjustedAmount"], rel=1e-3)
    assert oldest["payDate"] > oldest["recordDate"] > oldest["date"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/quote", {}),
        ("/search", {}),
        ("/stock/symbol", {}),
        ("/stock/candle", {"symbol": "IBM", "resolution": "7", "from": "1", "to": "2"}),
        ("/stock/candle", {"symbol": "IBM", "resolution": "D", "from": "x", "to": "2"}),
        ("/stock/candle", {"symbol": "IBM", "resolution": "D", "from": "1"}),
        ("/stock/candle", {"resolution": "D", "from": "1", "to": "2"}),
        ("/stock/tick", {"symbol": "IBM", "date": "soon", "limit": "5", "skip": "0"}),
        (
            "/stock/tick",
            {"symbol": "IBM", "date": "2025-01-03", "limit": "25001", "skip": "0"},
        ),
        ("/stock/split", {"symbol": "IBM", "from": "2020-01-01"}),
    ],
)
async def test_wrong_parameters_are_422(caller, path, query):
    """With the name of the parameter."""
    status, document = await refused(caller, path, **query)

    assert status == 422
    assert document["error"].startswith("Wrong ")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "Please use an API key."),
        ("my-invalid", "Invalid API key"),
        ("my-0per5s", "Invalid API key. Its ending: a plan must be"),
    ],
)
async def test_a_key_is_needed(caller, token, words):
    """Without a known one: 401, and no meter."""
    status, document = await refused(caller, "/quote", symbol="IBM", token=token)

    assert status == 401
    assert document["error"].startswith(words)
    assert (await caller.stats("finnhub"))["keys"] == {}


async def test_the_key_may_be_in_a_header(caller):
    """And is metered as the one in the query is."""
    url = f"{caller.url}{API}/quote?symbol=IBM"
    async with caller.session.get(url, headers={"x-finnhub-token": KEY}) as reply:
        assert reply.status == 200

    assert list((await caller.stats("finnhub"))["keys"]) == [KEY]


async def test_a_free_key_has_quotes_of_the_us(caller):
    """Candles, trades and what trades abroad are for others."""
    ask = {"token": "my-free"}
    dates = {"from": "2020-01-01", "to": "2021-01-01"}
    bars = {"resolution": "D", "from": "1", "to": "1735900000"}
    day = {"date": "2025-01-03", "limit": "5", "skip": "0"}
    for path, query in (
        ("/stock/candle", bars),
        ("/forex/candle", bars),
        ("/crypto/candle", bars),
        ("/stock/tick", day),
        ("/stock/bidask", {}),
        ("/stock/split", dates),
        ("/stock/dividend", dates),
    ):
        answer = await refused(caller, path, symbol="IBM", **query, **ask)
        assert answer == (403, PREMIUM)
    for symbol in ("OCDO.L", "BINANCE:BTCUSDT", "OANDA:EUR_USD"):
        answer = await refused(caller, "/quote", symbol=symbol, **ask)
        assert answer == (403, PREMIUM)
    answer = await refused(caller, "/stock/symbol", exchange="L", **ask)

    assert answer == (403, PREMIUM)
    assert (await refused(caller, "/quote", symbol="BRK.B", **ask))[0] == 200
    assert await refused(caller, "/quote", symbol="NOPE", **ask) == (200, UNKNOWN)


async def test_the_plan_is_an_option(opened):
    """For keys that name none."""
    free = await opened(finnhub_plan="free")
    premium = await opened()
    query = {"symbol": "IBM", "token": "plain"}

    assert (await refused(free, "/stock/bidask", **query))[0] == 403
    assert (await refused(premium, "/stock/bidask", **query))[0] == 200


@pytest.mark.parametrize("path", ["/nothing", "/stock", ""])
async def test_what_does_not_exist_is_404(caller, path):
    """With or without a key."""
    status, body = await caller.get(f"{API}{path or '/'}")

    assert status == 404
    assert body == b"404 page not found\n"


@pytest.mark.parametrize(("plan", "calls"), [("free", 60), ("premium", 300)])
async def test_a_plan_is_so_many_calls_a_minute(caller, plan, calls):
    """The window begins with the first call; the headers tell what is left."""
    url = f"{caller.url}{API}/quote?symbol=IBM&token=my-{plan}"
    first_s = seconds(caller.clock.time_ns)
    told = []
    for _ in range(calls + 1):
        async with caller.session.get(url) as reply:
            told.append((reply.status, reply.headers["X-Ratelimit-Remaining"]))
            error = await reply.read()
            assert reply.headers["X-Ratelimit-Limit"] == str(calls)
            assert reply.headers["X-Ratelimit-Reset"] == str(first_s + 60)
        caller.clock.move(0.1)

    assert told == [(200, str(calls - n)) for n in range(1, calls + 1)] + [(429, "0")]
    assert b"API limit reached." in error
    caller.clock.time_ns = (first_s + 60) * 10**9
    async with caller.session.get(url) as reply:
        assert (reply.status, reply.headers["X-Ratelimit-Remaining"]) == (
            200,
            str(calls - 1),
        )


async def test_no_plan_allows_more_than_thirty_in_a_second(caller):
    """With much left of the minute."""
    query = {"symbol": "IBM", "token": "my-premium"}

    statuses = [(await refused(caller, "/quote", **query))[0] for _ in range(31)]

    assert statuses == [200] * 30 + [429]
    stats = await caller.stats("finnhub")
    assert stats["violations"] == 1
    assert stats["keys"]["my-premium"] == {"admitted": 30, "refused": 1}
    assert stats["by_path"] == {"/quote": 31}
    await caller.control("POST", "reset")
    assert (await refused(caller, "/quote", **query))[0] == 200


@pytest.mark.parametrize(
    "coding", ["br", "gzip, deflate, br;q=0.9", "gzip", "identity"]
)
async def test_bodies_are_brotli_for_those_who_read_it(caller, coding):
    """And plain for the others."""
    url = f"{caller.url}{API}/quote?symbol=AAPL&token={KEY}"
    plain = (await caller.get(f"{API}/quote", symbol="AAPL", token=KEY))[1]

    async with caller.session.get(url, headers={"Accept-Encoding": coding}) as reply:
        coded = reply.headers.get("Content-Encoding")
        body = await reply.read()

    assert coded == ("br" if "br" in coding else None)
    assert body == plain
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_cut_of_a_compressed_body_is_of_what_goes_over_the_wire(caller):
    """Fewer bytes than were promised."""
    await caller.fault("finnhub", fault="cut")
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(caller.url[-5:].strip(":"))
    )
    head = f"GET {API}/stock/symbol?exchange=US&token={KEY} HTTP/1.1\r\nHost: x\r\n"
    writer.write(f"{head}Accept-Encoding: br\r\n\r\n".encode())

    answer = await reader.read()
    writer.close()

    headers, _, body = answer.partition(b"\r\n\r\n")
    promised = int(headers.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == promised * 3 // 5
    with pytest.raises(brotli.error):
        brotli.decompress(body)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("premium", 403, PREMIUM),
        ("error_key", 401, {"error": "Invalid API key"}),
        ("empty", 200, {}),
        (
            "status_429",
            429,
            {"error": "API limit reached. Please try again later. Remaining Limit: 0"},
        ),
    ],
)
async def test_faults_in_the_words_of_the_vendor(caller, fault, status, body):
    """With its headers."""
    await caller.fault("finnhub", fault=fault, retry_after=7)
    url = f"{caller.url}{API}/quote?symbol=AAPL&token={KEY}"

    async with caller.session.get(url) as reply:
        assert (reply.status, await reply.json()) == (status, body)
        assert reply.headers["X-Ratelimit-Limit"] == "99999"
        wanted = "7" if fault == "status_429" else None
        assert reply.headers.get("Retry-After") == wanted
    assert (await caller.stats("finnhub"))["faults"] == {fault: 1}


@pytest.mark.parametrize("fault", ["status_500", "html"])
async def test_pages_of_what_stands_in_front(caller, fault):
    """No JSON."""
    await caller.fault("finnhub", fault=fault)

    status, body = await caller.get(f"{API}/quote", symbol="AAPL", token=KEY)

    assert status == (500 if fault == "status_500" else 200)
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fault", ["truncated", "malformed"])
async def test_damaged_bodies_are_no_json(caller, fault):
    """Whatever the coding."""
    await caller.fault("finnhub", fault=fault)

    body = (await caller.get(f"{API}/stock/symbol", exchange="US", token=KEY))[1]

    with pytest.raises(ValueError, match=r"."):
        json.loads(body)


async def test_damaged_candles(caller, time_at):
    """The newer part is missing, or one low is above its open."""
    ask, window = asking(caller), ("2024-12-01 00:00:00", "2025-01-03 20:00:00")
    whole = await candles(ask, time_at, "IBM", "D", window)
    await caller.fault("finnhub", fault="partial", fraction=0.5, times=1)

    partial = await candles(ask, time_at, "IBM", "D", window)
    await caller.fault("finnhub", fault="bad_row")
    bad = await candles(ask, time_at, "IBM", "D", window)

    assert partial["t"] == whole["t"][: len(whole["t"]) // 2]
    pairs = zip(bad["l"], bad["o"], strict=True)
    assert sum(low > opening for low, opening in pairs) == 1


async def test_the_vendors_own_client_reads_it_unchanged(opened, monkeypatch):
    """All that it is told is another address."""
    caller = await opened("2025-01-03 21:00:00", trades_per_second=0.1)
    monkeypatch.setattr(finnhub.Client, "API_URL", caller.url + API)
    first_s = seconds(caller.clock.time_ns) - 86_400

    def ask():
        with finnhub.Client(api_key=KEY) as client:
            return (
                client.quote("AAPL"),
                client.stock_candles("AAPL", "5", first_s, first_s + 86_400),
                client.symbol_lookup("apple"),
                client.stock_tick("AAPL", "2025-01-03", 500, 0),
            )

    def ask_free():
        with finnhub.Client(api_key="my-free") as client:
            client.stock_candles("AAPL", "D", first_s, first_s + 86_400)

    quote, bars, found, ticks = await asyncio.to_thread(ask)
    with pytest.raises(finnhub.FinnhubAPIException, match="don't have access"):
        await asyncio.to_thread(ask_free)

    assert quote["c"] > 0
    assert bars["s"] == "ok"
    assert found["result"][0]["symbol"] == "AAPL"
    assert ticks["count"] == 500 < ticks["total"]
    assert (await caller.stats("finnhub"))["by_path"] == {
        "/quote": 1,
        "/stock/candle": 2,
        "/search": 1,
        "/stock/tick": 1,
    }


async def test_answers_have_the_keys_of_the_recording(asked, recordings):
    """A quote as it was recorded in 2021."""
    recorded = json.loads((recordings / "finnhub" / "quote_AAPL.json").read_bytes())

    quote = await asked("/quote", symbol="AAPL")

    assert list(quote) == list(recorded)
    assert {name: type(value) for name, value in quote.items()} == {
        name: type(value) for name, value in recorded.items()
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"finnhub_plan": "gold"},
        {"finnhub_plan": "0per5s"},
        {"trades_per_second": 0.0},
        {"trades_per_second": 1001.0},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong):
    """At once, by name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sandbox.SandboxOptions(**wrong)
