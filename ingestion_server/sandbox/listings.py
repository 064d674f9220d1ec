"""The fixed list of what trades in the sandbox; nothing else exists there."""

from __future__ import annotations

from typing import Final

from ingestion_server.sandbox.instrument import Kind, Split, Venue

NASDAQ: Final = Venue("NMS", "NasdaqGS", "XNYS", "America/New_York", "USD")
NYSE: Final = Venue("NYQ", "NYSE", "XNYS", "America/New_York", "USD")
ARCA: Final = Venue("PCX", "NYSEArca", "XNYS", "America/New_York", "USD")
LONDON: Final = Venue("LSE", "LSE", "XLON", "Europe/London", "GBp")
XETRA: Final = Venue("GER", "XETRA", "XETR", "Europe/Berlin", "EUR")
TOKYO: Final = Venue("JPX", "Tokyo", "XTKS", "Asia/Tokyo", "JPY")
COMEX: Final = Venue("CMX", "COMEX", "24/5-US", "America/New_York", "USD")
NYMEX: Final = Venue("NYM", "NY Mercantile", "24/5-US", "America/New_York", "USD")

ZONES: Final = (
    "America/New_York",
    "Asia/Tokyo",
    "Europe/Berlin",
    "Europe/London",
    "UTC",
)
"""Every time zone the market knows."""

Row = tuple[str, Venue, float, float, float]
"""Name, venue, price at the anchor, growth per year, dividend yield."""

