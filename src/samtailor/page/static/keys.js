/** Keys of the page, and the help that lists them. */

import { $, el } from "./dom.js";
import { spotOfCursor } from "./pointer.js";
import { pixelOf, voxelAt } from "./planes.js";

const BRUSH = [1, 200];
const SIZES = ["[", "]"]; // with Option on many keyboards of a Mac

/** @param {any} kit */
export function listenToKeys({ store, toolbox, edits, stage, actions, cases, classes }) {
  const set = (patch) => store.set(patch);
  const resize = (factor) => {
    const { brush } = store.state;
    const next =
      factor > 1 ? Math.max(brush + 1, Math.round(brush * factor)) : Math.min(brush - 1, Math.round(brush * factor));
    set({ brush: Math.max(BRUSH[0], Math.min(BRUSH[1], next)) });
  };
  let conceals = false; // X is held
  const unhide = () => conceals && set({ concealed: (conceals = false) });
  const cycle = () => {
    const { opened, shown } = store.state;
    const sources = opened?.sources ?? [];
    if (sources.length > 1) actions.show(sources[(sources.indexOf(shown) + 1) % sources.length]);
  };
  const compare = () => {
    const { opened, shown, compare: beside } = store.state;
    const other = ["before", "truth", "prediction", "edit"].find((of) => of !== shown && opened?.sources.includes(of));
    if (other) actions.compare(beside ? "" : other);
  };
  const bindings = [
    ["?", "This help", () => openHelp()],
    ["[ ]", "Brush smaller, larger", null],
    ["0 – 9", "Choose a class; 0 is the background", null],
    ["Ctrl Z", "Undo; with Shift, redo", null],
    ["Ctrl S", "Save into the data set", null],
    ["N", "Next case; with Shift, the one before", null],
    ["R", "Predict this case", () => $("predict").disabled || actions.predict()],
    ["X", "Hide the overlay while held", null],
    ["O", "Only outlines", () => set({ outlines: !store.state.outlines })],
    ["T", "Show the next of label, truth, prediction, before", cycle],
    ["C", "Compare side by side", compare],
    ["V", "Enlarge the next plane of a volume", () => nextPlane(store)],
    ["M", "Clicks give or take", () => set({ negative: !store.state.negative })],
    ["A", "See all of the image", () => stage.fit()],
    ["+ −", "Zoom", null],
    ["Page Up, Page Down", "Slices, also with the wheel", null],
    ["Arrow keys", "Move the cursor on the canvas by one pixel, with Shift by ten; with the pan tool: slices", null],
    ["Enter", "Use the tool at the cursor", null],
    ["Space + drag", "Move the image; a right drag changes the window", null],
    ["Escape", "Forget corners, points and the current stroke", () => toolbox.cancel()],
  ];
  const simple = new Map(bindings.filter(([, , run]) => run).map(([key, , run]) => [key.toLowerCase(), run]));
  for (const tool of toolbox.tools) simple.set(tool.key, () => set({ tool: tool.name }));
  simple.set("[", () => resize(1 / 1.25)).set("]", () => resize(1.25));
  simple
    .set("+", () => stage.zoom(1.25))
    .set("=", () => stage.zoom(1.25))
    .set("-", () => stage.zoom(0.8))
    .set("−", () => stage.zoom(0.8));
  simple
    .set("x", () => set({ concealed: (conceals = true) }))
    .set("n", (event) => actions.next(cases.ids, event.shiftKey ? -1 : 1));
  simple.set("pageup", () => step(1)).set("pagedown", () => step(-1));
  const step = (slices) => store.state.opened?.isVolume && stage.step(stage.focused ?? stage.main, slices);
  drawHelp(toolbox.tools, bindings);

  document.addEventListener("keydown", (event) => {
    const onField = event.target.matches("input:not([type=range], [type=checkbox]), select, textarea");
    const command = event.ctrlKey || event.metaKey;
    if (document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (command && !onField && (key === "z" || key === "y"))
      key === "y" || event.shiftKey ? edits.redo() : edits.undo();
    else if (command && key === "s") $("save").disabled || actions.save();
    else if (command || (event.altKey && key !== "enter" && !SIZES.includes(key)) || onField) return;
    else if (onCanvas(event)) event.stopPropagation();
    else if (key === " " && !event.target.matches("button, input, li, summary")) set({ panning: true });
    else if (/^[0-9]$/.test(key)) classes.choose(Number(key));
    else if (simple.has(key) && !(event.target.matches("input") && key.startsWith("page"))) simple.get(key)(event);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "x") unhide();
    if (event.key === " ") set({ panning: false });
  });
  window.addEventListener("blur", () => (set({ panning: false }), unhide()));

  /** Keys of a canvas that has the focus. @returns {boolean} Whether it was one. */
  function onCanvas(event) {
    if (!event.target.matches(".pane canvas")) return false;
    const pane = stage.focused;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter") {
      if (toolbox.ready(pane)) toolbox.current.tap(spotOfCursor(pane, event));
    } else if (arrow && store.state.tool === "pan" && store.state.opened.isVolume)
      stage.step(pane, arrow[0] - arrow[1]);
    else if (arrow) moveCursor(pane, arrow, event.shiftKey ? 10 : 1);
    else return false;
    return true;
  }

  function moveCursor(pane, [du, dv], by) {
    const { plane } = pane;
    const [u, v, s] = pixelOf(plane, store.state.point);
    const within = (at, size) => Math.max(0, Math.min(size - 1, at));
    set({ point: voxelAt(plane, within(u + du * by, plane.width), within(v + dv * by, plane.height), s) });
    pane.reveal();
    pane.draw("view");
  }
}

function nextPlane(store) {
  const names = ["axial", "coronal", "sagittal"];
  if (store.state.opened?.isVolume) store.set({ big: names[(names.indexOf(store.state.big) + 1) % 3] });
}

function openHelp() {
  $("help-dialog").showModal();
  $("help-dialog").scrollTop = 0; // the button that gets the focus is at its end
}

function drawHelp(tools, bindings) {
  const entry = (key, text) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text })];
  $("help-tools").replaceChildren(
    ...tools.flatMap((tool) => entry(tool.key.toUpperCase(), `${tool.label}. ${tool.hint}`)),
  );
  $("help-keys").replaceChildren(...bindings.flatMap(([key, text]) => entry(key, text)));
  $("help").addEventListener("click", openHelp);
  $("help-close").addEventListener("click", () => $("help-dialog").close());
}
