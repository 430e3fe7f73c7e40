// Questions that are answered before anything else, and short messages that pass.

import { byId, h } from "./dom.js";

/** Show a dialog with a title and content; `buttons` are pairs of a word and its value. Return the chosen value. */
export function ask(title, content, buttons, { isForced = false } = {}) {
  const dialog = byId("dialog");
  if (dialog.open) dialog.close();
  return new Promise((resolve) => {
    const end = (value) => {
      dialog.close();
      resolve(value);
    };
    const row = buttons.map(([word, value, kind]) =>
      h("button", { type: "button", class: kind, on: { click: () => end(value) } }, word));
    dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), h("div", null, content), h("div", { class: "buttons" }, row));
    dialog.oncancel = (event) => {
      event.preventDefault();
      if (!isForced) end(null);
    };
    dialog.onkeydown = (event) => {
      if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
      event.preventDefault();
      row.at(-1).click();
    };
    dialog.showModal();
    (dialog.querySelector("input") ?? row.at(0)).focus();
  });
}

/** Ask whether to do something; the safe answer has the focus. */
export function confirm(title, text, word, kind = "primary") {
  return ask(title, h("p", null, text), [["Cancel", false], [word, true, kind]]);
}

/** Show a message for a while. */
export function say(text, kind = "") {
  const toast = h("p", { class: `toast ${kind}` }, text);
  byId("toasts").append(toast);
  setTimeout(() => toast.remove(), kind === "bad" ? 9000 : 4500);
}
