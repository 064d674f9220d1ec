// The panel of vendors: how each does, what is left of its quota, and what happened.

import { hasToken, inShort, unary } from "./connect.js";
import { byId, h, keyed, say, set } from "./dom.js";
import { clock, colour, moment, ms, paint, seconds, span, usd, whole, word } from "./format.js";
import { keep, poll } from "./live.js";
import { History, sparkline } from "./sparkline.js";

const MOST_NEWS = 8;
const BREAKERS = {
  STATE_CLOSED: ["closed", "ok"],
  STATE_OPEN: ["open", "bad"],
  STATE_HALF_OPEN: ["trying", "warn"],
};

const providers = new Map();
const windows = new Map();
const accounts = new Map();
const forecasts = new Map();
const histories = new Map();
const news = [];
let order = [];
const lastEvent = { number: 0, at: 0 };
const lastAlert = { number: 0, at: 0 };
let onRoster = () => {};

/** Begin; `hear` is told the names of all vendors whenever they may have changed. */
export function startVendors(hear) {
  onRoster = hear;
  keep("ProviderService/WatchProviders", () => ({}), gotProviders, broken);
  keep("QuotaService/WatchQuotas", () => ({}), gotQuotas, broken);
  poll(forecast, 10000);
  // Between two answers nothing has changed, and that is worth a point as well.
  setInterval(sample, 2000);
}

/** Draw again, as after a change of who looks. */
export function redrawVendors() {
  draw();
}

function broken(error) {
  say(byId("vendors-note"), `not told any more: ${inShort(error)}; trying again…`);
}

function gotProviders(told) {
  for (const provider of told.providers ?? []) providers.set(provider.name, provider);
  paint(providers.keys());
  order = [...providers.values()].sort((one, other) => (one.priority ?? 0) - (other.priority ?? 0)).map((each) => each.name);
  for (const event of told.events ?? []) {
    if (isOld(event, lastEvent)) continue;
    tell(ms(event.at), `${event.provider}${event.dataKind ? ` ${event.dataKind}` : ""}`, EVENTS[event.kind] ?? word(event.kind, "KIND_"), event.detail, event.kind === "KIND_BREAKER_OPENED" ? "bad" : "");
  }
  say(byId("vendors-note"), `as of ${clock(ms(told.asOf))}`);
  byId("vendors").removeAttribute("aria-busy");
  sample();
  draw();
  onRoster(order);
}

/** A stream that begins anew tells the latest again; a server that does counts from 1. */
function isOld(item, last) {
  const number = Number(item.number);
  const at = ms(item.at);
  if (number <= last.number && at <= last.at) return true;
  last.number = number;
  last.at = at;
  return false;
}

const EVENTS = {
  KIND_BREAKER_OPENED: "breaker opened",
  KIND_BREAKER_HALF_OPEN: "breaker lets one call try",
  KIND_BREAKER_CLOSED: "breaker closed",
  KIND_UPDATED: "changed",
};
const ALERTS = {
  QUOTA_ALERT_KIND_USED_80_PERCENT: "80 % of its quota used",
  QUOTA_ALERT_KIND_USED_95_PERCENT: "95 % of its quota used",
  QUOTA_ALERT_KIND_VIOLATION: "refused a call for its quota",
};

function gotQuotas(told) {
  for (const window of told.windows ?? []) windows.set(`${window.provider} ${window.name}`, window);
  for (const account of told.providers ?? []) accounts.set(account.provider, account);
  for (const alert of told.alerts ?? []) {
    if (isOld(alert, lastAlert)) continue;
    tell(ms(alert.at), `${alert.provider} ${alert.window}`, ALERTS[alert.kind] ?? word(alert.kind, "QUOTA_ALERT_KIND_"), alert.detail, "warn");
  }
  draw();
}

async function forecast() {
  const told = await unary("QuotaService/ForecastQuota", {});
  for (const each of told.windows ?? []) forecasts.set(`${each.window.provider} ${each.window.name}`, each);
  draw();
}

function tell(at, who, what, detail, tone) {
  news.push({ at, who, what, detail: detail ?? "", tone });
  news.sort((one, other) => other.at - one.at);
  news.length = Math.min(news.length, MOST_NEWS);
}

function sample() {
  for (const provider of providers.values()) {
    for (const health of provider.health ?? []) {
      const name = `${provider.name} ${health.kind}`;
      if (!health.latencyP50) continue;
      if (!histories.has(name)) histories.set(name, new History());
      histories.get(name).add(seconds(health.latencyP50), seconds(health.latencyP95));
    }
  }
}

function draw() {
  keyed(byId("vendors"), order.map((name) => providers.get(name)), (each) => each.name, card, updateCard);
  byId("news-title").hidden = news.length === 0;
  keyed(byId("news"), news, (each) => `${each.at} ${each.who} ${each.what}`, newsRow, () => {});
}

