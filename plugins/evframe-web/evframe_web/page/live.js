// Live events: a stream that is read while this section is shown.

import { stream } from "./api.js";
import { closeDetail, copied, openDetail } from "./detail.js";
import { facts, h, put } from "./dom.js";
import { clock, count, moment, pretty } from "./format.js";

const MOST = 300;
const NEXT_MS = 1000;

/** The section. */
export class Live {
  id = "live";
  label = "Live events";

  constructor(page) {
    this.page = page;
    this.pattern = "*";
    this.events = [];
    this.held = [];
    this.isPaused = false;
    this.ending = null;
    this.left = null;
    this.due = false;
    this.seen = this.lost = this.skipped = 0;
    this.filter = h("input", {
      type: "search",
      class: "filter",
      placeholder: "Pattern of names, such as E_UL_*",
      "aria-label": "Pattern of event names",
      autocomplete: "off",
      spellcheck: "false",
      on: { change: () => this.follow(this.filter.value), search: () => this.follow(this.filter.value) },
    });
    this.pause = h("button", { type: "button", "aria-pressed": "false", on: { click: () => this.toggle() } }, "Pause");
    const clear = h("button", { type: "button", class: "quiet", on: { click: () => this.clear() } }, "Clear");
    this.found = h("p", { class: "found", role: "status" });
    this.gap = h("p", { class: "notice", hidden: true });
    this.list = h("ol", { class: "events", "aria-label": "Events, the newest first" });
    this.nothing = h("p", { class: "empty" });
    this.element = h(
      "section",
      { class: "section live" },
      h("div", { class: "bar" }, this.filter, this.pause, clear, this.found),
      this.gap,
      this.list,
      this.nothing,
    );
    this.list.addEventListener("keydown", (event) => this.move(event));
  }

  enter() {
    if (this.left !== null && this.events.length) {
      const seconds = Math.round((Date.now() - this.left) / 1000);
      if (seconds > 0) this.note(`not watched for ${seconds} s`);
    }
    this.read();
    this.show();
  }

  leave() {
    this.left = Date.now();
    this.ending?.abort();
    this.ending = null;
  }

  refresh() {}

  focusFilter() {
    this.filter.select();
    this.filter.focus();
  }

  /** Look at the events whose names match a pattern. */
  follow(text) {
    const pattern = text.trim() || "*";
    this.filter.value = text.trim();
    if (pattern === this.pattern) return;
    this.pattern = pattern;
    this.clear();
    if (this.ending) this.read();
  }

  async read() {
    this.ending?.abort();
    const ending = (this.ending = new AbortController());
    while (!ending.signal.aborted) {
      try {
        await stream(this.pattern, ending.signal, (kind, lines) => this.take(kind, lines));
      } catch (error) {
        if (ending.signal.aborted) return;
        this.problem = error.message;
        this.page.failed(error);
        this.show();
      }
      this.isOn = false;
      await new Promise((resolve) => setTimeout(resolve, NEXT_MS));
    }
  }

  take(kind, lines) {
    if (kind === "open") {
      this.isOn = true;
      this.problem = "";
    } else if (kind === "gap") {
      const { lost, skipped } = JSON.parse(lines[0]);
      this.lost += lost;
      this.skipped += skipped;
    } else if (kind === "raised") {
      this.seen += 1;
      const event = { ...JSON.parse(lines[0]), body: lines[1] ?? "" };
      const into = this.isPaused ? this.held : this.events;
      into.push(event);
      if (into.length > MOST) into.shift();
    }
    if (this.due) return;
    this.due = true;
    const draw = () => {
      if (!this.due) return;
      this.due = false;
      this.show();
    };
    requestAnimationFrame(draw);
    setTimeout(draw, 200); // a tab that is not in front has no frames
  }

  note(text) {
    this.events.push({ note: text });
  }

  toggle() {
    this.isPaused = !this.isPaused;
    if (!this.isPaused) {
      this.events = [...this.events, ...this.held].slice(-MOST);
      this.held = [];
    }
    this.show();
  }

  clear() {
    this.events = [];
    this.held = [];
    this.seen = this.lost = this.skipped = 0;
    this.list.replaceChildren();
    this.show();
  }

  show() {
    const waiting = this.held.length;
    put(this.pause, this.isPaused ? `Resume${waiting ? ` · ${count(waiting)} new` : ""}` : "Pause");
    this.pause.setAttribute("aria-pressed", String(this.isPaused));
    put(this.found, this.problem || (this.seen ? `${count(this.seen)} shown` : ""));
    const gaps = [
      this.skipped && `${count(this.skipped)} events were not sent: more than ${count(this.page.session.events_per_s)} a second.`,
      this.lost && `${count(this.lost)} events were lost: this page reads too slowly.`,
    ].filter(Boolean);
    this.gap.hidden = !gaps.length;
    put(this.gap, `${gaps.join(" ")}${gaps.length ? " Narrow the pattern to see all." : ""}`);
    this.nothing.hidden = this.events.length > 0;
    const what = this.pattern === "*" ? "any event" : `events called ${this.pattern}`;
    put(this.nothing, this.problem ? "Not connected; trying again." : `Waiting for ${what}. What was raised before is not kept.`);
    this.draw();
  }

  draw() {
    const lines = this.list.children;
    const newest = lines.length ? this.events.indexOf(lines[0].event) : -1;
    const added = this.events.slice(newest + 1).map((event) => this.line(event)).reverse();
    if (newest < 0) this.list.replaceChildren(...added);
    else this.list.prepend(...added);
    while (this.list.children.length > MOST) this.list.lastChild.remove();
  }

  line(event) {
    if (event.note) return Object.assign(h("li", { class: "divider" }, event.note), { event });
    const button = h(
      "button",
      { type: "button", class: "event", on: { click: () => this.open(event, button) } },
      h("time", null, clock(event.at)),
      h("span", { class: "name" }, event.name),
      h("span", { class: "body" }, event.body),
    );
    return Object.assign(h("li", null, button), { event });
  }

  open(event, from) {
    openDetail(
      event.name,
      [
        facts([["Raised", `${moment(event.at)} · ${clock(event.at).slice(9)} ms`], ["Size", event.bytes ? `${count(event.bytes)} bytes, of which the first are shown` : null]]),
        h("h3", null, "Parameters"),
        event.body ? copied(event.bytes ? event.body : pretty(event.body)) : h("p", { class: "muted" }, "It has none."),
        h("div", { class: "buttons" }, h("button", {
          type: "button",
          on: {
            click: () => {
              closeDetail();
              this.follow(event.name.replaceAll(/[[*?]/g, "[$&]"));
            },
          },
        }, "Look at these alone")),
      ],
      { from },
    );
  }

  move(event) {
    const line = event.target.closest("li");
    const to = { ArrowDown: line?.nextElementSibling, ArrowUp: line?.previousElementSibling }[event.key];
    if (to) {
      event.preventDefault();
      to.querySelector("button")?.focus();
    }
  }
}
