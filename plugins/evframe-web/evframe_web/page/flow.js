// The way of the data as a picture: sources, events, and subscribers by transport.

import { s, visible } from "./dom.js";
import { rate, short } from "./format.js";

const ROW = 52;
const NODE = 40;
const TOP = 26;
const OTHERS = "";

const canvas = document.createElement("canvas").getContext("2d");

function fit(given, width, font) {
  const text = visible(given);
  canvas.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  if (canvas.measureText(text).width <= width) return text;
  const characters = [...text];
  let most = characters.length - 1;
  const cut = () => `${characters.slice(0, most).join("")}…`;
  while (most > 1 && canvas.measureText(cut()).width > width) most -= 1;
  return cut();
}

function columns(state) {
  const events = state.top.map((event) => ({
    id: event.name,
    name: event.name,
    sources: [event.source],
    rate: event.rate,
    below: event.rate === null ? `${short(event.raised)} raised` : `${rate(event.rate)}/s`,
  }));
  if (state.others.count) {
    const { count, rate: each, sources } = state.others;
    events.push({ id: OTHERS, name: `${count} other events`, sources, rate: each, below: each === null ? "" : `${rate(each)}/s` });
  }
  const names = new Set(events.flatMap((event) => event.sources));
  const sources = [...names].sort().map((name) => ({
    id: name,
    name: name || "clients and services",
    below: name ? "plugin" : "",
    rate: 0,
  }));
  for (const source of sources) {
    const own = events.filter((event) => event.sources.includes(source.id) && event.rate !== null);
    source.rate = own.reduce((sum, event) => sum + event.rate, 0);
    if (own.length) source.below = `${rate(source.rate)}/s`;
  }
  const transports = state.transports.filter((each) => each.subscribers).map((each) => ({
    id: each.name,
    name: `${each.name} · ${short(each.subscribers)}`,
    rate: each.delivered_rate,
    bad: each.away + each.failing,
    below: [
      each.delivered_rate === null ? `${short(each.delivered)} delivered` : `${rate(each.delivered_rate)}/s`,
      each.queued ? `${short(each.queued)} wait` : "",
      each.away ? `${short(each.away)} away` : "",
      each.failing ? `${short(each.failing)} failing` : "",
    ].filter(Boolean).join(" · "),
  }));
  return { sources, events, transports };
}

const thickness = (each) => (each ? Math.min(7, 1.4 + Math.log10(1 + each) * 1.5) : 1.2);

function node(x, y, width, each, kind, onOpen) {
  const bad = each.bad ? " bad" : "";
  const open = onOpen && (() => onOpen(each.id));
  const group = s(
    "g",
    {
      class: `node ${kind}${bad}${open ? " opens" : ""}`,
      transform: `translate(${x} ${y})`,
      tabindex: open ? 0 : undefined,
      role: open ? "button" : undefined,
      "aria-label": `${each.name}, ${each.below}`,
      on: open && {
        click: open,
        keydown: (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          open();
        },
      },
    },
    s("title", null, `${each.name}\n${each.below}`),
    s("rect", { width, height: NODE, rx: 8 }),
    s("rect", { class: "edge", width: 4, height: NODE - 16, x: 0, y: 8, rx: 2 }),
    s("text", { class: "name", x: 13, y: 17 }, fit(each.name, width - 22, "600 12px")),
    s("text", { class: "below", x: 13, y: 32 }, fit(each.below, width - 22, "11px")),
  );
  return group;
}

/** Draw the picture of a state into an SVG element that is `width` pixels wide; `open` gets what is chosen. */
export function draw(svg, state, width, open) {
  const { sources, events, transports } = columns(state);
  const isNarrow = width < 640;
  const shown = isNarrow ? [events, transports] : [sources, events, transports];
  const titles = isNarrow ? ["Events", "Subscribers"] : ["Sources", "Events", "Subscribers"];
  const gap = isNarrow ? 34 : Math.max(60, width * 0.09);
  const size = (width - gap * (shown.length - 1)) / shown.length;
  const rows = Math.max(1, ...shown.map((column) => column.length));
  const height = TOP + rows * ROW;
  const at = new Map();
  const nodes = [];
  shown.forEach((column, index) => {
    const x = index * (size + gap);
    const free = (rows - column.length) * ROW / 2;
    const kind = titles[index].toLowerCase();
    nodes.push(s("text", { class: "column", x, y: 12 }, titles[index]));
    column.forEach((each, row) => {
      const y = TOP + free + row * ROW;
      at.set(`${kind}:${each.id}`, { x, y: y + NODE / 2, each });
      const opens = kind === "sources" || (kind === "events" && each.id === OTHERS) ? undefined : (id) => open(kind, id);
      nodes.push(node(x, y, size, each, kind, opens));
    });
  });
  const edges = [];
  const join = (from, to, each, bad) => {
    if (!from || !to) return;
    const x1 = from.x + size;
    const half = (to.x - x1) / 2;
    const d = `M${x1} ${from.y}C${x1 + half} ${from.y} ${to.x - half} ${to.y} ${to.x} ${to.y}`;
    const kind = `edge-path${each ? " busy" : ""}${bad ? " bad" : ""}`;
    edges.push(s("path", { class: kind, d, "stroke-width": thickness(each).toFixed(1) }));
  };
  for (const event of events) {
    for (const source of event.sources) {
      join(at.get(`sources:${source}`), at.get(`events:${event.id}`), event.rate, false);
    }
  }
  for (const [event, transport, , bad] of state.flows) {
    const from = at.get(`events:${event}`);
    const to = at.get(`subscribers:${transport}`);
    if (from && to) join(from, to, from.each.rate, bad > 0);
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", String(height));
  const said = transports.map((each) => `${each.name}: ${each.below}`).join("; ");
  svg.setAttribute("aria-label", `From ${events.length} events to ${transports.length} transports. ${said}`);
  const focused = svg.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  svg.replaceChildren(s("g", { class: "edges" }, edges), ...nodes);
  if (focused !== null) {
    const name = focused.split(", ")[0];
    [...svg.querySelectorAll("[tabindex]")].find((each) => each.getAttribute("aria-label").split(", ")[0] === name)?.focus();
  }
}
