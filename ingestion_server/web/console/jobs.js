// The panel of jobs: how far each is, when it is done, and what it lacks.

import { hasToken, inShort, unary } from "./connect.js";
import { byId, h, keyed, problem, say, set } from "./dom.js";
import { clock, compact, local, moment, ms, usd, whole, word } from "./format.js";
import { poll } from "./live.js";

const MOST = 12;
const OFTEN = 1500;
const TONES = { JOB_STATE_RUNNING: "calm", JOB_STATE_COMPLETED: "ok", JOB_STATE_INCOMPLETE: "warn", JOB_STATE_PAUSED_QUOTA: "warn", JOB_STATE_CANCELLED: "", JOB_STATE_PAUSED: "" };

let jobs = [];

export function startJobs() {
  poll(refresh, OFTEN, (error) => say(byId("jobs-note"), `not told any more: ${inShort(error)}; trying again…`));
}

/** Draw again, as after a change of who looks. */
export function redrawJobs() {
  keyed(byId("jobs"), jobs, (job) => job.jobId, make, update);
}

async function refresh() {
  const told = await unary("JobService/ListJobs", { pageSize: MOST });
  jobs = told.jobs ?? [];
  byId("jobs-empty").hidden = jobs.length > 0;
  const running = jobs.filter((job) => job.state === "JOB_STATE_RUNNING").length;
  say(byId("jobs-note"), jobs.length ? `${running ? `${running} running · ` : ""}the latest ${jobs.length} · ${clock(Date.now())}` : "");
  redrawJobs();
}

function make(job) {
  const made = h("li", { class: "job" },
    h("div", { class: "line" }, h("strong", { class: "title" }), h("span", { class: "badge" })),
    h("div", { class: "progress", role: "progressbar", "aria-valuemin": "0" }, h("span", { class: "landed" }), h("span", { class: "partial" }), h("span", { class: "failed" })),
    h("p", { class: "far" }),
    h("p", { class: "detail muted" }),
    h("details", { class: "lacking" }, h("summary", {}), h("ul", {})),
    h("div", { class: "buttons" }));
  for (const [what, label] of [["PauseJob", "Pause"], ["ResumeJob", "Resume"], ["CancelJob", "Cancel"]]) {
    const button = h("button", { type: "button", class: "quiet", "data-do": what, "aria-label": `${label} ${job.name || job.jobId}` }, label);
    button.addEventListener("click", () => act(what, job.jobId, button));
    made.querySelector(".buttons").append(button);
  }
  made.querySelector(".lacking").addEventListener("toggle", (event) => { if (event.target.open) lacking(made, job.jobId); });
  return made;
}

function update(made, job) {
  const progress = job.progress ?? {};
  const count = (name) => Number(progress[name] ?? 0);
  const units = count("units");
  const done = count("landed") + count("partial") + count("failed");
  const symbols = job.spec?.symbols ?? [];
  say(made.querySelector(".title"), job.name || `${symbols.slice(0, 3).join(", ")}${symbols.length > 3 ? ` and ${symbols.length - 3} more` : ""} · ${word(job.spec?.interval, "INTERVAL_")}`);
  const badge = made.querySelector(".badge");
  badge.className = `badge ${TONES[job.state] ?? ""}`;
  say(badge, word(job.state, "JOB_STATE_"));
  const bar = made.querySelector(".progress");
  set(bar, { "aria-valuenow": String(done), "aria-valuemax": String(units), "aria-label": `Progress of ${job.name || job.jobId}`, "aria-valuetext": `${done} of ${units} units` });
  for (const name of ["landed", "partial", "failed"]) bar.querySelector(`.${name}`).style.width = units ? `${(100 * count(name)) / units}%` : "0";
  const ends = ms(progress.finishesAt);
  say(made.querySelector(".far"), [
    `${whole(done)} of ${whole(units)} units`,
    `${compact(progress.bars)} bars`,
    count("running") ? `${whole(count("running"))} under way` : "",
    progress.unitsPerSecond ? `${progress.unitsPerSecond.toFixed(1)} a second` : "",
    job.state === "JOB_STATE_RUNNING" && ends > Date.now() ? `done at ${moment(ends)}` : "",
    job.runEndedAt ? `ended ${moment(ms(job.runEndedAt))}` : "",
    progress.costUsd ? usd(progress.costUsd) : "",
    job.resumesAt ? `goes on at ${moment(ms(job.resumesAt))}` : "",
    job.nextRunAt ? `next run ${moment(ms(job.nextRunAt))}` : "",
  ].filter(Boolean).join(" · "));
  say(made.querySelector(".detail"), job.detail ?? "");
  const lacks = count("failed") + count("partial");
  const details = made.querySelector(".lacking");
  details.hidden = lacks === 0;
  say(details.querySelector("summary"), `${whole(count("failed"))} failed, ${whole(count("partial"))} not whole`);
  const can = { PauseJob: ["JOB_STATE_RUNNING", "JOB_STATE_SCHEDULED", "JOB_STATE_PAUSED_QUOTA"], ResumeJob: ["JOB_STATE_PAUSED", "JOB_STATE_PAUSED_QUOTA"], CancelJob: ["JOB_STATE_RUNNING", "JOB_STATE_SCHEDULED", "JOB_STATE_PAUSED", "JOB_STATE_PAUSED_QUOTA"] };
  for (const button of made.querySelectorAll("[data-do]")) button.hidden = !hasToken() || !can[button.dataset.do].includes(job.state);
}

async function act(what, jobId, button) {
  button.disabled = true;
  problem(byId("jobs-error"), "");
  try {
    await unary(`JobService/${what}`, { jobId });
    await refresh();
  } catch (error) {
    problem(byId("jobs-error"), error.message);
  } finally {
    button.disabled = false;
  }
}

async function lacking(made, jobId) {
  const list = made.querySelector(".lacking ul");
  try {
    const told = await unary("JobService/GetJob", { jobId, unitStates: ["UNIT_STATE_FAILED", "UNIT_STATE_PARTIAL"], pageSize: 20 });
    list.replaceChildren(...(told.units ?? []).map((unit) => h("li", {}, h("b", {}, unit.symbol), ` ${local(ms(unit.start), "UTC", false)} – ${local(ms(unit.end), "UTC", false)}: ${unit.lastReason || (unit.missing ?? []).map((each) => each.reason).join("; ") || word(unit.state, "UNIT_STATE_")}`)));
  } catch (error) {
    list.replaceChildren(h("li", {}, error.message));
  }
}
