// A table whose rows the gateway sorts, filters and divides into pages; cells change in place, so that focus stays.

import { get } from "./api.js";
import { h, keepFocus, mark, put, refill } from "./dom.js";
import { count } from "./format.js";

const PAGE = 50;

/** Return the elements of a table with a line for sorting; `columns` have `id`, `label`, `cell(row)`, `sort`. */
export class Table {
  constructor(name, label, columns, { sort, descending = false, open, keyOf, empty, filterLabel }) {
    this.name = name;
    this.columns = columns;
    this.keyOf = keyOf;
    this.open = open;
    this.empty = empty;
    this.query = { text: "", sort, order: descending ? "descending" : "ascending", offset: 0, limit: PAGE };
    this.rows = new Map();
    this.filter = h("input", {
      type: "search",
      class: "filter",
      placeholder: filterLabel,
      "aria-label": filterLabel,
      autocomplete: "off",
      spellcheck: "false",
      on: { input: () => this.search(this.filter.value) },
    });
    this.found = h("p", { class: "found", role: "status" });
    this.heads = columns.map((column) => this.head(column));
    this.body = h("tbody", { on: { keydown: (event) => this.move(event) } });
    this.table = h("table", { class: `table ${name}`, "aria-label": label }, h("thead", null, h("tr", null, this.heads)), this.body);
    this.before = h("button", { type: "button", on: { click: () => this.turn(-PAGE) } }, "← Previous");
    this.after = h("button", { type: "button", on: { click: () => this.turn(PAGE) } }, "Next →");
    this.pages = h("div", { class: "pages" }, this.before, this.after);
    this.nothing = h("p", { class: "empty", hidden: true });
    this.element = h(
      "div",
      { class: "table-block" },
      h("div", { class: "bar" }, this.filter, this.found),
      h("div", { class: "scroll" }, this.table),
      this.nothing,
      this.pages,
    );
    this.showSort();
  }

  head(column) {
    const label = column.sort
      ? h("button", { type: "button", class: "sort", on: { click: () => this.sortBy(column) } }, column.label)
      : column.label;
    return h("th", { scope: "col", class: column.kind }, label);
  }

  showSort() {
    this.columns.forEach((column, index) => {
      mark(this.heads[index], "aria-sort", column.id === this.query.sort ? this.query.order : null);
    });
  }

  sortBy(column) {
    const isSame = this.query.sort === column.id;
    const first = column.kind === "number" ? "descending" : "ascending";
    const other = this.query.order === "descending" ? "ascending" : "descending";
    Object.assign(this.query, { sort: column.id, order: isSame ? other : first, offset: 0 });
    this.showSort();
    this.refresh();
  }

  /** Show the rows that have a text. */
  search(text) {
    if (this.filter.value !== text) this.filter.value = text;
    Object.assign(this.query, { text, offset: 0 });
    this.refresh();
  }

  turn(step) {
    this.query.offset = Math.max(0, this.query.offset + step);
    this.refresh();
  }

  async refresh() {
    const asked = { ...this.query };
    const answer = await get("/api/table", { name: this.name, ...asked });
    if (Object.keys(asked).some((key) => asked[key] !== this.query[key])) return; // something else was asked meanwhile
    keepFocus(this.element, () => this.show(answer));
  }

  show({ rows, matched, of, offset }) {
    const last = offset + rows.length;
    const range = matched > rows.length ? `${count(offset + 1)}–${count(last)} of ${count(matched)}` : count(matched);
    put(this.found, matched === of ? range : `${range} of ${count(of)} match`);
    this.pages.hidden = matched <= rows.length && !offset;
    this.before.disabled = !offset;
    this.after.disabled = last >= matched;
    this.nothing.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
    put(this.nothing, of ? "Nothing matches the filter." : this.empty);
    this.fill(rows);
  }

  fill(rows) {
    const wanted = rows.map((row) => {
      const key = this.keyOf(row);
      const line = this.rows.get(key) ?? this.line();
      line.row = row;
      mark(line, "data-state", row.state ?? null);
      this.columns.forEach((column, index) => column.show(line.shown[index], row));
      return [key, line];
    });
    this.rows = new Map(wanted);
    const lines = wanted.map(([, line]) => line);
    if (lines.length !== this.body.children.length || lines.some((line, index) => this.body.children[index] !== line)) {
      refill(this.body, lines);
    }
  }

  line() {
    const cells = this.columns.map((column) => h("td", { class: column.kind, "data-label": column.label }));
    const open = (event) => {
      if (this.open && !event.target.closest("button, a, input")) this.open(line.row, line);
    };
    const line = h("tr", { tabindex: this.open ? 0 : undefined, on: { click: open } }, cells);
    line.shown = cells;
    return line;
  }

  move(event) {
    const line = event.target.closest("tr");
    if (!line || event.target !== line) return;
    if (event.key === "Enter" || event.key === " ") this.open?.(line.row, line);
    else if (event.key === "ArrowDown") line.nextElementSibling?.focus();
    else if (event.key === "ArrowUp") line.previousElementSibling?.focus();
    else return;
    event.preventDefault();
  }
}

/** Return a column of plain text. */
export function column(id, label, text, { kind = "text", sort = true } = {}) {
  return { id, label, kind, sort, show: (cell, row) => put(cell, text(row)) };
}

/** Return a column with the state of a row. */
export function stateColumn(note) {
  return {
    id: "state",
    label: "State",
    kind: "text state",
    sort: true,
    show(cell, row) {
      if (!cell.firstChild) cell.append(h("span", { class: "chip" }), h("span", { class: "note" }));
      const [chip, said] = cell.children;
      put(chip, row.state);
      mark(chip, "data-state", row.state);
      put(said, note(row));
    },
  };
}
