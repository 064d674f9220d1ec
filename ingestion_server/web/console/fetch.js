// The form that fetches: who would be asked, what came, and the truth about it.

import { CallError, unary } from "./connect.js";
import { barsOf, drawChart, zoneOf } from "./chart.js";
import { byId, h, keyed, problem, say } from "./dom.js";
import { colour, local, moment, ms, price, seconds, span, usd, whole, word } from "./format.js";

const LENGTHS = { INTERVAL_1_MINUTE: 60, INTERVAL_5_MINUTES: 300, INTERVAL_15_MINUTES: 900, INTERVAL_30_MINUTES: 1800, INTERVAL_1_HOUR: 3600, INTERVAL_1_DAY: 86400, INTERVAL_1_WEEK: 604800, INTERVAL_1_MONTH: 2592000 };
const BADGES = { COMPLETENESS_COMPLETE: ["COMPLETE", "ok"], COMPLETENESS_PARTIAL: ["PARTIAL", "warn"], COMPLETENESS_DEGRADED: ["DEGRADED", "warn"] };
const ADJUSTED = { ADJUSTMENT_RAW: "as traded", ADJUSTMENT_SPLIT: "for splits", ADJUSTMENT_SPLIT_DIVIDEND: "for splits and dividends" };
const PATIENCE = 30;
const MOST_ROWS = 200;
const SYMBOL = /^\^?[A-Za-z0-9](?:[A-Za-z0-9.\-/]{0,29}[A-Za-z0-9])?$/;
const MOST_STRETCHES = 8;

let drawn = null;
let shown = null;
let asking = null;
let offered = "";

export function startFetch() {
  const form = byId("fetch");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    draw();
  });
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(route, 250);
  });
}

/** Offer each vendor in the form. */
export function offerVendors(names) {
  if (names.join() === offered) return;
  offered = names.join();
  route();
  const select = byId("fetch").elements.vendor;
  keyed(select, ["", ...names], (name) => name, (name) => h("option", { value: name }, name), (option, name) => say(option, name || "any"));
}

/** Draw what is there again, as in another theme. */
export function redrawChart() {
  if (shown) show(shown);
}

function request() {
  const { elements } = byId("fetch");
  const asked = {
    symbol: elements.symbol.value.trim(),
    interval: elements.interval.value,
    adjustment: elements.adjustment.value,
    limit: Number(elements.limit.value) || 120,
    layout: "LAYOUT_COLUMNS",
  };
  if (elements.start.value) asked.start = `${elements.start.value}T00:00:00Z`;
  // Our ends are exclusive; whoever names a day means all of it.
  if (elements.end.value) asked.end = new Date(Date.parse(elements.end.value) + 86400000).toISOString();
  if (elements.vendor.value) asked.sourcePolicy = { mode: "MODE_PINNED", providers: [elements.vendor.value] };
  return asked;
}

async function route() {
  const place = byId("route");
  const asked = request();
  asking?.abort();
  // What cannot be a symbol is not asked while it is typed: it would be an error.
  if (!SYMBOL.test(asked.symbol)) {
    place.replaceChildren("Name a symbol, such as AAPL, EUR/USD or ^GSPC.");
    return;
  }
  asking = new AbortController();
  try {
    const told = await unary("ProviderService/ExplainRoute", { request: asked }, { signal: asking.signal });
    const candidates = told.candidates ?? [];
    const inside = candidates.filter((each) => !each.excludedReason);
    const outside = candidates.filter((each) => each.excludedReason);
    place.replaceChildren(
      h("b", {}, inside.length ? "Would ask " : "Nobody could be asked. "),
      ...inside.flatMap((each, number) => [number ? ", else " : "", chip(each.provider, [each.why, each.derivation, each.priceUsd ? `${usd(each.priceUsd)} a call` : ""])]),
      ...(outside.length ? [h("span", { class: "muted" }, `${inside.length ? " · not " : "Not "}`), ...outside.flatMap((each, number) => [number ? ", " : "", h("span", { class: "muted" }, `${each.provider} (${each.excludedReason}${each.excludedUntil ? `, until ${moment(ms(each.excludedUntil))}` : ""})`)])] : []));
  } catch (error) {
    if (error.name === "AbortError") return;
    place.replaceChildren(h("span", { class: "muted" }, `Who would be asked is not known: ${reason(error)}`));
  }
}