US_STOCKS: Final[dict[str, Row]] = {
    "AAPL": ("Apple Inc.", NASDAQ, 240.0, 0.15, 0.005),
    "MSFT": ("Microsoft Corporation", NASDAQ, 430.0, 0.10, 0.008),
    "IBM": ("International Business Machines Corporation", NYSE, 220.0, 0.03, 0.04),
    "TSLA": ("Tesla, Inc.", NASDAQ, 300.0, 0.25, 0.0),
    "NVDA": ("NVIDIA Corporation", NASDAQ, 130.0, 0.20, 0.0),
    "AMZN": ("Amazon.com, Inc.", NASDAQ, 200.0, 0.05, 0.0),
    "GOOG": ("Alphabet Inc.", NASDAQ, 180.0, 0.05, 0.0),
    "GOOGL": ("Alphabet Inc. Class A", NASDAQ, 179.0, 0.05, 0.0),
    "META": ("Meta Platforms, Inc.", NASDAQ, 590.0, 0.18, 0.0),
    "BRK.B": ("Berkshire Hathaway Inc.", NYSE, 460.0, 0.08, 0.0),
    "GE": ("GE Aerospace", NYSE, 170.0, 0.02, 0.015),
    "KO": ("The Coca-Cola Company", NYSE, 62.0, 0.03, 0.03),
    "JPM": ("JPMorgan Chase & Co.", NYSE, 240.0, 0.06, 0.025),
    "XOM": ("Exxon Mobil Corporation", NYSE, 108.0, 0.03, 0.035),
    "DIS": ("The Walt Disney Company", NYSE, 111.0, 0.04, 0.01),
    "GME": ("GameStop Corp.", NYSE, 30.0, 0.04, 0.0),
    "BA": ("The Boeing Company", NYSE, 177.0, 0.05, 0.0),
    "BABA": ("Alibaba Group Holding Limited", NYSE, 85.0, 0.0, 0.0),
    "ABBV": ("AbbVie Inc.", NYSE, 178.0, 0.08, 0.035),
    "ADBE": ("Adobe Inc.", NASDAQ, 445.0, 0.12, 0.0),
    "AMD": ("Advanced Micro Devices, Inc.", NASDAQ, 120.0, 0.08, 0.0),
    "AVGO": ("Broadcom Inc.", NASDAQ, 230.0, 0.10, 0.012),
    "AXP": ("American Express Company", NYSE, 297.0, 0.07, 0.012),
    "BAC": ("Bank of America Corporation", NYSE, 44.0, 0.02, 0.024),
    "C": ("Citigroup Inc.", NYSE, 70.0, 0.0, 0.03),
    "CAT": ("Caterpillar Inc.", NYSE, 363.0, 0.09, 0.016),
    "COST": ("Costco Wholesale Corporation", NASDAQ, 916.0, 0.12, 0.005),
    "CRM": ("Salesforce, Inc.", NYSE, 334.0, 0.12, 0.0),
    "CSCO": ("Cisco Systems, Inc.", NASDAQ, 59.0, 0.01, 0.027),
    "CVX": ("Chevron Corporation", NYSE, 145.0, 0.04, 0.044),
    "F": ("Ford Motor Company", NYSE, 10.0, 0.0, 0.05),
    "GM": ("General Motors Company", NYSE, 53.0, 0.04, 0.01),
    "GS": ("The Goldman Sachs Group, Inc.", NYSE, 573.0, 0.08, 0.02),
    "HD": ("The Home Depot, Inc.", NYSE, 389.0, 0.08, 0.023),
    "INTC": ("Intel Corporation", NASDAQ, 20.0, -0.01, 0.0),
    "JNJ": ("Johnson & Johnson", NYSE, 145.0, 0.04, 0.034),
    "LLY": ("Eli Lilly and Company", NYSE, 772.0, 0.10, 0.007),
    "MA": ("Mastercard Incorporated", NYSE, 526.0, 0.18, 0.005),
    "MCD": ("McDonald's Corporation", NYSE, 290.0, 0.08, 0.024),
    "MMM": ("3M Company", NYSE, 129.0, 0.03, 0.022),
    "MRK": ("Merck & Co., Inc.", NYSE, 99.0, 0.02, 0.031),
    "NFLX": ("Netflix, Inc.", NASDAQ, 891.0, 0.20, 0.0),
    "NKE": ("NIKE, Inc.", NYSE, 76.0, 0.07, 0.02),
    "ORCL": ("Oracle Corporation", NYSE, 167.0, 0.07, 0.01),
    "PEP": ("PepsiCo, Inc.", NASDAQ, 152.0, 0.05, 0.035),
    "PFE": ("Pfizer Inc.", NYSE, 27.0, 0.0, 0.06),
    "PG": ("The Procter & Gamble Company", NYSE, 168.0, 0.05, 0.024),
    "PYPL": ("PayPal Holdings, Inc.", NASDAQ, 85.0, 0.08, 0.0),
    "QCOM": ("QUALCOMM Incorporated", NASDAQ, 154.0, 0.05, 0.021),
    "SBUX": ("Starbucks Corporation", NASDAQ, 91.0, 0.10, 0.026),
    "SCHW": ("The Charles Schwab Corporation", NYSE, 74.0, 0.05, 0.013),
    "T": ("AT&T Inc.", NYSE, 23.0, 0.0, 0.05),
    "UNH": ("UnitedHealth Group Incorporated", NYSE, 506.0, 0.12, 0.016),
    "V": ("Visa Inc.", NYSE, 316.0, 0.15, 0.007),
    "VZ": ("Verizon Communications Inc.", NYSE, 40.0, 0.0, 0.065),
    "WMT": ("Walmart Inc.", NYSE, 90.0, 0.07, 0.009),
}
US_FUNDS: Final[dict[str, Row]] = {
    "SPY": ("SPDR S&P 500 ETF Trust", ARCA, 590.0, 0.07, 0.013),
    "QQQ": ("Invesco QQQ Trust", NASDAQ, 515.0, 0.09, 0.006),
    "IWM": ("iShares Russell 2000 ETF", ARCA, 221.0, 0.06, 0.011),
    "GLD": ("SPDR Gold Shares", ARCA, 242.0, 0.08, 0.0),
    "TLT": ("iShares 20+ Year Treasury Bond ETF", NASDAQ, 88.0, 0.0, 0.04),
}
ABROAD: Final[dict[str, Row]] = {
    "OCDO.L": ("Ocado Group plc", LONDON, 310.0, 0.02, 0.0),
    "SAP.DE": ("SAP SE", XETRA, 240.0, 0.06, 0.01),
    "7203.T": ("Toyota Motor Corporation", TOKYO, 2800.0, 0.04, 0.0),
}
INDICES: Final[dict[str, Row]] = {
    "^GSPC": ("S&P 500", Venue("SNP", "SNP", "XNYS", NYSE.zone, "USD"), 5900, 0.07, 0),
    "^DJI": ("Dow Jones Industrial Average", NYSE, 42500.0, 0.06, 0.0),
    "^IXIC": ("NASDAQ Composite", NASDAQ, 19300.0, 0.09, 0.0),
}
FUTURES: Final[dict[str, Row]] = {
    "GC=F": ("Gold", COMEX, 2640.0, 0.08, 0.0),
    "CL=F": ("Crude Oil", NYMEX, 72.0, 0.03, 0.0),
}

