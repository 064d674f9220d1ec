// The contract over HTTP, by the Connect protocol: one call, or a stream of answers.

const PACKAGE = "marketdata.ingestion.v1";
const LAST = 0b10;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
let token = "";

/** Keep what operators show, in memory and nowhere else. */
export function setToken(text) {
  token = text;
}

export function hasToken() {
  return token !== "";
}

/** A call that ended badly; `reason` is the ErrorInfo's, such as SYMBOL_UNKNOWN. */
export class CallError extends Error {
  constructor(code, message, details = []) {
    super(message || code);
    this.code = code;
    const info = details.find((one) => one.type === "google.rpc.ErrorInfo");
    this.reason = info?.debug?.reason ?? "";
    const retry = details.find((one) => one.type === "google.rpc.RetryInfo");
    this.retryDelay = retry?.debug?.retryDelay ?? "";
    const wrong = details.find((one) => one.type === "google.rpc.BadRequest");
    this.violations = wrong?.debug?.fieldViolations ?? [];
  }
}

/** What went wrong, for a line that has other things to say as well. */
export function inShort(error) {
  if (error instanceof CallError || error instanceof BrokenError) return error.message;
  return "no answer";
}

/** A stream that ended though nobody ended it. */
export class BrokenError extends Error {}

/** Whether the server says that the token is not the operator's. */
export async function isRefused() {
  const reply = await fetch("/console/operator", { headers: { Authorization: `Bearer ${token}` } });
  return reply.status === 401 || reply.status === 403;
}

function headers(type, seconds) {
  const told = { "Content-Type": type, "Connect-Protocol-Version": "1" };
  if (token) told.Authorization = `Bearer ${token}`;
  if (seconds) told["Connect-Timeout-Ms"] = String(Math.round(seconds * 1000));
  return told;
}

async function failure(reply) {
  try {
    const told = await reply.json();
    return new CallError(told.code ?? `HTTP ${reply.status}`, told.message, told.details);
  } catch {
    return new CallError(`HTTP ${reply.status}`, reply.statusText);
  }
}

/** Make one call: `unary("ProviderService/ListProviders", {})`. */
export async function unary(method, request = {}, { seconds = 10, signal } = {}) {
  const patience = AbortSignal.timeout((seconds + 2) * 1000);
  const reply = await fetch(`/${PACKAGE}.${method}`, {
    method: "POST",
    headers: headers("application/json", seconds),
    body: JSON.stringify(request),
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  });
  if (!reply.ok) throw await failure(reply);
  return reply.json();
}

/** Yield each answer of a stream until it ends, or the signal ends it. */
export async function* stream(method, request, signal) {
  const message = encoder.encode(JSON.stringify(request));
  const body = new Uint8Array(5 + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, 5);
  const reply = await fetch(`/${PACKAGE}.${method}`, {
    method: "POST",
    headers: headers("application/connect+json"),
    body,
    signal,
  });
  if (!reply.ok) throw await failure(reply);
  const reader = reply.body.getReader();
  let kept = new Uint8Array(0);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new BrokenError("it broke off");
      const joined = new Uint8Array(kept.length + value.length);
      joined.set(kept);
      joined.set(value, kept.length);
      kept = joined;
      while (kept.length >= 5) {
        const end = 5 + new DataView(kept.buffer, kept.byteOffset).getUint32(1);
        if (kept.length < end) break;
        const told = JSON.parse(decoder.decode(kept.subarray(5, end)));
        const last = kept[0] & LAST;
        kept = kept.subarray(end);
        if (!last) {
          yield told;
        } else if (told.error) {
          throw new CallError(told.error.code, told.error.message, told.error.details);
        } else {
          return;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
