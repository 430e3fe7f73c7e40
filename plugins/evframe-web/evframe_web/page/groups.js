// The members of virtual sockets: their states, and which of them get events.

import { act } from "./api.js";
import { confirm, say } from "./dialogs.js";
import { chip, h, mark, put } from "./dom.js";
import { count, duration, short } from "./format.js";
import { Table, stateColumn } from "./table.js";

const POLICIES = {
  FAILOVER: "the first healthy member gets each event",
  "ROUND-ROBIN": "healthy members get events in turn",
  PARALLEL: "every member gets every event",
};

const policyOf = (row) => row.socket.slice("virtual:".length).split(/\s/)[0];

/** The section. */
export class Groups {
  id = "groups";
  label = "Groups";

  constructor(page) {
    this.page = page;
    this.table = new Table(
      "groups",
      "Groups",
      [
        stateColumn(() => ""),
        { id: "socket", label: "Group", kind: "group", sort: true, show: (cell, row) => this.show(cell, row) },
      ],
      {
        sort: "state",
        keyOf: (row) => row.key,
        empty: "There is no subscriber with members, such as virtual:FAILOVER udp:a:1 udp:b:1.",
        filterLabel: "Filter: socket, state or reason",
      },
    );
    this.element = h("section", { class: "section" }, this.table.element);
  }

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

  show(cell, row) {
    const policy = policyOf(row);
    const mayChoose = policy !== "PARALLEL";
    const can = (command) => mayChoose && this.page.may(`virtual:${command}`);
    const key = JSON.stringify([row.members.map((member) => member.socket), can("enable"), can("disable")]);
    if (cell.key !== key) {
      cell.key = key;
      cell.lines = row.members.map((member) => this.member(row, member, can));
      cell.sums = h("p", { class: "muted" });
      cell.replaceChildren(
        h("h3", null, policy, h("span", { class: "note" }, POLICIES[policy] ?? "")),
        h("ul", { class: "members" }, cell.lines.map((line) => line.element)),
        cell.sums,
      );
    }
    put(cell.sums, `${short(row.delivered)} delivered · ${short(row.failed)} failed · ${short(row.queued)} wait · ${row.events.join(", ")}`);
    row.members.forEach((member, index) => cell.lines[index].show(member));
  }

  member(row, { socket }, can) {
    const state = chip("");
    const note = h("span", { class: "note" });
    const counts = h("span", { class: "muted counts-line" });
    const button = h("button", { type: "button", on: { click: () => this.toggle(row.key, socket, button.dataset.to) } });
    const element = h("li", { class: "member" }, state, h("span", { class: "socket" }, socket), note, counts, button);
    const show = (member) => {
      const isOff = member.state === "disabled";
      const to = isOff ? "enable" : "disable";
      put(state, member.state);
      mark(state, "data-state", member.state);
      put(note, "failed_for_s" in member ? `for ${duration(member.failed_for_s)}, next probe in ${duration(member.next_probe_s)}` : "");
      put(counts, "delivered" in member ? `${count(member.delivered)} delivered · ${count(member.failed)} failed` : "");
      button.hidden = !can(to) || member.state === "idle";
      button.dataset.to = to;
      put(button, isOff ? "Enable" : "Disable");
      mark(button, "aria-label", `${isOff ? "Enable" : "Disable"} ${socket}`);
    };
    return { element, show };
  }

  async toggle(key, member, to) {
    if (to === "disable" && !(await confirm("Disable a member?", `${member} gets no more events until it is enabled. What it has not delivered goes to the other members.`, "Disable"))) return;
    try {
      await act(`virtual:${to}`, { socket: key, member });
      say(`${member} is ${to}d.`);
    } catch (error) {
      this.page.failed(error, true);
    }
    this.refresh();
  }
}
