"""The console, as people see it: real data, live, in words, on every screen."""

from __future__ import annotations

import re
import urllib.error
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    PACKAGE,
    PATIENCE_MS,
    TOKEN,
    Open,
    Server,
    posted,
)
from tests.process.programs import ANY_PORTS, Program, isolated

pytestmark = pytest.mark.timeout(180)
expect.set_options(timeout=PATIENCE_MS)

MOST_LOAD_BYTES = 300_000
EVERY_SCREEN = pytest.mark.parametrize("width", [1280, 400])
EVERY_LIGHT = pytest.mark.parametrize("scheme", ["light", "dark"])
CROSS = "<img src=x onerror=document.title='crossed'>"


def draw(page: Page, symbol: str, **fields: str) -> None:
    """Fill in the form, and have bars drawn."""
    for name, value in {"symbol": symbol, **fields}.items():
        field = page.locator(f"#fetch [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Draw").click()


def subscribe(page: Page, symbols: str) -> None:
    """Have live data on the tape."""
    page.get_by_label("Symbols").fill(symbols)
    page.get_by_role("button", name="Subscribe").click()


def test_it_loads_little_asks_nobody_else_and_says_that_the_server_is_ready(
    page: Page,
) -> None:
    expect(page.locator("#state")).to_have_text("ready")
    expect(page.locator("#grpc")).to_have_text(re.compile(r"127\.0\.0\.1:\d+"))
    expect(page.locator("#simulated")).to_be_visible()

    sent = page.evaluate(
        """() => performance.getEntriesByType("resource")
            .concat(performance.getEntriesByType("navigation"))
            .filter(each => !each.name.includes("marketdata"))
            .reduce((sum, each) => sum + each.transferSize, 0)"""
    )
    assert 0 < sent < MOST_LOAD_BYTES


def test_each_vendor_shows_score_breaker_latency_and_quota_once_it_was_asked(
    page: Page, server: Server
) -> None:
    server.call(
        "IngestionService/Fetch",
        {
            "symbol": "SBX0001",
            "limit": 5,
            "sourcePolicy": {"mode": "MODE_PINNED", "providers": ["finnhub"]},
        },
    )

    card = page.get_by_role("article", name="finnhub")
    kind = card.locator(".kind", has_text="bars:equity")
    expect(kind.locator(".breaker")).to_have_text("closed")
    expect(kind.locator(".spark")).to_be_visible()
    expect(kind.locator(".latency")).to_contain_text(re.compile(r"\d+ ms|<1 ms"))
    expect(card.get_by_role("meter", name="finnhub, quota minute")).to_be_visible()
    expect(card).to_contain_text(re.compile(r"[1-9]\d* of 300 calls"))
    expect(card).to_contain_text(re.compile(r"runs out at|lasts"))
    expect(page.get_by_role("article", name="iex_cloud")).to_contain_text("Not asked")

    score = card.get_by_role("button", name=re.compile("Score of finnhub for bars"))
    tip = kind.get_by_role("tooltip")
    expect(tip).to_be_hidden()
    score.focus()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("latency")
    score.press("Escape")
    expect(tip).to_be_hidden()


def test_what_happens_to_a_vendor_is_told_while_one_looks(
    page: Page, server: Server
) -> None:
    card = page.get_by_role("article", name="yahoo")
    expect(card).to_contain_text("in the order")

    server.call("ProviderService/UpdateProvider", {"name": "yahoo", "enabled": False})
    try:
        expect(card).to_contain_text("an operator switched it off")
        expect(page.locator("#news")).to_contain_text("yahoo: changed")
    finally:
        server.call(
            "ProviderService/UpdateProvider", {"name": "yahoo", "enabled": True}
        )
    expect(card).to_contain_text("in the order")


def test_before_bars_are_drawn_it_says_who_would_be_asked(page: Page) -> None:
    expect(page.locator("#route")).to_contain_text("Would ask")
    expect(page.locator("#route .vendor")).not_to_have_count(0)
    expect(page.locator("#fetch-empty")).to_be_visible()

    page.locator("#fetch [name=vendor]").select_option("finnhub")

    expect(page.locator("#route .vendor")).to_have_text(["finnhub"])


