// Live data as they come, the latest first, with what happened to them in its place.

import { CallError, inShort } from "./connect.js";
import { byId, h, problem, say } from "./dom.js";
import { clock, colour, compact, ms, price, span, word } from "./format.js";
import { keep } from "./live.js";

const MOST_ROWS = 200;
const MOST_WAITING = 400;
const DRAW_EVERY = 120;
const RATE_SECONDS = 5;
const TONES = { KIND_GAP: "bad", KIND_REJECTED: "bad", KIND_STALE: "warn", KIND_CONFLATED: "warn", KIND_SOURCE_CHANGED: "warn", KIND_BACKFILLED: "ok", KIND_SUBSCRIBED: "calm" };
const ALOUD = new Set(["KIND_GAP", "KIND_REJECTED", "KIND_STALE", "KIND_SOURCE_CHANGED", "KIND_BACKFILLED"]);

let ending = null;
let paused = false;
let waiting = [];
let token = "";
let lastHeard = 0;
let broken = "";
const rates = [];

export function startTape() {
  byId("tape-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (ending) stop();
    else begin();
  });
  byId("tape-pause").addEventListener("click", () => {
    paused = !paused;
    const button = byId("tape-pause");
    button.setAttribute("aria-pressed", String(paused));
    say(button, paused ? "Go on" : "Pause");
    note();
  });
  setInterval(flush, DRAW_EVERY);
  setInterval(note, 1000);
}

function begin() {
  const { elements } = byId("tape-form");
  const symbols = elements.symbols.value.split(/[\s,;]+/).filter(Boolean);
  const kinds = ["trades", "quotes", "bars"].filter((name) => elements[name].checked).map((name) => `TICK_KIND_${name.toUpperCase()}`);
  problem(byId("tape-error"), "");
  if (!symbols.length || !kinds.length) {
    problem(byId("tape-error"), "Name at least one symbol and one kind of data.");
    return;
  }
  ending = new AbortController();
  token = "";
  waiting = [];
  broken = "";
  byId("tape").replaceChildren();
  say(byId("tape-start"), "Stop");
  byId("tape-pause").disabled = false;
  byId("tape-empty").hidden = true;
  byId("tape-scroll").hidden = false;
  lastHeard = Date.now();
  const request = () => ({ symbols, kinds, slowConsumer: "SLOW_CONSUMER_CONFLATE", maxBatchDelay: "0.05s", heartbeatInterval: "2s", ...(token ? { resumeToken: token } : {}) });
  keep("IngestionService/StreamQuotes", request, got, failed, ending.signal);
  note();
}

function stop() {
  ending?.abort();
  ending = null;
  say(byId("tape-start"), "Subscribe");
  byId("tape-pause").disabled = true;
  note();
}

function failed(error) {
  const final = error instanceof CallError && ["invalid_argument", "not_found", "failed_precondition", "unimplemented", "permission_denied"].includes(error.code);
  broken = inShort(error);
  if (final) {
    const wrong = error.violations.map((each) => `${each.field}: ${each.description}`).join("; ");
    problem(byId("tape-error"), [error.reason, wrong || error.message].filter(Boolean).join(" – "));
    stop();
    return false;
  }
  // A token may be too old to go on with; then the tape begins anew, and says so.
  if (error instanceof CallError) token = "";
  say(byId("tape-said"), `${broken}; trying again`);
  note();
  return true;
}

function got(told) {
  lastHeard = Date.now();
  broken = "";
  token = told.resumeToken ?? token;
  let count = 0;
  for (const event of told.events ?? []) {
    if (event.kind === "KIND_HEARTBEAT") continue;
    waiting.push({ event });
    if (ALOUD.has(event.kind)) say(byId("tape-said"), `${word(event.kind, "KIND_")} ${event.symbol ?? ""} ${explained(event)}`);
  }
  for (const bar of told.bars ?? []) waiting.push({ bar });
  for (const quote of told.quotes ?? []) waiting.push({ quote });
  for (const trade of told.trades ?? []) waiting.push({ trade });
  count = (told.trades?.length ?? 0) + (told.quotes?.length ?? 0) + (told.bars?.length ?? 0);
  rates.push([lastHeard, count]);
  if (waiting.length > MOST_WAITING) waiting.splice(0, waiting.length - MOST_WAITING);
}

function flush() {
  if (paused || !waiting.length || document.hidden) return;
  const body = byId("tape");
  const rows = waiting.map(row).reverse();
  waiting = [];
  body.prepend(...rows);
  while (body.childElementCount > MOST_ROWS) body.lastElementChild.remove();
}

function note() {
  const since = Date.now() - RATE_SECONDS * 1000;
  while (rates.length && rates[0][0] < since) rates.shift();
  const rate = rates.reduce((sum, [, count]) => sum + count, 0) / RATE_SECONDS;
  const old = (Date.now() - lastHeard) / 1000;
  let text = "not subscribed";
  if (ending) {
    if (broken) text = `${broken}; trying again, last heard ${span(old)} ago`;
    else if (old > 6) text = `silent for ${span(old)}`;
    else text = `${rate.toFixed(1)} a second`;
    if (paused) text = `paused, ${waiting.length} waiting · ${text}`;
  }
  say(byId("tape-note"), text);
}

function row(item) {
  if (item.event) return eventRow(item.event);
  const { trade, quote, bar } = item;
  const tick = trade ?? quote ?? bar;
  const marks = [];
  if (tick.outOfOrder) marks.push("late");
  if (tick.backfilled) marks.push("filled in");
  if (tick.timeDoubtful) marks.push("time doubtful");
  if (tick.sampled) marks.push("sample");
  if (bar) marks.push(`bar ${word(bar.state, "BAR_STATE_")}`);
  if (quote) marks.push("quote");
  const shown = trade ? price(trade.price) : quote ? `${price(quote.bid)} / ${price(quote.ask)}` : price(bar.close);
  const size = trade ? trade.size : quote ? quote.bidSize : bar.volume;
  const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
  if (tick.provider) swatch.style.background = `var(${colour(tick.provider)})`;
  return h("tr", { class: quote ? "quote" : bar ? "live-bar" : null },
    h("td", {}, clock(ms(tick.time ?? tick.openTime))), h("td", {}, tick.symbol),
    h("td", { class: "num" }, shown), h("td", { class: "num" }, size === undefined ? "–" : compact(size)),
    h("td", {}, swatch, tick.provider ?? "", marks.length ? h("span", { class: "mark" }, marks.join(", ")) : ""));
}

function explained(event) {
  const parts = [];
  if (event.from && event.to) parts.push(`${clock(ms(event.from))} – ${clock(ms(event.to))}`);
  if (event.count) parts.push(`${compact(event.count)} ${event.kind === "KIND_CONFLATED" ? "left out" : "told later"}`);
  if (event.kind === "KIND_BACKFILLED") parts.push(event.verified ? "verified" : "not verified");
  if (event.previousProvider) parts.push(`${event.previousProvider} → ${event.provider}`);
  else if (event.provider && !event.cause?.startsWith(event.provider)) parts.push(event.provider);
  parts.push(event.cause, event.reason, event.detail);
  return parts.filter(Boolean).join(" · ");
}

function eventRow(event) {
  return h("tr", { class: `event ${TONES[event.kind] ?? ""}`, "data-event": event.kind },
    h("td", {}, clock(ms(event.time))), h("td", {}, event.symbol ?? ""),
    h("td", { colspan: "3" }, h("b", {}, word(event.kind, "KIND_").toUpperCase()), " ", explained(event)));
}
