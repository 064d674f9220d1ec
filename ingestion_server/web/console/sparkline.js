// How a figure went of late, small enough to stand within a line.

import { svg } from "./dom.js";
import { colour } from "./format.js";

const POINTS = 60;
const WIDTH = 84;
const HEIGHT = 22;

/** The latest median and 95 % quantile of a latency, in seconds. */
export class History {
  constructor() {
    this.points = [];
  }

  add(p50, p95) {
    this.points.push([p50, p95]);
    if (this.points.length > POINTS) this.points.shift();
  }
}

/** Draw a history; what it shows is told in words beside it. */
export function sparkline(history, vendor) {
  const points = history.points.length === 1 ? [history.points[0], history.points[0]] : history.points;
  const most = Math.max(...points.map(([, p95]) => p95), 1e-6);
  const x = (place) => ((WIDTH * place) / (points.length - 1)).toFixed(1);
  const y = (value) => (HEIGHT - 2 - ((HEIGHT - 4) * value) / most).toFixed(1);
  const line = (which) => points.map((each, place) => `${x(place)},${y(each[which])}`).join(" ");
  const area = svg("polygon", { points: `0,${HEIGHT} ${line(1)} ${WIDTH},${HEIGHT}`, class: "p95" });
  const median = svg("polyline", { points: line(0), class: "p50" });
  const made = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, median);
  made.style.color = `var(${colour(vendor)})`;
  return made;
}