def test_bars_are_drawn_and_signed(page: Page) -> None:
    draw(page, "IBM", limit="60")

    expect(page.locator("#completeness")).to_have_text("COMPLETE")
    expect(page.locator("#summary")).to_contain_text("IBM: 60 bars")
    assert page.locator("#canvas canvas").count() > 2
    expect(page.locator("#canvas")).to_have_attribute(
        "aria-label", re.compile(r"Candles of IBM: 60 bars.*Between [\d.,]+ and")
    )
    sources = page.get_by_role("table", name="Sources")
    expect(sources.locator("tbody tr")).to_have_count(1)
    expect(sources).to_contain_text("for splits")
    expect(sources).to_contain_text(re.compile(r"fresh|from the cache"))
    expect(page.get_by_role("table", name="Attempts")).to_contain_text("served")

    page.get_by_text("The bars as a table").click()
    rows = page.get_by_role("table", name="Bars").locator("tbody tr")
    expect(rows).to_have_count(60)

    drawn = page.locator("#canvas canvas").evaluate_all(
        """all => all.some(each => {
            const {width, height} = each;
            const pixels = each.getContext("2d").getImageData(0, 0, width, height).data;
            return pixels.some((value, place) => place % 4 === 3 && value > 0);
        })"""
    )
    assert drawn


def test_stretches_have_the_colour_of_their_vendor_and_holes_are_hatched(
    page: Page, server: Server
) -> None:
    for vendor, fault in (
        ("yahoo", "partial"),
        ("alpha_vantage", "partial"),
        ("finnhub", "empty"),
    ):
        server.fault(vendor, fault, symbols=["MSFT"])
    try:
        draw(page, "MSFT", start="2024-03-01", end="2024-06-28", limit="90")
        expect(page.locator("#completeness")).to_have_text("PARTIAL")
    finally:
        server.mend()

    expect(page.locator("#legend .vendor")).to_have_count(2)
    expect(page.locator("#legend")).to_contain_text("missing")
    missing = page.get_by_role("table", name="Missing")
    expect(missing).to_contain_text("2024-0")
    expect(missing).to_contain_text("alpha_vantage: PARTIAL")
    expect(page.get_by_role("table", name="Sources").locator("tbody tr")).to_have_count(
        2
    )
    colours = page.locator("#canvas canvas").evaluate_all(
        """all => {
            const wanted = ["--vendor-0", "--vendor-3", "--hole"].map(name =>
                getComputedStyle(document.documentElement).getPropertyValue(name)
                    .trim().match(/[0-9a-f]{2}/gi).map(part => parseInt(part, 16)));
            const found = wanted.map(() => false);
            for (const each of all) {
                const {width, height} = each;
                const data = each.getContext("2d").getImageData(0, 0, width, height)
                    .data;
                for (let at = 0; at < data.length; at += 4) {
                    wanted.forEach(([r, g, b], place) => {
                        if (data[at + 3] === 255 && Math.abs(data[at] - r) < 3
                            && Math.abs(data[at + 1] - g) < 3
                            && Math.abs(data[at + 2] - b) < 3) found[place] = true;
                    });
                }
            }
            return found;
        }"""
    )
    assert colours == [True, True, True]


def test_a_minute_that_is_not_over_is_called_forming(page: Page) -> None:
    draw(page, "BTC/USD", interval="INTERVAL_1_MINUTE", limit="30")

    expect(page.locator("#summary")).to_contain_text("the last still forming")
    expect(page.locator("#summary")).to_contain_text("times of UTC")


def test_what_cannot_be_fetched_is_said_in_words_and_is_among_the_errors(
    page: Page,
) -> None:
    draw(page, "NOPE")

    problem = page.locator("#fetch-error")
    expect(problem).to_contain_text("SYMBOL_UNKNOWN")
    expect(problem).to_contain_text("NOPE is not known")
    row = page.locator("#errors li", has_text="NOPE is not known").first
    expect(row).to_contain_text("IngestionService/Fetch")
    expect(row).to_contain_text("NOT_FOUND")
    expect(row.locator("code").nth(0)).to_have_text(re.compile(r"[0-9a-f]{32}"))
    expect(row.locator("code").nth(1)).to_have_text(re.compile(r"[0-9a-f]{32}"))
    expect(row.get_by_role("button", name="Copy the trace's id")).to_be_visible()


def test_what_vendors_and_callers_write_is_never_markup(
    page: Page, server: Server
) -> None:
    draw(page, CROSS[:32])
    expect(page.locator("#fetch-error")).to_contain_text("INVALID_QUERY")
    subscribe(page, f"AAPL,{CROSS[:20]}")
    rejected = page.locator("#tape tr[data-event=KIND_REJECTED], #tape-error")
    expect(rejected.filter(has_text="<img").first).to_be_visible()
    with pytest.raises(urllib.error.HTTPError):
        server.call("ProviderService/GetProvider", {"name": CROSS})
    server.call(
        "JobService/CreateJob",
        {
            "name": CROSS,
            "spec": {
                "symbols": ["AAPL"],
                "interval": "INTERVAL_1_DAY",
                "start": "2024-01-02T00:00:00Z",
                "end": "2024-01-05T00:00:00Z",
            },
        },
    )

    expect(page.locator("#jobs")).to_contain_text(CROSS)
    expect(page.locator("#errors")).to_contain_text("<img")
    expect(page.locator("main img")).to_have_count(0)
    assert "crossed" not in page.title()


