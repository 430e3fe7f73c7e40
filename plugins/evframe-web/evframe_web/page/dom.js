// Elements are made of nodes and texts alone: what comes from an event is never read as HTML.

const SVG = "http://www.w3.org/2000/svg";
const INVISIBLE = /[^\P{Cc}\n\t]|[\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const FOCUSABLE = "button, input, [tabindex='0']";

/** Return a text with escapes for what a browser hides or obeys: a mark of direction would turn the words around it. */
export const visible = (text) => String(text).replace(INVISIBLE, (character) => {
  const code = character.codePointAt(0).toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
});

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(name, value === true ? "" : visible(value));
    }
  }
  const shown = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...shown.map((child) => (child instanceof Node ? child : visible(child))));
  return element;
}

/** Return an HTML element with attributes, listeners (`on`) and children, which are nodes or texts. */
export function h(tag, properties, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Return an SVG element, as `h` does. */
export function s(tag, properties, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** Set the text of an element, unless it has that text. */
export function put(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Set an attribute, unless it has that value; none with null. */
export function mark(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, visible(value));
}

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Move the focus to the section that is shown, for a reader whose place has gone. */
export const focusSection = () => document.querySelector("[role=tab][aria-selected=true]")?.focus({ preventScroll: true });

/** Replace the children of an element; what takes the place of the child that had the focus gets it. */
export function refill(element, nodes) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const at = focused && [...element.children].findIndex((child) => child.contains(focused));
  element.replaceChildren(...nodes);
  if (!focused) return;
  const place = element.children[Math.min(at, element.children.length - 1)];
  const next = element.contains(focused) ? focused : place?.matches(FOCUSABLE) ? place : place?.querySelector(FOCUSABLE);
  next?.focus({ preventScroll: true });
}

/** Change what an element shows; the focus is not lost where what has it is removed, hidden or disabled. */
export function keepFocus(element, change) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  change();
  const now = element.contains(document.activeElement) ? document.activeElement : null;
  if (focused && (!now || now.disabled || !now.checkVisibility())) focusSection();
}

/** Return a chip: a word with a colour, which says nothing that the word does not. */
export function chip(state) {
  return h("span", { class: "chip", "data-state": state }, state);
}

/** Return a list of names and values. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}