SPLITS: Final[dict[str, tuple[Split, ...]]] = {
    "AAPL": (Split("2014-06-09", 7), Split("2020-08-31", 4)),
    "TSLA": (Split("2020-08-31", 5), Split("2022-08-25", 3)),
    "NVDA": (Split("2021-07-20", 4), Split("2024-06-10", 10)),
    "MSFT": (Split("2003-02-18", 2),),
    "BRK.B": (Split("2010-01-21", 50),),
}
"""The real dates; the prices around them are invented."""

LISTED_SINCE: Final[dict[str, str]] = {
    "TSLA": "2010-06-29",
    "GOOG": "2004-08-19",
    "GOOGL": "2004-08-19",
    "META": "2012-05-18",
    "BABA": "2014-09-19",
    "ABBV": "2013-01-02",
    "CRM": "2004-06-23",
    "GM": "2010-11-18",
    "MA": "2006-05-25",
    "NFLX": "2002-05-23",
    "PYPL": "2015-07-06",
    "V": "2008-03-19",
    "GME": "2002-02-13",
    "GLD": "2004-11-18",
    "TLT": "2002-07-30",
    "OCDO.L": "2010-07-21",
}
"""Later than everybody's first day, which is :data:`FIRST_DAY`."""

FIRST_DAY: Final = "1999-11-01"
FX_FIRST_DAY: Final = "2000-01-03"
CRYPTO_FIRST_DAY: Final = "2014-09-17"

DIVIDENDS_SINCE: Final[dict[str, str]] = {"AAPL": "2012-08-01", "MSFT": "2003-02-19"}

CURRENCIES: Final[dict[str, tuple[str, float]]] = {
    "USD": ("United States Dollar", 1.0),
    "EUR": ("Euro", 1.04),
    "GBP": ("British Pound Sterling", 1.25),
    "JPY": ("Japanese Yen", 0.0064),
    "CHF": ("Swiss Franc", 1.10),
    "AUD": ("Australian Dollar", 0.62),
    "CAD": ("Canadian Dollar", 0.69),
    "NZD": ("New Zealand Dollar", 0.56),
    "SEK": ("Swedish Krona", 0.09),
    "NOK": ("Norwegian Krone", 0.088),
    "CNY": ("Chinese Yuan", 0.137),
}
"""Name and worth in US dollars at the anchor."""

COINS: Final[dict[str, tuple[str, float, int, float]]] = {
    "BTC": ("Bitcoin", 95000.0, 2, 30_000.0),
    "ETH": ("Ethereum", 3400.0, 2, 400_000.0),
    "SOL": ("Solana", 190.0, 2, 3_000_000.0),
    "DOGE": ("Dogecoin", 0.32, 5, 10_000_000.0),
}
"""Name, worth in US dollars at the anchor, decimals of prices, coins a day."""

COIN_MARKETS: Final = ("USD", "EUR")


def kind_of(symbol: str) -> Kind:
    """Return the kind of a listed symbol that is neither currency nor coin."""
    if symbol in US_FUNDS:
        return Kind.ETF
    if symbol in INDICES:
        return Kind.INDEX
    if symbol in FUTURES:
        return Kind.FUTURE
    return Kind.EQUITY
