// Dead letters: list, show, replay and drop them.

import { act, get, result } from "./api.js";
import { closeDetail, copied, openDetail } from "./detail.js";
import { confirm, say } from "./dialogs.js";
import { facts, h, keepFocus, put, refill } from "./dom.js";
import { beginning, count, moment, pretty } from "./format.js";

const PAGE = 50;
const COLUMNS = ["", "At", "Event", "Socket", "Reason", "Attempts"];
const KINDS = ["pick", "text nowrap", "text strong", "text socket", "text", "number"];
const FIELDS = [["event", "Event, such as E_UL_*"], ["socket", "Socket, such as tcp:*"], ["reason", "Reason, such as expired"]];

/** The section. */
export class Letters {
  id = "letters";
  label = "Dead letters";

  constructor(page) {
    this.page = page;
    this.letters = [];
    this.chosen = new Set();
    this.starts = [0]; // of the pages before, for the way back
    this.next = null;
    this.fields = FIELDS.map(([name, hint]) => h("input", {
      type: "search",
      class: "filter",
      name,
      placeholder: hint,
      "aria-label": `${name}: a pattern`,
      autocomplete: "off",
      spellcheck: "false",
      on: { change: () => this.search(), search: () => this.search() },
    }));
    this.found = h("p", { class: "found", role: "status" });
    const button = (word, kind, work) => h("button", { type: "button", class: kind, on: { click: work } }, word);
    this.replay = button("Replay", "", () => this.replayChosen());
    this.drop = button("Drop", "", () => this.dropChosen());
    this.before = button("← Previous", "", () => this.turn(-1));
    this.after = button("Next →", "", () => this.turn(1));
    this.replays = h("ul", { class: "replays" });
    this.body = h("tbody", { on: { keydown: (event) => this.move(event) } });
    this.table = h("table", { class: "table letters", "aria-label": "Dead letters, the oldest first" },
      h("thead", null, h("tr", null, COLUMNS.map((name, index) => h("th", { scope: "col", class: KINDS[index] }, index ? name : h("span", { class: "hidden-text" }, "Choose"))))), this.body);
    this.nothing = h("p", { class: "empty", hidden: true });
    this.bar = h("div", { class: "bar actions" }, this.replay, this.drop);
    this.pages = h("div", { class: "pages" }, this.before, this.after);
    this.element = h("section", { class: "section" },
      h("div", { class: "bar" }, this.fields, this.found), this.bar, this.replays,
      h("div", { class: "scroll" }, this.table), this.nothing, this.pages);
  }

  enter() {
    this.refresh();
  }

  leave() {}

  focusFilter() {
    this.fields[0].select();
    this.fields[0].focus();
  }

  get wanted() {
    return Object.fromEntries(this.fields.map((field) => [field.name, field.value.trim()]).filter(([, value]) => value));
  }

  search() {
    this.starts = [0];
    this.chosen.clear();
    this.refresh();
  }

  turn(step) {
    if (step > 0) this.starts.push(this.next);
    else this.starts.pop();
    this.refresh();
  }

  async refresh() {
    try {
      const asked = { ...this.wanted, after: this.starts.at(-1), limit: PAGE };
      const { Letters: found, next } = result(await get("/api/letters", asked));
      this.letters = found;
      this.next = next;
      const replays = this.page.has("dead_letters:replays") ? result(await get("/api/replays")).Replays : [];
      keepFocus(this.element, () => this.show(replays));
    } catch (error) {
      this.page.failed(error);
    }
  }

  show(replays) {
    const total = this.page.state?.dead_letters;
    const isFiltered = Object.keys(this.wanted).length > 0;
    put(this.found, isFiltered ? `${count(this.letters.length)} on this page` : `${count(total ?? this.letters.length)} kept`);
    this.before.disabled = this.starts.length < 2;
    this.after.disabled = this.next === null || this.letters.length < PAGE;
    this.pages.hidden = this.before.disabled && this.after.disabled;
    this.nothing.hidden = this.letters.length > 0;
    this.table.hidden = this.letters.length === 0;
    put(this.nothing, isFiltered ? "Nothing matches the filter." : "There are no dead letters: no event that is kept has failed for good.");
    const ids = new Set(this.letters.map((letter) => letter.id));
    for (const id of this.chosen) if (!ids.has(id)) this.chosen.delete(id);
    const shown = JSON.stringify([this.letters.map((letter) => letter.id), this.mayAct]);
    if (shown !== this.shown) {
      this.shown = shown;
      const known = new Map([...this.body.children].map((line) => [line.letter.id, line]));
      const keeps = (line) => line && Boolean(line.box) === this.mayAct; // the others get a box, or lose it
      refill(this.body, this.letters.map((letter) => {
        const line = known.get(letter.id);
        return keeps(line) ? line : this.line(letter);
      }));
    }
    this.buttons();
    this.running(replays);
  }

  get mayAct() {
    return this.page.may("dead_letters:replay") || this.page.may("dead_letters:drop");
  }

