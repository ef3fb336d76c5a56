/** Messages: shown for a while at the foot of the canvas, and read out by screen readers. Errors stay until closed. */

import { $, el } from "./dom.js";

const STAY = 6000; // ms

/**
 * @param {string} text
 * @param {{label: string, run: () => void}} [action] A button beside it.
 */
export function say(text, action) {
  show(text, "note", action);
}

/** @param {Error|string} error */
export function fail(error) {
  if (error instanceof Error && error.name === "AbortError") return;
  show(error instanceof Error ? error.message : error, "error");
}

function show(text, kind, action) {
  const list = $(kind === "error" ? "errors" : "notes");
  for (const old of [...list.children]) if (kind === "note" || old.dataset.text === text) old.remove();
  const close = el("button", {
    type: "button",
    class: "quiet",
    text: "×",
    "aria-label": "Close message",
    on: { click: () => node.remove() },
  });
  const run =
    action && el("button", { type: "button", text: action.label, on: { click: () => (node.remove(), action.run()) } });
  const node = el("div", { class: `message ${kind}`, data: { text } }, el("span", { text }), run ?? null, close);
  list.append(node);
  if (kind === "note") setTimeout(() => node.remove(), action ? 3 * STAY : STAY);
}
