// The overview: four plots, the picture of the way of the data, and what needs attention.

import { chip, h, keepFocus, mark, put, refill, s } from "./dom.js";
import { draw } from "./flow.js";
import { count, duration, rate, short } from "./format.js";
import { History, Plot } from "./plots.js";

const CARDS = [
  ["raised", "Raised", "events a second", (state) => state.raised_rate, rate],
  ["delivered", "Delivered", "deliveries a second", (state) => state.delivered_rate, rate],
  ["failed", "Failed", "deliveries a second", (state) => state.failed_rate, rate],
  ["waiting", "Waiting", "events in queues", (state) => state.queued, short],
];

/** The section. */
export class Overview {
  id = "overview";
  label = "Overview";

  constructor(page) {
    this.page = page;
    this.histories = new Map(CARDS.map(([id]) => [id, new History()]));
    this.cards = CARDS.map(([id, title, unit, value, format]) => {
      const shown = h("strong", null, "–");
      const note = h("span", { class: "unit" }, unit);
      const peak = h("span", { class: "peak" });
      const plot = new Plot(id, title);
      const element = h("article", { class: `card stat ${id}` }, h("h2", null, title), h("p", { class: "value" }, shown, note), plot.element, peak);
      return { id, value, format, shown, peak, plot, element, note };
    });
    this.svg = s("svg", { class: "flow", role: "group" });
    this.nothing = h("p", { class: "empty", hidden: true }, "There is no event yet: declare some with [[events]], or load a plugin that raises them.");
    this.counts = h("dl", { class: "counts" });
    this.lines = h("ul", { class: "lines" });
    this.well = h("p");
    this.worst = h("div", null, this.lines, this.well);
    this.element = h(
      "section",
      { class: "section" },
      h("div", { class: "cards" }, this.cards.map((card) => card.element)),
      h("article", { class: "card" }, h("h2", null, "The way of the data"), this.svg, this.nothing),
      h("div", { class: "halves" },
        h("article", { class: "card attention" }, h("h2", null, "Needs attention"), this.worst),
        h("article", { class: "card" }, h("h2", null, "In numbers"), this.counts)),
    );
    addEventListener("resize", () => this.picture());
  }

  /** Keep the numbers of a second, whichever section is shown. */
  record(state) {
    this.state = state;
    for (const { id, value } of this.cards) this.histories.get(id).add(value(state));
  }

  enter() {
    this.refresh();
  }

  leave() {}

  refresh() {
    const { state } = this;
    if (!state) return;
    for (const { id, value, format, shown, peak, plot } of this.cards) {
      const history = this.histories.get(id);
      put(shown, format(value(state)));
      put(peak, history.values.length > 1 ? `peak ${format(history.peak)} · last ${duration(history.values.length - 1)}` : "");
      plot.draw(history, format(value(state)));
    }
    const waiting = this.cards[3];
    put(waiting.note, state.queued ? `the oldest for ${duration(state.oldest_s)}` : "events in queues");
    this.picture();
    this.numbers(state);
    keepFocus(this.worst, () => this.attention(state));
  }

  picture() {
    const width = this.svg.parentElement?.clientWidth;
    if (!this.state || !width) return;
    this.nothing.hidden = this.state.events > 0;
    mark(this.svg, "hidden", this.state.events ? null : "");
    const style = getComputedStyle(this.svg.parentElement);
    draw(this.svg, this.state, width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), (kind, id) => this.page.go(kind, id));
  }

  numbers(state) {
    const pairs = [
      ["Events", state.events],
      ["Subscriptions", state.leases],
      ["Subscribers", state.subscribers],
      ["Groups", state.groups],
      ["Raised so far", state.raised],
      ["Delivered so far", state.delivered],
      ["Failed so far", state.failed],
      ["Waiting on disk", state.on_disk],
      ["Dead letters", state.dead_letters],
    ].filter(([, value]) => value !== null);
    if (this.counts.children.length !== pairs.length) {
      this.counts.replaceChildren(...pairs.map(([name]) => h("div", null, h("dt", null, name), h("dd"))));
    }
    pairs.forEach(([name, value], index) => {
      put(this.counts.children[index].firstChild, name);
      put(this.counts.children[index].lastChild, count(value));
    });
  }

  attention(state) {
    const lines = [
      ...state.problems.map((each) => this.problem(`${each.group}: ${each.part}`, each.details)),
      ...state.worst.map((row) => this.bad(row)),
      ...state.members.map((member) => this.member(member)),
    ];
    if (state.dead_letters) {
      const to = () => this.page.go("letters");
      lines.push(h("li", null, h("button", { type: "button", class: "line", on: { click: to } }, chip("kept"), h("span", { class: "what" }, `${count(state.dead_letters)} dead letters`), h("span", { class: "why" }, "show, replay or drop them"))));
    }
    const more = state.away + state.failing - state.worst.length;
    if (more > 0) {
      const all = () => this.page.go("state", "away");
      lines.push(h("li", null, h("button", { type: "button", class: "quiet", on: { click: all } }, `${count(more)} more subscribers`)));
    }
    const key = JSON.stringify([state.problems, state.worst.map(({ key, state: now, queued, reason }) => [key, now, queued, reason]), state.members.map(({ group, socket, state: now }) => [group, socket, now]), state.dead_letters, more]);
    if (key === this.shown && lines.length) return;
    this.shown = key;
    refill(this.lines, lines);
    this.well.hidden = lines.length > 0;
    mark(this.well, "class", state.subscribers ? "well" : "muted");
    put(this.well, state.subscribers ? "All subscribers can be reached, and no event is lost." : "There is no subscriber yet: subscribe a socket with [[subscriptions]], or over a management interface.");
  }

  problem(what, why) {
    return h("li", null, h("div", { class: "line" }, chip("not ready"), h("span", { class: "what" }, what), h("span", { class: "why" }, why)));
  }

  member({ group, socket, state, failed_for_s: seconds }) {
    const open = () => this.page.go("groups", group);
    const why = [`member of ${group.split(" ")[0]}`, seconds === undefined ? "" : `for ${duration(seconds)}`];
    return h("li", null, h("button", { type: "button", class: "line", on: { click: open } }, chip(state), h("span", { class: "what" }, socket), h("span", { class: "why" }, why.filter(Boolean).join(" · "))));
  }

  bad(row) {
    const open = (event) => this.page.subscriber(row.key, event.currentTarget);
    const why = [row.reason, row.since_s === null ? "" : `for ${duration(row.since_s)}`, row.queued ? `${short(row.queued)} wait` : "", row.failed ? `${short(row.failed)} failed` : ""];
    return h("li", null, h("button", { type: "button", class: "line", on: { click: open } }, chip(row.state), h("span", { class: "what" }, row.socket), h("span", { class: "why" }, why.filter(Boolean).join(" · "))));
  }
}
