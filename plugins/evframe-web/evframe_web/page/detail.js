// The panel with all about one thing: beside the section, or above it on a phone.

import { byId, focusSection, h } from "./dom.js";

let opener = null;
let onClose = null;

/** Whether the panel is shown. */
export const isOpen = () => !byId("detail").hidden;

/** Show a panel; `from` gets the focus back, `closed` is called at the end. */
export function openDetail(title, content, { from = document.activeElement, closed = null } = {}) {
  const panel = byId("detail");
  onClose?.();
  onClose = closed;
  opener = from;
  const close = h(
    "button",
    { type: "button", class: "quiet close", "aria-label": "Close the details", title: "Close (Esc)", on: { click: closeDetail } },
    "✕",
  );
  const heading = h("h2", { tabindex: -1 }, title);
  panel.replaceChildren(h("div", { class: "detail-head" }, heading, close), h("div", { class: "detail-body" }, content));
  panel.hidden = false;
  document.body.classList.add("has-detail");
  close.focus({ preventScroll: true });
}

/** Close the panel, if it is shown. */
export function closeDetail() {
  const panel = byId("detail");
  if (panel.hidden) return;
  panel.hidden = true;
  panel.replaceChildren();
  document.body.classList.remove("has-detail");
  onClose?.();
  onClose = null;
  if (opener?.isConnected) opener.focus({ preventScroll: true });
  else focusSection();
}

/** Return a text that is copied with a button: `whole`, where the text that is shown is the beginning of it. */
export function copied(text, whole = text) {
  const button = h("button", {
    type: "button",
    class: "quiet copy",
    on: {
      async click() {
        try {
          await navigator.clipboard.writeText(whole);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(pre); // where the clipboard is not to be had, as without TLS
          button.textContent = "Selected";
        }
      },
    },
  }, "Copy");
  const pre = h("pre", { tabindex: 0 }, text);
  return h("div", { class: "code" }, button, pre);
}