function newsRow(item) {
  return h("li", {}, h("time", {}, clock(item.at)), " ", h("strong", { class: item.tone }, `${item.who}: ${item.what}`), item.detail ? ` – ${item.detail}` : "");
}

function card(provider) {
  const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = `var(${colour(provider.name)})`;
  const made = h("article", { class: "card", "aria-label": provider.name },
    h("header", {}, swatch, h("h3", {}, provider.name), h("span", { class: "plan muted" }), h("button", { type: "button", class: "quiet switch", hidden: true })),
    h("p", { class: "standing" }),
    h("div", { class: "kinds" }),
    h("details", { class: "unasked" }, h("summary", {}), h("p", { class: "muted" })),
    h("div", { class: "quotas" }),
    h("p", { class: "spend muted" }));
  made.querySelector(".switch").addEventListener("click", () => switchVendor(made, provider.name));
  return made;
}

function updateCard(made, provider) {
  const off = provider.unusableReason || (provider.enabled ? "" : "switched off");
  const account = accounts.get(provider.name);
  made.classList.toggle("off", Boolean(off));
  say(made.querySelector(".plan"), [provider.price?.plan, provider.price?.monthlyUsd ? `${usd(provider.price.monthlyUsd)} a month` : ""].filter(Boolean).join(" · "));
  const standing = made.querySelector(".standing");
  const closed = account?.closedUntil && ms(account.closedUntil) > Date.now();
  say(standing, off ? `Not asked: ${off}.` : closed ? `Closed until ${moment(ms(account.closedUntil))}: ${account.closedReason}` : place(provider));
  standing.classList.toggle("bad", Boolean(closed));
  const asked = (provider.health ?? []).filter((each) => each.samples || (each.breaker?.state ?? "STATE_CLOSED") !== "STATE_CLOSED");
  keyed(made.querySelector(".kinds"), asked, (each) => each.kind, kindRow, (row, health) => updateKind(row, provider, health));
  const unasked = (provider.health ?? []).filter((each) => !asked.includes(each)).map((each) => each.kind);
  const rest = made.querySelector(".unasked");
  rest.hidden = unasked.length === 0 || Boolean(off);
  say(rest.querySelector("summary"), asked.length ? `${unasked.length} more kinds, not asked yet` : `${unasked.length} kinds of data, none asked yet`);
  say(rest.querySelector("p"), unasked.join(", "));
  const own = off ? [] : [...windows.values()].filter((each) => each.provider === provider.name);
  keyed(made.querySelector(".quotas"), own, (each) => each.name, quotaRow, updateQuota);
  const waiting = (account?.waitingInteractive ?? 0) + (account?.waitingBatch ?? 0);
  const spent = account?.spend?.totalUsd ? `${usd(account.spend.totalUsd)} this month, ${usd(account.spend.projectedUsd)} by its end` : "";
  say(made.querySelector(".spend"), [waiting ? `${waiting} calls wait for their turn` : "", spent].filter(Boolean).join(" · "));
  const button = made.querySelector(".switch");
  button.hidden = !hasToken();
  say(button, provider.enabled ? "Switch off" : "Switch on");
  set(button, { "aria-label": `${provider.enabled ? "Switch off" : "Switch on"} ${provider.name}` });
}

function place(provider) {
  const rank = order.filter((name) => !providers.get(name).unusableReason).indexOf(provider.name) + 1;
  const delay = seconds(provider.feedDelay);
  const late = Number.isNaN(delay) ? "" : delay < 1 ? ", in real time" : `, ${span(delay)} late`;
  return `${["", "First", "Second", "Third", "Fourth", "Fifth"][rank] ?? `Number ${rank}`} in the order${provider.priorityConfigured ? ", by an operator's choice" : ""}${late}.`;
}

async function switchVendor(made, name) {
  const button = made.querySelector(".switch");
  button.disabled = true;
  try {
    const told = await unary("ProviderService/UpdateProvider", { name, enabled: !providers.get(name).enabled });
    providers.set(name, told.provider);
    draw();
  } catch (error) {
    tell(Date.now(), name, "not changed", error.message, "bad");
    draw();
  } finally {
    button.disabled = false;
  }
}

function kindRow(health) {
  const tip = `tip-${Math.random().toString(36).slice(2)}`;
  return h("div", { class: "kind" },
    h("span", { class: "name" }, health.kind),
    h("span", { class: "score-place" },
      h("button", { type: "button", class: "score", "aria-describedby": tip, onkeydown: (event) => { if (event.key === "Escape") event.target.blur(); } },
        h("span", { class: "bar", "aria-hidden": "true" }, h("span", {})), h("span", { class: "figure" })),
      h("span", { class: "tip", role: "tooltip", id: tip })),
    h("span", { class: "breaker" }),
    h("span", { class: "latency" }));
}

