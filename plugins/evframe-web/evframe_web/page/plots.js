// Small plots of what was counted while the page was open.

import { s } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 48;
const LEAST = 30;

/** The last values of a number, one for each second. */
export class History {
  constructor(most = 300) {
    this.values = [];
    this.most = most;
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > this.most) this.values.shift();
  }

  get peak() {
    return Math.max(0, ...this.values.filter((value) => value !== null));
  }
}

/** A plot of a history, drawn again with `draw`. */
export class Plot {
  constructor(kind, label) {
    this.label = label;
    this.area = s("path", { class: "area" });
    this.line = s("path", { class: "line" });
    this.element = s(
      "svg",
      { class: `plot ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      s("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
      this.area,
      this.line,
    );
  }

  draw(history, text) {
    const { values, most, peak } = history;
    const step = WIDTH / Math.min(most - 1, Math.max(LEAST, values.length - 1)); // a young history fills the plot, too
    const top = peak || 1;
    const points = [];
    values.forEach((value, index) => {
      if (value === null) return;
      const x = WIDTH - (values.length - 1 - index) * step;
      points.push([x, HEIGHT - 2 - (value / top) * (HEIGHT - 6)]);
    });
    const line = points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    this.line.setAttribute("d", line);
    const ends = points.length ? [points[0][0], points.at(-1)[0]] : [0, 0];
    this.area.setAttribute("d", line ? `${line}L${ends[1].toFixed(1)} ${HEIGHT}L${ends[0].toFixed(1)} ${HEIGHT}Z` : "");
    this.element.setAttribute("aria-label", `${this.label}: ${text}`);
  }
}
