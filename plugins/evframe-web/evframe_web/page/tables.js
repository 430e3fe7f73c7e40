// Subscribers and events as tables, and all about one of them.

import { get } from "./api.js";
import { closeDetail, openDetail } from "./detail.js";
import { chip, facts, h } from "./dom.js";
import { count, duration, left, rate, short } from "./format.js";
import { Table, column, stateColumn } from "./table.js";

class Section {
  enter() {
    this.refresh();
  }

  leave() {}

  refresh() {
    return this.table.refresh().catch((error) => this.page.failed(error));
  }

  focusFilter() {
    this.table.filter.select();
    this.table.filter.focus();
  }
}

/** The subscribers. */
export class Subscribers extends Section {
  id = "subscribers";
  label = "Subscribers";

  constructor(page) {
    super();
    this.page = page;
    this.table = new Table(
      "subscribers",
      "Subscribers",
      [
        stateColumn((row) => (row.since_s === null ? "" : duration(row.since_s))),
        column("socket", "Socket", (row) => row.socket, { kind: "text socket" }),
        column("queued", "Queue", (row) => short(row.queued), { kind: "number" }),
        column("oldest_s", "Oldest", (row) => (row.queued ? duration(row.oldest_s) : ""), { kind: "number" }),
        column("delivered", "Delivered", (row) => short(row.delivered), { kind: "number" }),
        column("failed", "Failed", (row) => (row.failed ? short(row.failed) : ""), { kind: "number failed" }),
        column("reason", "Last reason", (row) => row.reason, { kind: "text" }),
        column("left_s", "Lease left", (row) => (row.leases ? left(row.left_s) : ""), { kind: "number" }),
      ],
      {
        sort: "state",
        keyOf: (row) => row.key,
        open: (row, line) => page.subscriber(row.key, line),
        empty: "There is no subscriber yet.",
        filterLabel: "Filter: socket, state, reason or event",
      },
    );
    this.element = h("section", { class: "section" }, this.table.element);
  }

  /** Show the subscribers that have a text. */
  search(text) {
    this.table.search(text);
  }
}

/** The events. */
export class Events extends Section {
  id = "events";
  label = "Events";

  constructor(page) {
    super();
    this.page = page;
    this.table = new Table(
      "events",
      "Events",
      [
        column("name", "Event", (row) => row.name, { kind: "text strong" }),
        column("rate", "A second", (row) => rate(row.rate), { kind: "number" }),
        column("raised", "Raised", (row) => count(row.raised), { kind: "number" }),
        column("leases", "Subscriptions", (row) => count(row.leases), { kind: "number" }),
        column("source", "Source", (row) => row.source || "clients and services", { kind: "text nowrap" }),
        column("summary", "When", (row) => row.summary, { kind: "text wide", sort: false }),
      ],
      {
        sort: "raised",
        descending: true,
        keyOf: (row) => row.name,
        open: (row, line) => this.open(row, line),
        empty: "There is no event yet.",
        filterLabel: "Filter: event, source or summary",
      },
    );
    this.element = h("section", { class: "section" }, this.table.element);
  }

  open(row, from) {
    const then = (work) => () => {
      closeDetail();
      work();
    };
    openDetail(
      row.name,
      [
        row.summary ? h("p", null, row.summary) : null,
        facts([["Raised", count(row.raised)], ["A second", rate(row.rate)], ["Subscriptions", count(row.leases)], ["Source", row.source || "clients and services"]]),
        h("div", { class: "buttons" },
          h("button", { type: "button", on: { click: then(() => this.page.go("events", row.name)) } }, "Look at it live"),
          h("button", { type: "button", on: { click: then(() => this.page.go("state", row.name)) } }, "Its subscribers")),
      ],
      { from },
    );
  }
}

function rowsOf(heads, rows) {
  return h("table", { class: "small" }, h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell) => h("td", null, cell))))));
}

/** Show all about one subscriber. */
export async function openSubscriber(page, key, from) {
  let found;
  try {
    found = await get("/api/subscriber", { key });
  } catch (error) {
    page.failed(error);
    return;
  }
  const leases = found.lease_list.map((lease) => [lease.event, left(lease.left_s), lease.by]);
  const reasons = Object.entries(found.reasons).map(([reason, times]) => [reason, count(times)]);
  openDetail(
    found.socket,
    [
      h("p", { class: "lead" }, chip(found.state), found.since_s === null ? "" : ` for ${duration(found.since_s)}`, found.reason ? ` · ${found.reason}` : ""),
      facts([
        ["Waiting", found.queued ? `${count(found.queued)}, the oldest for ${duration(found.oldest_s)}` : "0"],
        ["Raised for it", count(found.raised)],
        ["Delivered", count(found.delivered)],
        ["Failed", count(found.failed)],
        ...Object.entries(found.policy).map(([name, value]) => [name, String(value)]),
      ]),
      h("h3", null, found.lease_list.length === 1 ? "1 subscription" : `${count(found.lease_list.length)} subscriptions`),
      leases.length ? rowsOf(["Event", "Left", "Made by"], leases) : null,
      reasons.length ? h("h3", null, "Why events have failed") : null,
      reasons.length ? rowsOf(["Reason", "Events"], reasons) : null,
      found.members ? h("h3", null, "Members") : null,
      found.members ? rowsOf(["Member", "State", "Delivered"], found.members.map((member) => [member.socket, chip(member.state), count(member.delivered ?? 0)])) : null,
    ],
    { from },
  );
}
