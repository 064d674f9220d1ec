// Candles and volume, each in the colour of the vendor that served it; holes hatched.

import { colour, offset, price, compact, local } from "./format.js";

// The library's own time is UTC; a chart by the exchange's clock is shifted to it.
const MOST_HOLES_SHOWN = 40;

let library;

/** The library, once it is needed. */
function loaded() {
  library ??= import("./lightweight-charts-5.2.1.mjs");
  return library;
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Stripes over stretches of the time axis, drawn beneath the candles. */
class Holes {
  constructor(stretches) {
    this.stretches = stretches;
  }

  attached({ chart }) {
    this.chart = chart;
  }

  updateAllViews() {}

  paneViews() {
    return [{ zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.draw(target) }) }];
  }

  draw(target) {
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio }) => {
      const scale = this.chart.timeScale();
      const half = scale.options().barSpacing / 2;
      for (const { first, last } of this.stretches) {
        const from = scale.timeToCoordinate(first);
        const to = scale.timeToCoordinate(last);
        if (from === null || to === null) continue;
        const left = Math.max(0, (from - half) * ratio);
        const right = Math.min(bitmapSize.width, (to + half) * ratio);
        if (right <= left) continue;
        context.save();
        context.beginPath();
        context.rect(left, 0, right - left, bitmapSize.height);
        context.clip();
        context.fillStyle = style("--hole");
        context.fillRect(left, 0, right - left, bitmapSize.height);
        context.strokeStyle = style("--hole-line");
        context.lineWidth = ratio;
        const step = 7 * ratio;
        context.beginPath();
        for (let x = left - (left % step) - bitmapSize.height; x < right; x += step) {
          context.moveTo(x, bitmapSize.height);
          context.lineTo(x + bitmapSize.height, 0);
        }
        context.stroke();
        context.restore();
      }
    });
  }
}

/** The zone whose clock shows an answer's times: days are labelled in UTC. */
export function zoneOf(answer, length) {
  return length < 86400000 ? answer.series?.timeZone || "UTC" : "UTC";
}

/** Read the columns of a series into bars, with who served each. */
export function barsOf(answer) {
  const columns = answer.series?.columns ?? {};
  const sources = (answer.sources ?? []).map((each) => ({ provider: each.provider, start: Date.parse(each.start), end: Date.parse(each.end) }));
  let place = 0;
  return (columns.openTimeNs ?? []).map((ns, row) => {
    const at = Number(BigInt(ns) / 1000000n);
    while (place < sources.length - 1 && at >= sources[place].end) place += 1;
    const one = (name) => (columns[name]?.length ? Number(columns[name][row]) : NaN);
    return {
      at,
      open: one("open"), high: one("high"), low: one("low"), close: one("close"), volume: one("volume"),
      forming: columns.state?.[row] === "BAR_STATE_PARTIAL",
      revised: columns.state?.[row] === "BAR_STATE_REVISED",
      provider: sources[place]?.provider ?? "",
    };
  });
}

/** The times at which the bars of a hole would open, as far as the others tell. */
function opens(hole, length, zone, hours) {
  const found = [];
  const start = Date.parse(hole.start);
  const end = Date.parse(hole.end);
  const step = Math.max(length, (end - start) / 20000);
  for (let at = start; at < end; at += step) {
    const clock = new Date(at + offset(at, zone));
    const weekend = clock.getUTCDay() % 6 === 0;
    if (weekend && !hours.weekends && at !== start) continue;
    if (length < 86400000 && hours.times.size && !hours.times.has(clock.getUTCHours()) && at !== start) continue;
    found.push(at);
  }
  if (found.length <= MOST_HOLES_SHOWN) return found;
  const every = found.length / MOST_HOLES_SHOWN;
  return Array.from({ length: MOST_HOLES_SHOWN }, (_, place) => found[Math.floor(place * every)]);
}

