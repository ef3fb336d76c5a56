/** Buttons of the tools, what belongs to the chosen one, undo and redo. */

import { $, el, icon } from "./dom.js";
import { say } from "./messages.js";

/** @param {any} kit */
export function buildToolPanel({ store, toolbox, edits, history, prompts }) {
  const buttons = toolbox.tools.map((tool) =>
    el(
      "button",
      {
        type: "button",
        class: "tool",
        data: { tool: tool.name },
        title: `${tool.hint} (${tool.key.toUpperCase()})`,
        "aria-label": tool.label,
        on: { click: () => store.set({ tool: tool.name }) },
      },
      icon(tool.name),
      el("span", { text: tool.label }),
      el("kbd", { text: tool.key.toUpperCase() }),
    ),
  );
  $("tools").prepend(...buttons);
  const undo = $("undo");
  const redo = $("redo");
  undo.prepend(icon("undo"));
  redo.prepend(icon("redo"));
  undo.addEventListener("click", () => edits.undo());
  redo.addEventListener("click", () => edits.redo());

  const draw = ({ tool, brush, negative, adding, opened }) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    $("tool-hint").textContent = toolbox.current.hint;
    $("brush-options").hidden = !["brush", "eraser"].includes(tool);
    $("click-options").hidden = tool !== "click";
    $("interpolate-options").hidden = !opened?.isVolume || ["pan", "eraser"].includes(tool);
    $("brush-size").value = brush;
    $("brush-number").textContent = `${brush} px`;
    $("negative").setAttribute("aria-pressed", String(negative));
    $("positive").setAttribute("aria-pressed", String(!negative));
    $("adding").checked = adding;
  };
  store.on(["tool", "brush", "negative", "adding", "opened"], draw);
  draw(store.state);

  const drawHistory = () => {
    const { opened, busy } = store.state;
    const [done, undone] = opened ? history.depth(opened.id) : [0, 0];
    undo.disabled = busy || done === 0;
    redo.disabled = busy || undone === 0;
  };
  store.on(["history", "opened", "busy"], drawHistory);
  drawHistory();

  $("brush-size").addEventListener("input", (event) => store.set({ brush: Number(event.target.value) }));
  $("positive").addEventListener("click", () => store.set({ negative: false }));
  $("negative").addEventListener("click", () => store.set({ negative: true }));
  $("adding").addEventListener("change", (event) => store.set({ adding: event.target.checked }));
  buildInterpolation(store, prompts);
}

/** From the nearest slice below to the nearest above that hold the class, if no others are typed. */
function buildInterpolation(store, prompts) {
  const [from, to] = [$("from-slice"), $("to-slice")];
  const propose = () => {
    const { opened, active, point } = store.state;
    if (!opened?.isVolume) return;
    if (document.activeElement === from || document.activeElement === to) return;
    const found = active > 0 ? opened.counts.around(active, point[0]) : null;
    [from.value, to.value] = found && found[1] > found[0] + 1 ? [found[0] + 1, found[1] + 1] : ["", ""];
    from.max = to.max = opened.shape[0];
  };
  let waiting = 0;
  const soon = () => (waiting ||= setTimeout(() => ((waiting = 0), propose()), 100));
  store.on(["opened", "active", "point", "label"], soon);
  $("interpolate").addEventListener("click", () => {
    const [first, last] = [Number(from.value) - 1, Number(to.value) - 1];
    const { opened } = store.state;
    if (store.state.active === 0) say("Choose a class first.");
    else if (!(first >= 0 && last > first + 1 && last < opened.shape[0]))
      say("Give two axial slices that hold the class, with others between them.");
    else if (store.state.shown !== "edit") say("Choose “Label” under Show first.");
    else prompts.interpolate(first, last);
  });
}