  line(letter) {
    const box = this.mayAct && h("input", {
      type: "checkbox",
      "aria-label": `Choose letter ${letter.id}`,
      on: { change: () => this.choose(letter.id, box.checked) },
    });
    if (box) box.checked = this.chosen.has(letter.id);
    const cells = [box || "", moment(letter.at), letter.event, letter.socket, letter.reason, count(letter.attempts)];
    const line = h("tr", { tabindex: 0, on: { click: (event) => event.target.closest("input") || this.open(letter, line) } },
      cells.map((cell, index) => h("td", { class: KINDS[index], "data-label": COLUMNS[index] }, cell)));
    return Object.assign(line, { letter, box });
  }

  choose(id, isChosen) {
    if (isChosen) this.chosen.add(id);
    else this.chosen.delete(id);
    this.buttons();
  }

  buttons() {
    const some = this.chosen.size;
    const what = some ? `${count(some)} chosen` : Object.keys(this.wanted).length ? "all that match" : "all";
    this.bar.hidden = !this.letters.length || !this.mayAct;
    this.replay.hidden = !this.page.may("dead_letters:replay");
    this.drop.hidden = !this.page.may("dead_letters:drop");
    put(this.replay, `Replay ${what}`);
    put(this.drop, `Drop ${what}`);
  }

  /** Return the parameters that name what is chosen: ids, or a filter, which has to be one. */
  get named() {
    if (this.chosen.size) return { ids: [...this.chosen] };
    return Object.keys(this.wanted).length ? this.wanted : { socket: "*" };
  }

  replayChosen() {
    return this.replayNamed(this.named, this.replay.textContent.toLowerCase().replace("replay ", ""));
  }

  async replayNamed(named, what) {
    if (!(await confirm(`Replay ${what}?`, "Each event is sent to its subscriber again, which may have it already. A letter that is delivered is removed.", "Replay"))) return;
    await this.act("dead_letters:replay", named, () => "The replay has begun.");
  }

  dropChosen() {
    return this.dropNamed(this.named, this.drop.textContent.toLowerCase().replace("drop ", ""));
  }

  async dropNamed(named, what) {
    if (!(await confirm(`Drop ${what}?`, "The events are deleted and cannot be replayed any more.", "Drop", "danger"))) return;
    await this.act("dead_letters:drop", named, (answer) => `${count(answer.Dropped)} dropped.`);
  }

  async act(method, params, said) {
    try {
      const answer = await act(method, params);
      say(said(answer));
      this.chosen.clear();
      closeDetail();
    } catch (error) {
      this.page.failed(error, true);
    }
    this.refresh();
  }

  running(replays) {
    const shown = replays.slice(-3);
    const key = JSON.stringify([shown, this.page.may("dead_letters:stop")]);
    if (key === this.replaysShown) return;
    this.replaysShown = key;
    refill(this.replays, shown.map((each) => h("li", null,
      h("span", null, `Replay ${each.id}: ${each.state}, ${count(each.delivered)} delivered, ${count(each.failed)} failed, ${count(each.left)} left`),
      each.problem ? h("span", { class: "why" }, each.problem) : null,
      each.state === "running" && this.page.may("dead_letters:stop")
        ? h("button", { type: "button", on: { click: () => this.act("dead_letters:stop", { id: each.id }, () => "The replay is stopped.") } }, "Stop")
        : null)));
  }

  async open(letter, from) {
    let found;
    try {
      found = result(await get("/api/letter", { id: letter.id })).Letter;
    } catch (error) {
      this.page.failed(error, true);
      return;
    }
    const named = { ids: [letter.id] };
    const [payload, isCut] = beginning(pretty(found.payload));
    openDetail(
      `Letter ${letter.id}`,
      [
        facts([["Event", found.event], ["Socket", found.socket], ["Reason", found.reason], ["Detail", found.detail], ["Failed", moment(found.at)], ["First raised", moment(found.first_raised)], ["Attempts", count(found.attempts)], ["Size", `${count(found.bytes)} bytes`]]),
        h("h3", null, "Payload"),
        isCut ? h("p", { class: "muted" }, "The beginning; Copy has all of it.") : null,
        copied(payload, isCut ? found.payload : payload),
        h("div", { class: "buttons" },
          this.page.may("dead_letters:replay") && h("button", { type: "button", class: "primary", on: { click: () => this.replayNamed(named, `letter ${letter.id}`) } }, "Replay"),
          this.page.may("dead_letters:drop") && h("button", { type: "button", class: "danger", on: { click: () => this.dropNamed(named, `letter ${letter.id}`) } }, "Drop")),
      ],
      { from },
    );
  }

  move(event) {
    const line = event.target.closest("tr");
    if (event.target !== line) return;
    if (event.key === "Enter") this.open(line.letter, line);
    else if (event.key === "ArrowDown") line.nextElementSibling?.focus();
    else if (event.key === "ArrowUp") line.previousElementSibling?.focus();
    else return;
    event.preventDefault();
  }
}
