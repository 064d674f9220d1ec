// The latest calls that failed, of all callers, with what finds them in logs and traces.

import { inShort } from "./connect.js";
import { byId, copier, h, say } from "./dom.js";
import { clock, span, whole } from "./format.js";
import { poll } from "./live.js";

const MOST = 100;
const OFTEN = 2000;

let seen = 0;
let since = null;

export function startErrors() {
  poll(refresh, OFTEN, (error) => say(byId("errors-note"), `not told any more: ${inShort(error)}; trying again…`));
}

async function refresh() {
  const reply = await fetch(`/console/errors?after=${seen}`, { signal: AbortSignal.timeout(5000) });
  if (!reply.ok) throw new TypeError(`HTTP ${reply.status}`);
  const told = await reply.json();
  const list = byId("errors");
  // A server that has begun anew counts anew.
  if (told.sinceMs !== since) {
    since = told.sinceMs;
    list.replaceChildren();
    if (seen) {
      seen = 0;
      await refresh();
      return;
    }
  }
  for (const failure of told.failures) {
    seen = failure.number;
    list.prepend(row(failure));
  }
  while (list.childElementCount > MOST) list.lastElementChild.remove();
  byId("errors-empty").hidden = list.childElementCount > 0;
  byId("errors-scroll").hidden = list.childElementCount === 0;
  say(byId("errors-note"), told.count ? `${whole(told.count)} since the start` : "");
}

function row(failure) {
  const ids = [h("span", {}, "request "), h("code", {}, failure.requestId), copier(failure.requestId, "the request's id")];
  if (failure.traceId) ids.push(h("span", {}, failure.isSampled ? "trace " : "trace, not recorded "), h("code", {}, failure.traceId), copier(failure.traceId, "the trace's id"));
  return h("li", {},
    h("div", { class: "line" }, h("time", {}, clock(failure.atMs)), h("strong", {}, failure.rpc), h("span", { class: "badge bad" }, failure.reason || failure.code), h("span", { class: "muted" }, `${failure.reason ? failure.code : ""} after ${span(failure.seconds)}`)),
    h("p", { class: "said" }, failure.message),
    h("p", { class: "ids muted" }, ...ids));
}
