// How times, lengths of time and numbers are written.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const SHORT_CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const SMALL = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const PRICE = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 6 });
const USD = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 4, minimumFractionDigits: 0 });
const zones = new Map();

/** Milliseconds of a timestamp of the contract; NaN if there is none. */
export function ms(timestamp) {
  return timestamp ? Date.parse(timestamp) : NaN;
}

/** Seconds of a duration of the contract, "0.041s"; NaN if there is none. */
export function seconds(duration) {
  return duration ? Number.parseFloat(duration) : NaN;
}

export function clock(at) {
  return Number.isNaN(+at) ? "–" : CLOCK.format(at);
}

/** A moment to come or past: with its day unless that is today. */
export function moment(at) {
  if (Number.isNaN(+at)) return "–";
  const then = new Date(at);
  if (then.toDateString() === new Date().toDateString()) return SHORT_CLOCK.format(then);
  return `${DAY.format(then)}, ${SHORT_CLOCK.format(then)}`;
}

export function span(value) {
  if (!Number.isFinite(value)) return "–";
  if (value < 0.001) return "<1 ms";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} d`;
}

export function whole(value) {
  return WHOLE.format(Number(value ?? 0));
}

export function compact(value) {
  const number = Number(value ?? 0);
  return Math.abs(number) < 10 ? SMALL.format(number) : COMPACT.format(number);
}

export function price(value) {
  return value === null || value === undefined || Number.isNaN(Number(value)) ? "–" : PRICE.format(Number(value));
}

export function usd(value) {
  return USD.format(Number(value ?? 0));
}

/** An enum's value in words: "ATTEMPT_OUTCOME_NO_DATA" without its prefix. */
export function word(value, prefix) {
  return (value ?? "").replace(prefix, "").toLowerCase().replaceAll("_", " ");
}

/** How far a zone's clock is ahead of UTC at a moment, in milliseconds. */
export function offset(at, zone) {
  let known = zones.get(zone);
  if (!known) {
    let parts = null;
    try {
      parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
    } catch { /* a zone that this browser does not know is taken for UTC */ }
    known = { parts, hours: new Map() };
    zones.set(zone, known);
  }
  if (!known.parts) return 0;
  const hour = Math.floor(at / 900000);
  let found = known.hours.get(hour);
  if (found === undefined) {
    const told = Object.fromEntries(known.parts.formatToParts(hour * 900000).map((part) => [part.type, Number(part.value)]));
    found = Date.UTC(told.year, told.month - 1, told.day, told.hour, told.minute, told.second) - hour * 900000;
    known.hours.set(hour, found);
  }
  return found;
}

/** A moment by the clock of a zone, as ISO would write it: with time unless it is a day. */
export function local(at, zone, withTime) {
  if (Number.isNaN(+at)) return "–";
  const text = new Date(at + offset(at, zone)).toISOString();
  return withTime ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : text.slice(0, 10);
}

const COLOURS = 8;
const chosen = new Map();

/** Give each vendor its colour: the same in every window, and wherever it is shown. */
export function paint(vendors) {
  for (const vendor of [...vendors].sort()) {
    if (!chosen.has(vendor)) chosen.set(vendor, chosen.size % COLOURS);
  }
}

/** A vendor's colour, as the name of a CSS variable. */
export function colour(vendor) {
  return chosen.has(vendor) ? `--vendor-${chosen.get(vendor)}` : "--muted";
}