function chip(vendor, details = []) {
  const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = `var(${colour(vendor)})`;
  const told = details.filter(Boolean).join("; ");
  return h("span", { class: "vendor", title: told || null }, swatch, vendor);
}

function reason(error) {
  if (!(error instanceof CallError)) return "the server does not answer";
  const wrong = error.violations.map((each) => `${each.field}: ${each.description}`).join("; ");
  return [error.reason, wrong || error.message].filter(Boolean).join(" – ");
}

async function draw() {
  const button = byId("fetch").querySelector("button");
  button.disabled = true;
  say(button, "Fetching…");
  problem(byId("fetch-error"), "");
  const began = performance.now();
  try {
    const asked = request();
    const answer = await unary("IngestionService/Fetch", asked, { seconds: PATIENCE });
    await show({ answer, asked, took: (performance.now() - began) / 1000, at: Date.now() });
  } catch (error) {
    const again = error.retryDelay ? ` Come back in ${span(seconds(error.retryDelay))}.` : "";
    problem(byId("fetch-error"), `${reason(error)}.${again}`);
    byId("answer").classList.add("old");
  } finally {
    button.disabled = false;
    say(button, "Draw");
    route();
  }
}

async function show(what) {
  shown = what;
  const { answer, asked, took, at } = what;
  const length = LENGTHS[asked.interval] * 1000;
  const withTime = length < 86400000;
  const zone = zoneOf(answer, length);
  const bars = barsOf(answer);
  byId("fetch-empty").hidden = true;
  byId("answer").hidden = false;
  byId("answer").classList.remove("old");
  drawn?.remove();
  drawn = null;
  byId("canvas").hidden = bars.length === 0;
  if (bars.length) drawn = await drawChart(byId("canvas"), byId("readout"), answer, bars, length);
  const [words, tone] = BADGES[answer.completeness] ?? ["NOT SAID", ""];
  const badge = byId("completeness");
  badge.className = `badge ${tone}`;
  say(badge, words);
  const forming = bars.at(-1)?.forming ? ", the last still forming" : "";
  const range = bars.length ? `, ${local(bars[0].at, zone, withTime)} to ${local(bars.at(-1).at, zone, withTime)}` : "";
  const unit = answer.series?.currency ? ` in ${answer.series.currency}` : "";
  const summary = `${answer.series?.symbol ?? asked.symbol}: ${whole(bars.length)} ${bars.length === 1 ? "bar" : "bars"}${range}${unit}${forming}${withTime ? `, times of ${zone}` : ""}. Answered in ${span(took)}.`;
  say(byId("summary"), summary);
  const vendors = [...new Set(bars.map((bar) => bar.provider))];
  byId("legend").replaceChildren(
    h("span", {}, "Served by "), ...vendors.map((name) => chip(name)),
    h("span", { class: "muted" }, "hollow rose, filled fell"),
    ...((answer.missing ?? []).length ? [h("span", { class: "hatched" }, h("span", { class: "hatch", "aria-hidden": "true" }), "missing")] : []));
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  const label = bars.length ? `Candles of ${summary} Between ${price(low)} and ${price(high)}, last ${price(bars.at(-1).close)}. ${(answer.missing ?? []).length} stretches are missing.` : "No bars.";
  byId("canvas").setAttribute("aria-label", label);
  say(byId("figure-caption"), label);
  truth(answer, bars, zone, withTime, at);
}

/** A stretch in words; of days, the last one is named, not the one after. */
function between({ start, end }, zone, withTime) {
  const from = local(ms(start), zone, withTime);
  const to = local(ms(end) - (withTime ? 0 : 1), zone, withTime);
  return from === to ? from : `${from} – ${to}`;
}

function when(text) {
  return h("span", { class: "when" }, text);
}

/** Several stretches, the first of them if they are many. */
function several(stretches) {
  const more = stretches.length - MOST_STRETCHES;
  const first = stretches.slice(0, MOST_STRETCHES).flatMap((each, number) => [number ? ", " : "", when(each)]);
  return h("span", {}, ...first, more > 0 ? ` and ${more} more` : "");
}