def test_the_tape_runs_and_a_lost_connection_is_an_event_in_it(
    page: Page, server: Server
) -> None:
    subscribe(page, "AAPL, MSFT, BTC/USD")

    trades = page.locator("#tape tr:not(.event)")
    expect(page.locator("#tape tr.event").first).to_contain_text("SUBSCRIBED")
    expect(trades.first).to_contain_text("finnhub")
    expect(page.locator("#tape-note")).to_have_text(re.compile(r"[\d.]+ a second"))
    before = trades.count()
    page.wait_for_function(
        "before => document.querySelectorAll('#tape tr:not(.event)').length > before",
        arg=before,
    )

    server.fault("finnhub", "disconnect")

    gap = page.locator("#tape tr[data-event=KIND_GAP]").first
    expect(gap).to_contain_text("cut the connection")
    expect(page.locator("#tape-said")).not_to_be_empty()

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#tape-note")).to_contain_text("paused")
    still = page.locator("#tape").inner_text()
    page.wait_for_function(
        "() => / [1-9]\\d* waiting/.test("
        "document.getElementById('tape-note').textContent)"
    )
    assert page.locator("#tape").inner_text() == still
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function(
        "still => document.getElementById('tape').innerText !== still", arg=still
    )
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#tape-note")).to_have_text("not subscribed")


def test_a_job_moves_on_while_one_looks_and_says_what_it_lacks(
    page: Page, server: Server
) -> None:
    server.call(
        "JobService/CreateJob",
        {
            "name": "with one unknown",
            "spec": {
                "symbols": ["AAPL", "NOPE", "IBM"],
                "interval": "INTERVAL_1_DAY",
                "start": "2024-01-02T00:00:00Z",
                "end": "2024-03-01T00:00:00Z",
            },
        },
    )

    job = page.locator("#jobs li", has_text="with one unknown")
    expect(job.locator(".badge")).to_have_text("incomplete")
    expect(job).to_contain_text(re.compile(r"([3-9]) of \1 units"))
    bar = job.get_by_role("progressbar")
    most = bar.get_attribute("aria-valuemax")
    expect(bar).to_have_attribute("aria-valuenow", most or "")
    job.get_by_text("1 failed, 0 not whole").click()
    expect(job.locator(".lacking li")).to_contain_text("NOPE")


def test_only_an_operator_sees_switches_and_a_wrong_token_is_told(
    opened: Open, server: Server
) -> None:
    page = opened()
    switch = page.get_by_role("button", name="Switch off finnhub")
    expect(page.get_by_role("article", name="finnhub")).to_be_visible()
    expect(switch).to_be_hidden()

    page.get_by_role("button", name="Read-only").click()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(switch).to_be_visible()
    switch.click()
    card = page.get_by_role("article", name="finnhub")
    expect(card).to_contain_text("an operator switched it off")
    page.get_by_role("button", name="Switch on finnhub").click()
    expect(card).to_contain_text("in the order")

    page.reload()
    expect(card).to_be_visible()
    expect(switch).to_be_hidden()
    assert page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    del server


def test_the_theme_can_be_chosen_and_stays(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)

    theme = page.get_by_role("button", name="Theme")
    theme.click()
    theme.click()

    expect(theme).to_have_text("Theme: dark")
    dark = page.evaluate(ground)
    page.reload()
    assert page.evaluate(ground) == dark != light


@EVERY_SCREEN
@EVERY_LIGHT
def test_nothing_is_cut_off_and_all_of_it_can_be_read(
    opened: Open, width: int, scheme: str
) -> None:
    page = opened(width=width, scheme=scheme)
    expect(page.locator(".card").first).to_be_visible()
    draw(page, "AAPL", limit="40")
    expect(page.locator("#completeness")).to_be_visible()
    subscribe(page, "AAPL, BTC/USD")
    expect(page.locator("#tape tr:not(.event)").first).to_be_visible()

    sizes = "[document.documentElement.scrollWidth, window.innerWidth]"
    scrolled, shown = page.evaluate(sizes)
    assert scrolled <= shown == width
    assert page.evaluate(_FAINT) == []