function updateKind(row, provider, health) {
  const score = health.score ?? 0;
  say(row.querySelector(".figure"), score.toFixed(2));
  set(row.querySelector(".score"), { "aria-label": `Score of ${provider.name} for ${health.kind}: ${score.toFixed(2)} of 1${health.judged ? "" : ", too few calls to judge"}` });
  const bar = row.querySelector(".bar span");
  bar.style.width = `${Math.round(score * 100)}%`;
  bar.className = score >= 0.8 ? "ok" : score >= 0.5 ? "warn" : "bad";
  row.classList.toggle("unjudged", !health.judged);
  keyed(row.querySelector(".tip"), [
    { name: health.judged ? "score" : "score, too few calls to judge", value: score, detail: `${whole(health.samples)} calls of late` },
    ...(health.factors ?? []),
  ], (each) => each.name, () => h("span", { class: "factor" }, h("b", {}), h("i", {}), h("span", {})), (line, factor) => {
    say(line.children[0], factor.name);
    say(line.children[1], `${(factor.value ?? 0).toFixed(2)}${factor.weight ? `, weight ${factor.weight}` : ""}`);
    say(line.children[2], factor.detail ?? "");
  });
  const breaker = health.breaker ?? {};
  const [words, tone] = BREAKERS[breaker.state] ?? BREAKERS.STATE_CLOSED;
  const place_ = row.querySelector(".breaker");
  place_.className = `breaker ${tone}`;
  const retried = breaker.state === "STATE_OPEN" && breaker.retryAt ? `, tried at ${clock(ms(breaker.retryAt))}` : "";
  say(place_, `${words}${retried}`);
  set(place_, { title: breaker.reason || `breaker ${words}` });
  const history = histories.get(`${provider.name} ${health.kind}`);
  const latency = row.querySelector(".latency");
  if (history) {
    latency.replaceChildren(sparkline(history, provider.name), h("span", { class: "figure" }, `${span(seconds(health.latencyP50))} · ${span(seconds(health.latencyP95))}`));
    set(latency, { title: `half of the answers within ${span(seconds(health.latencyP50))}, 95 % within ${span(seconds(health.latencyP95))}` });
  }
}

function quotaRow(window) {
  return h("div", { class: "quota" },
    h("span", { class: "name" }, window.name),
    h("span", { class: "meter", role: "meter", "aria-valuemin": "0" }, h("span", { class: "used" }), h("span", { class: "reserved" })),
    h("span", { class: "left" }), h("span", { class: "forecast" }));
}

function updateQuota(row, window) {
  const used = Number(window.used ?? 0) + Number(window.reserved ?? 0);
  const limit = Number(window.limit ?? window.ownLimit ?? NaN);
  const meter = row.querySelector(".meter");
  const left = row.querySelector(".left");
  const units = window.counts === "QUOTA_COUNTS_UNITS" ? "units" : "calls";
  set(row.querySelector(".name"), { title: `${word(window.kind, "QUOTA_WINDOW_KIND_")} window${window.length ? ` of ${span(seconds(window.length))}` : ""}, metered by ${word(window.scope, "QUOTA_SCOPE_")}` });
  const forecast_ = row.querySelector(".forecast");
  meter.hidden = Number.isNaN(limit);
  if (Number.isNaN(limit)) {
    say(left, `${whole(used)} ${units}, no limit known`);
    say(forecast_, "");
    return;
  }
  const share = limit ? used / limit : 1;
  meter.firstElementChild.style.width = `${Math.min(100, (100 * Number(window.used ?? 0)) / limit)}%`;
  meter.lastElementChild.style.width = `${Math.min(100, (100 * Number(window.reserved ?? 0)) / limit)}%`;
  meter.className = `meter ${share >= 0.95 ? "bad" : share >= 0.8 ? "warn" : ""}`;
  set(meter, { "aria-label": `${window.provider}, quota ${window.name}`, "aria-valuenow": String(used), "aria-valuemax": String(limit), "aria-valuetext": `${used} of ${limit} ${units} used` });
  say(left, `${whole(used)} of ${whole(limit)} ${units}${window.limit === undefined ? ", by our own rule" : ""}`);
  const told = forecasts.get(`${window.provider} ${window.name}`);
  const out = ms(told?.exhaustsAt);
  const resets = ms(window.resetsAt);
  const free = ms(window.freeAt);
  forecast_.className = "forecast";
  if (used >= limit && free > Date.now()) {
    forecast_.classList.add("bad");
    say(forecast_, `used up; free again at ${clock(free)}`);
  } else if (out > Date.now()) {
    forecast_.classList.add("warn");
    say(forecast_, `runs out at ${moment(out)}`);
  } else if (resets > Date.now() && used) {
    say(forecast_, `lasts; anew at ${moment(resets)}`);
  } else {
    say(forecast_, used ? "lasts" : "");
  }
}
