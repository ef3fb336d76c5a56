/** The middle of the page: which panes there are, and what makes them draw again. */

import { Camera } from "./camera.js";
import { $ } from "./dom.js";
import { Pane } from "./pane.js";
import { listen } from "./pointer.js";
import { classColours } from "./shade.js";

export class Stage {
  /** @type {Pane[]} */ panes = [];
  /** @type {Map<string, Camera>} */ #cameras = new Map();
  #colours = null;
  #slices = null; // the crosshair when slices were computed last

  /** The pane that has, or had, the focus. @type {Pane|null} */
  focused = null;

  /** @param {import("./state.js").Store} store @param {import("./toolbox.js").Toolbox} toolbox */
  constructor(store, toolbox) {
    this.store = store;
    this.toolbox = toolbox;
    this.node = $("panes");
    this.zoomButtons = $("zoom");
    store.on(["opened"], () => this.#cameras.clear());
    store.on(["opened", "big", "compare"], () => this.#arrange());
    store.on(["window"], () => this.draw("image"));
    store.on(["hidden", "opacity", "outlines", "concealed"], () => {
      this.#colours = null;
      this.draw("label");
    });
    store.on(["shown", "sources"], () => this.draw("label"));
    store.on(["tool", "brush", "negative", "mark"], () => this.draw("view"));
    store.on(["label"], (box) => this.panes.forEach((pane) => pane.changed(box)));
    store.on(["point"], () => this.#moved());
    $("slice").addEventListener("input", (event) => this.go(Number(event.target.value) - 1));
  }

  /** Draw all panes again. */
  draw(...layers) {
    for (const pane of this.panes) pane.draw(...layers);
  }

  /** The pane with the large plane. */
  get main() {
    return this.panes[0] ?? null;
  }

  /** See the whole of every plane. */
  fit() {
    for (const pane of this.panes) if (pane.which === "shown") pane.camera.fit(pane.plane, pane.width, pane.height);
    this.draw("view");
  }

  zoom(factor) {
    const pane = this.main;
    pane?.camera.zoomAt(factor, [pane.width / 2, pane.height / 2], pane.plane, pane.width, pane.height);
    this.draw("view");
  }

  /** Go some slices up or down in the plane of a pane. */
  step(pane, slices) {
    this.go(pane.slice + slices, pane);
  }

  /** Show a slice of a plane, by default the large one; not while a tool is at work in one. */
  go(slice, { plane } = this.main) {
    if (this.store.state.pressed) return;
    const point = [...this.store.state.point];
    point[plane.axes[2]] = Math.max(0, Math.min(plane.depth - 1, slice));
    this.store.set({ point: /** @type {any} */ (point) });
  }

  #arrange() {
    const { opened, big, compare } = this.store.state;
    for (const pane of this.panes) pane.remove();
    this.panes = [];
    this.#slices = this.focused = null;
    $("stage").dataset.state = opened ? "open" : "empty";
    $("slices").hidden = !opened?.isVolume;
    if (!opened) return;
    const large = opened.isVolume ? big : "axial";
    const others = opened.isVolume && !compare ? ["axial", "coronal", "sagittal"].filter((name) => name !== large) : [];
    this.node.dataset.layout = compare ? "pair" : others.length ? "planes" : "one";
    this.#add(large, "shown", false);
    this.main.node.append(this.zoomButtons);
    if (compare) this.#add(large, "compare", false);
    for (const name of others) this.#add(name, "shown", true);
    this.#moved();
  }

  #add(name, which, small) {
    const { opened } = this.store.state;
    if (!this.#cameras.has(name)) this.#cameras.set(name, new Camera());
    const camera = this.#cameras.get(name);
    if (!small) camera.fitted = camera.fitted || this.store.state.compare !== "";
    const pane = new Pane(this.store, opened.planes[name], camera, which, {
      colours: () => (this.#colours ??= classColours(this.store.state)),
      tool: () => this.toolbox.current,
      isSmall: small,
      onEnlarge: small ? () => this.store.set({ big: name }) : null,
    });
    this.panes.push(pane);
    this.node.append(pane.node);
    listen(pane, this, this.toolbox);
  }

  /** The crosshair moved: planes whose slice is another one compute it, the others draw the lines. */
  #moved() {
    const { point, opened } = this.store.state;
    if (!opened || !this.main) return;
    for (const pane of this.panes) {
      const same = this.#slices && this.#slices[pane.plane.axes[2]] === point[pane.plane.axes[2]];
      pane.draw(...(same ? ["view"] : ["image", "label", "view"]));
    }
    this.#slices = point;
    const { plane, slice } = this.main;
    Object.assign($("slice"), { max: plane.depth, value: slice + 1 });
    $("slice").setAttribute("aria-label", `Slice of the ${plane.name} plane`);
    $("slice-number").textContent = `${slice + 1} / ${plane.depth}`;
  }
}