/** Draw an answer into an element, and return what takes it away again. */
export async function drawChart(element, readout, answer, bars, length) {
  const { createChart, CandlestickSeries, HistogramSeries, ColorType, CrosshairMode } = await loaded();
  const intraday = length < 86400000;
  const zone = zoneOf(answer, length);
  const shifted = (at) => Math.floor((at + offset(at, zone)) / 1000);
  element.replaceChildren();
  const chart = createChart(element, {
    autoSize: true,
    layout: { background: { type: ColorType.Solid, color: "transparent" }, textColor: style("--muted"), fontFamily: style("--font"), fontSize: 11, attributionLogo: false, panes: { separatorColor: style("--line"), enableResize: false } },
    grid: { vertLines: { color: style("--grid") }, horzLines: { color: style("--grid") } },
    rightPriceScale: { borderColor: style("--line") },
    timeScale: { borderColor: style("--line"), timeVisible: intraday, secondsVisible: false, rightOffset: 2 },
    crosshair: { mode: CrosshairMode.Normal, vertLine: { labelBackgroundColor: style("--tag") }, horzLine: { labelBackgroundColor: style("--tag") } },
    handleScroll: { vertTouchDrag: false },
    handleScale: { mouseWheel: true },
    localization: { locale: "en-GB" },
  });
  const hours = {
    weekends: bars.some((bar) => new Date(bar.at + offset(bar.at, zone)).getUTCDay() % 6 === 0),
    times: new Set(bars.map((bar) => new Date(bar.at + offset(bar.at, zone)).getUTCHours())),
  };
  const rows = new Map();
  for (const bar of bars) {
    let time = shifted(bar.at);
    while (rows.has(time)) time += 1;
    rows.set(time, bar);
  }
  const stretches = [];
  for (const hole of answer.missing ?? []) {
    const times = opens(hole, length, zone, hours).map(shifted);
    if (!times.length) continue;
    for (const time of times) if (!rows.has(time)) rows.set(time, null);
    stretches.push({ first: times[0], last: times[times.length - 1] });
  }
  const ordered = [...rows].sort(([one], [other]) => one - other);
  const known = new Map(ordered);
  const empty = style("--panel");
  const candles = chart.addSeries(CandlestickSeries, { priceFormat: { type: "custom", formatter: price, minMove: 0.0001 }, priceLineVisible: false });
  const shades = new Map();
  const shade = (vendor) => {
    if (!shades.has(vendor)) shades.set(vendor, style(colour(vendor)));
    return shades.get(vendor);
  };
  candles.setData(ordered.map(([time, bar]) => {
    if (!bar || Number.isNaN(bar.close) || Number.isNaN(bar.open)) return { time };
    const ink = shade(bar.provider) + (bar.forming ? "88" : "");
    return { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close, color: bar.close >= bar.open ? empty : ink, borderColor: ink, wickColor: ink };
  }));
  const volume = chart.addSeries(HistogramSeries, { priceFormat: { type: "custom", formatter: compact, minMove: 1 }, priceLineVisible: false, lastValueVisible: false }, 1);
  volume.setData(ordered.map(([time, bar]) => (!bar || Number.isNaN(bar.volume) ? { time } : { time, value: bar.volume, color: `${shade(bar.provider)}${bar.forming ? "44" : "99"}` })));
  candles.attachPrimitive(new Holes(stretches));
  volume.attachPrimitive(new Holes(stretches));
  chart.panes()[0].setStretchFactor(4);
  chart.panes()[1].setStretchFactor(1);
  const tell = (time) => {
    const bar = known.get(time);
    if (bar === undefined) readout.textContent = "";
    else if (bar === null) readout.textContent = "missing";
    else readout.textContent = `${local(bar.at, zone, intraday)}  O ${price(bar.open)}  H ${price(bar.high)}  L ${price(bar.low)}  C ${price(bar.close)}  V ${Number.isNaN(bar.volume) ? "–" : compact(bar.volume)}  ${bar.provider}${bar.forming ? ", forming" : ""}`;
  };
  const lastTime = [...ordered].reverse().find(([, bar]) => bar)?.[0];
  tell(lastTime);
  chart.subscribeCrosshairMove((at) => tell(at.time ?? lastTime));
  if (ordered.length <= 400) chart.timeScale().setVisibleLogicalRange({ from: -2, to: ordered.length + 1 });
  const keys = (event) => {
    const step = { ArrowLeft: -5, ArrowRight: 5 }[event.key];
    if (step) chart.timeScale().scrollToPosition(chart.timeScale().scrollPosition() + step, false);
    else if (event.key === "Home") chart.timeScale().fitContent();
    else return;
    event.preventDefault();
  };
  element.addEventListener("keydown", keys);
  return { holes: stretches.length, remove: () => { element.removeEventListener("keydown", keys); chart.remove(); } };
}
