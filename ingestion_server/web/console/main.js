// The page: how the server does, who looks, in which light; and its panels.

import { hasToken, isRefused, setToken } from "./connect.js";
import { byId, problem, say } from "./dom.js";
import { startErrors } from "./errors.js";
import { offerVendors, redrawChart, startFetch } from "./fetch.js";
import { clock, span } from "./format.js";
import { redrawJobs, startJobs } from "./jobs.js";
import { poll } from "./live.js";
import { startTape } from "./tape.js";
import { redrawVendors, startVendors } from "./vendors.js";

const THEMES = ["auto", "light", "dark"];
const HEALTH_EVERY = 2500;

let process = {};
let lastHeard = 0;
let unanswered = 0;

function theme() {
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") ?? "auto";
  } catch { /* private windows keep nothing */ }
  const apply = () => {
    if (chosen === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = chosen;
    say(byId("theme"), `Theme: ${chosen}`);
  };
  byId("theme").addEventListener("click", () => {
    chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
    try {
      localStorage.setItem("theme", chosen);
    } catch { /* then it holds until the page is left */ }
    apply();
    redrawChart();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawChart);
  apply();
}

async function health() {
  // Whatever is not ready is a 503, and tells why all the same.
  const reply = await fetch("/healthz", { signal: AbortSignal.timeout(4000) });
  const told = await reply.json();
  process = told.process ?? {};
  lastHeard = Date.now();
  unanswered = 0;
  byId("lost").hidden = true;
  say(byId("lost-since"), "");
  document.body.classList.remove("old");
  const wrong = (told.checks ?? []).filter((check) => !check.ok).map((check) => `${check.name}: ${check.why}`);
  const pill = byId("state");
  pill.className = `pill ${told.status === "ready" ? (wrong.length ? "warn" : "ok") : "bad"}`;
  say(pill, wrong.length ? `${told.status} – ${wrong.join("; ")}` : told.status);
  say(byId("version"), process.version ?? "");
  say(byId("grpc"), process.grpc ?? "…");
  byId("simulated").hidden = !process.simulated;
}

function lost() {
  unanswered += 1;
  if (unanswered < 2 && lastHeard) return;
  byId("lost").hidden = false;
  // What changes each time is no alert, or screen readers would speak of nothing else.
  say(byId("lost-since"), `The server does not answer${lastHeard ? ` since ${clock(lastHeard)}` : ""}`);
  say(byId("lost-age"), `${lastHeard ? `; what you see is ${span((Date.now() - lastHeard) / 1000)} old` : ""}. Trying again…`);
  document.body.classList.add("old");
  const pill = byId("state");
  pill.className = "pill bad";
  say(pill, "not connected");
}

function operator() {
  const dialog = byId("operator-dialog");
  const button = byId("operator");
  const look = () => {
    say(button, hasToken() ? "Operator" : "Read-only");
    button.classList.toggle("on", hasToken());
    redrawVendors();
    redrawJobs();
  };
  button.addEventListener("click", () => {
    if (hasToken()) {
      setToken("");
      look();
      return;
    }
    say(byId("operator-why"), process.operators ? "With the token, vendors can be switched and jobs paused. It is kept in this tab's memory only." : "This server knows no operators: its setting http.operator_token is not set, so the console only reads.");
    problem(byId("operator-error"), "");
    byId("token").disabled = !process.operators;
    dialog.showModal();
  });
  byId("operator-form").addEventListener("submit", (event) => {
    if (event.submitter?.value === "yes") setToken(byId("token").value.trim());
    byId("token").value = "";
    look();
    if (hasToken()) check(look);
  });
}

/** Give a wrong token back at once. */
async function check(look) {
  const refused = await isRefused().catch(() => false);
  if (!refused) return;
  setToken("");
  look();
  problem(byId("operator-error"), "That is not the operator's token.");
  byId("operator-dialog").showModal();
}

theme();
operator();
startVendors(offerVendors);
startFetch();
startTape();
startJobs();
startErrors();
poll(health, HEALTH_EVERY, lost);