/** One row for each reason: what is missing for the same is told together. */
function missing(holes, zone, withTime) {
  const reasons = new Map();
  for (const hole of holes) reasons.set(hole.reason, [...(reasons.get(hole.reason) ?? []), between(hole, zone, withTime)]);
  return [...reasons].map(([why, stretches]) => row(several(stretches), why));
}

function table(caption, heads, rows) {
  for (const line of rows) heads.forEach((head, place) => { line.children[place].dataset.label = head; });
  return h("div", { class: "scroll-x" }, h("table", { class: "grid" }, h("caption", {}, caption), h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows)));
}

function row(...cells) {
  return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
}

function truth(answer, bars, zone, withTime, at) {
  const costs = new Map();
  for (const each of answer.attempts ?? []) costs.set(each.provider, (costs.get(each.provider) ?? 0) + (each.costUsd ?? 0));
  const adjustment = ADJUSTED[answer.series?.adjustment] ?? "";
  const signed = new Map();
  for (const each of answer.sources ?? []) {
    const name = [each.provider, each.derivation, each.fromCache].join();
    const one = signed.get(name) ?? { ...each, stretches: [], count: 0, age: 0 };
    one.stretches.push(between(each, zone, withTime));
    one.count += bars.filter((bar) => bar.at >= ms(each.start) && bar.at < ms(each.end)).length;
    one.age = Math.max(one.age, each.fromCache ? seconds(each.cacheAge) || 0 : (at - ms(each.receivedAt)) / 1000 || 0);
    signed.set(name, one);
  }
  const sources = [...signed.values()].map((each) => row(
    chip(each.provider), several(each.stretches), whole(each.count), `${adjustment}${each.derivation ? ` (${each.derivation})` : ""}`,
    `${span(each.age)}, ${each.fromCache ? "from the cache" : "fresh"}`, usd(costs.get(each.provider))));
  const parts = [];
  if ((answer.missing ?? []).length) {
    parts.push(table("Missing", ["From – to", "Why"], missing(answer.missing, zone, withTime)));
  }
  if (sources.length) parts.push(table("Sources", ["Vendor", "From – to", "Bars", "Adjusted", "Age", "Cost"], sources));
  if ((answer.attempts ?? []).length) {
    parts.push(table("Attempts", ["Vendor", "Outcome", "Why", "Calls", "Took", "Cost"], answer.attempts.map((each) => row(
      chip(each.provider), `${word(each.outcome, "ATTEMPT_OUTCOME_")}${each.hedge ? ", a hedge" : ""}${each.shared ? ", a shared call" : ""}`, each.reason || "–", whole(each.calls), each.latency ? span(seconds(each.latency)) : "–", usd(each.costUsd)))));
  }
  if ((answer.qualityFlags ?? []).length) {
    parts.push(h("details", {}, h("summary", {}, `${answer.qualityFlags.length} ${answer.qualityFlags.length === 1 ? "remark" : "remarks"} on the data`), h("ul", {}, ...answer.qualityFlags.map((each) => h("li", {}, `${word(each.kind, "QUALITY_FLAG_KIND_")}${each.time ? `, ${local(ms(each.time), zone, withTime)}` : ""}: ${each.detail}`)))));
  }
  if (bars.length) {
    const details = h("details", {}, h("summary", {}, bars.length > MOST_ROWS ? `The last ${MOST_ROWS} bars as a table` : "The bars as a table"));
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      details.append(table("Bars", ["Opens", "Open", "High", "Low", "Close", "Volume", "Vendor"], bars.slice(-MOST_ROWS).reverse().map((bar) => row(local(bar.at, zone, withTime), price(bar.open), price(bar.high), price(bar.low), price(bar.close), Number.isNaN(bar.volume) ? "–" : whole(bar.volume), `${bar.provider}${bar.forming ? ", forming" : ""}`))));
    });
    parts.push(details);
  }
  if (answer.requestId) parts.push(h("p", { class: "muted note" }, "Request ", h("code", {}, answer.requestId)));
  byId("truth").replaceChildren(...parts);
}