_FAINT = """() => {
    const parsed = text => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return {r, g, b, a};
    };
    const light = ({r, g, b}) => [r, g, b].map(value => value / 255)
        .map(value => value <= 0.03928
            ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place],
                0);
    const ground = element => {
        for (let each = element; each; each = each.parentElement) {
            const colour = parsed(getComputedStyle(each).backgroundColor);
            if (colour.a === 1) return colour;
        }
        return {r: 255, g: 255, b: 255};
    };
    const faint = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some(
            node => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.disabled) continue;
        const [one, other] = [parsed(getComputedStyle(element).color), ground(element)]
            .map(light).sort((a, b) => b - a);
        const contrast = (one + 0.05) / (other + 0.05);
        if (contrast < 4.5) {
            faint.push(`${element.tagName} ${element.className} `
                + `${element.textContent.slice(0, 30)} ${contrast.toFixed(2)}`);
        }
    }
    return faint;
}"""


def test_every_control_has_a_name_and_every_panel_a_heading(page: Page) -> None:
    expect(page.locator(".card").first).to_be_visible()

    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, dialog, table,"
            + "section, [role=meter], [role=progressbar], [role=img], [role=region]")]
            .filter(each => !(each.ariaLabel || each.textContent.trim()
                || each.labels?.length || each.getAttribute("aria-labelledby")
                || each.id === "canvas"))
            .map(each => each.outerHTML.slice(0, 100))"""
    )
    assert nameless == []
    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert headings == ["Vendors", "Fetch", "Tape", "Jobs", "Errors"]
    assert page.locator("html").get_attribute("lang") == "en"


def test_what_changes_every_second_is_not_read_aloud(page: Page) -> None:
    aloud = "place => !!place.closest('[role=status], [role=alert], [aria-live]')"

    for place in ("tape-note", "lost-age", "vendors-note", "jobs-note", "errors-note"):
        assert not page.locator(f"#{place}").evaluate(aloud), place
    for place in ("state", "lost-since", "tape-said", "tape-error", "fetch-error"):
        assert page.locator(f"#{place}").evaluate(aloud), place


def test_everything_can_be_reached_and_used_with_the_keyboard_alone(
    page: Page,
) -> None:
    expect(page.locator("#route")).to_contain_text("Would ask")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    symbol = page.locator("#fetch [name=symbol]")
    expect(symbol).to_be_focused()
    outline = symbol.evaluate("field => getComputedStyle(field).outlineStyle")
    assert outline != "none"

    page.keyboard.type("TSLA")
    page.keyboard.press("Enter")

    expect(page.locator("#summary")).to_contain_text("TSLA")


def test_a_server_that_is_gone_is_said_in_words_with_the_age_of_what_one_sees(
    page: Page,
) -> None:
    expect(page.locator("#state")).to_have_text("ready")

    page.route("**/*", lambda route: route.fulfill(status=200, body="no JSON"))

    expect(page.locator("#lost")).to_contain_text("The server does not answer since")
    expect(page.locator("#lost")).to_contain_text("old. Trying again")
    expect(page.locator("#state")).to_have_text("not connected")

    page.unroute("**/*")
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("ready")


def test_what_happens_and_what_fails_after_a_restart_is_told_as_well(
    opened: Open, server: Server, tmp_path: Path
) -> None:
    del server  # its page is another one
    environment = isolated(tmp_path) | {"INGESTION_HTTP__OPERATOR_TOKEN": TOKEN}
    off = {"name": "yahoo", "enabled": False}
    on = off | {"enabled": True}
    with Program(["serve", *ANY_PORTS, "--sandbox"], environment) as program:
        _, http = program.addresses()
        page = opened(url=f"http://{http}/")
        for change in (off, on, off, on):
            posted_to(http, change)
        fail(http, "OLD")
        expect(page.locator("#news li")).to_have_count(4)
        expect(page.locator("#errors .said")).to_contain_text("OLD")
        program.stopped()
        expect(page.locator("#state")).to_have_text("not connected")

    ports = ("--grpc", "127.0.0.1:0", "--http", http)
    with Program(["serve", *ports, "--sandbox"], environment) as program:
        program.addresses()
        fail(http, "NEW")
        fail(http, "NEWER")
        expect(page.locator("#state")).to_have_text("ready")
        posted_to(http, off)

        expect(page.locator("#news li")).to_have_count(5)
        expect(page.locator("#errors-note")).to_have_text("2 since the start")
        expect(page.locator("#errors .said")).to_have_count(2)
        expect(page.locator("#errors")).not_to_contain_text("OLD")


def fail(http: str, name: str) -> None:
    """Make a call that fails."""
    with pytest.raises(urllib.error.HTTPError):
        posted(f"http://{http}/{PACKAGE}.ProviderService/GetProvider", {"name": name})


def posted_to(http: str, change: dict[str, object]) -> None:
    """Change a vendor, as an operator."""
    posted(
        f"http://{http}/{PACKAGE}.ProviderService/UpdateProvider",
        change,
        Authorization=f"Bearer {TOKEN}",
    )
