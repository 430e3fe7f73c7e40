// The fleet: which gateway has which partitions, which of them no gateway has, how much waits, and for whom.

import { get, result } from "./api.js";
import { chip, h, keepFocus, put, refill } from "./dom.js";
import { count, duration } from "./format.js";

const MOST = 200; // rows of a table

/** Return numbers, ascending, as text, such as 0-3, 7. */
function ranges(numbers) {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

class Rows {
  constructor(title, name, columns, empty) {
    this.columns = columns;
    this.heading = h("h2", null, title);
    this.note = h("span", { class: "note" });
    this.heading.append(this.note);
    this.body = h("tbody");
    this.table = h("table", { class: `table ${name}`, "aria-label": title },
      h("thead", null, h("tr", null, columns.map(([label, kind]) => h("th", { scope: "col", class: kind }, label)))), this.body);
    this.nothing = h("p", { class: "muted" }, empty);
    this.element = h("div", { class: "table-block" }, this.heading, h("div", { class: "scroll" }, this.table), this.nothing);
  }

  show(rows) {
    this.table.hidden = rows.length === 0;
    this.nothing.hidden = rows.length > 0;
    put(this.note, rows.length > MOST ? ` the first ${count(MOST)} of ${count(rows.length)}` : "");
    refill(this.body, rows.slice(0, MOST).map((row) => h("tr", null, this.columns.map(([, kind, cell]) => h("td", { class: kind }, cell(row))))));
  }
}

/** The section. */
export class Fleet {
  id = "fleet";
  label = "Fleet";

  constructor(page) {
    this.page = page;
    this.isAsking = false;
    this.notices = h("ul", { class: "notices", role: "status" });
    this.members = new Rows("Gateways", "members", [
      ["State", "state", (each) => chip(each.is_alive ? "alive" : "dead")],
      ["Name", "socket", (each) => [each.name, each.name === this.name ? h("span", { class: "note" }, "this one") : ""]],
      ["Host", "text", (each) => `${each.host ?? "?"}, process ${each.pid ?? "?"}`],
      ["Partitions", "number", (each) => count(each.partitions.length)],
      ["Which", "wide", (each) => ranges(each.partitions)],
      ["Last record", "number", (each) => `${duration(each.seen_s)} ago`],
    ], "No gateway has written what it has yet.");
    this.behind = new Rows("Subscribers that are behind", "behind", [
      ["Socket", "socket", (each) => each.socket],
      ["Records", "number", (each) => count(each.lag_frames)],
      ["Partition", "number", (each) => each.partition],
      ["Delivered by", "text", (each) => this.owners.get(each.partition) ?? "no gateway"],
    ], "None: each has what is delivered.");
    this.partitions = new Rows("Partitions where something waits, or that no gateway has", "partitions", [
      ["Partition", "number", (each) => each.partition],
      ["Owner", "text", (each) => each.owner ?? chip("no gateway")],
      ["Records that wait", "number", (each) => count(each.lag_frames)],
    ], "None: each has an owner, and nothing waits.");
    this.element = h("section", { class: "section" }, this.notices, this.members.element, this.partitions.element, this.behind.element);
  }

  enter() {
    this.refresh();
  }

  leave() {}

  /** Ask, and do not wait: brokers that are away take seconds. */
  refresh() {
    if (this.isAsking) return;
    this.isAsking = true;
    get("/api/fleet")
      .then((answer) => keepFocus(this.element, () => this.show(result(answer))))
      .catch((error) => this.page.failed(error))
      .finally(() => {
        this.isAsking = false;
      });
  }

  show(status) {
    this.name = status.Name;
    this.owners = new Map(status.Partitions.map((each) => [each.partition, each.owner]));
    const lost = Object.entries(status.Lost).filter(([, number]) => number);
    refill(this.notices, [
      status.State !== "connected" && `The brokers cannot be used: ${status.State}.`,
      status.WithoutOwner.length && `No gateway has ${ranges(status.WithoutOwner)}: what is raised for their subscribers waits.`,
      status.WithoutLeader.length && `No broker leads ${ranges(status.WithoutLeader)}: nothing is written to them, or read.`,
      lost.length && `This gateway has lost ${lost.map(([reason, number]) => `${count(number)} (${reason})`).join(", ")}.`,
    ].filter(Boolean).map((text) => h("li", { class: "notice" }, text)));
    this.members.show(status.Members);
    this.behind.show(status.Behind);
    const key = (each) => (each.owner === null || each.lag_frames === null ? Infinity : each.lag_frames);
    const rows = status.Partitions.filter((each) => key(each) > 0);
    this.partitions.show(rows.sort((a, b) => (key(a) === key(b) ? a.partition - b.partition : key(b) - key(a))));
  }
}
