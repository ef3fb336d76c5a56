/** One canvas: a plane of the opened case with a label over it. What is drawn is kept by layer, at the image's size. */

import { el, icon } from "./dom.js";
import { drawMarks } from "./marks.js";
import { NAMES } from "./opened.js";
import { pixelOf, rectOf } from "./planes.js";
import { shadeImage, shadeLabel } from "./shade.js";

export class Pane {
  #image = document.createElement("canvas");
  #label = document.createElement("canvas");
  #stale = new Set(["image", "label", "view"]);
  #frame = 0;

  /** Of the canvas, in pixels of the screen; 0 until it is laid out. */
  width = 0;
  height = 0;

  /**
   * @param {import("./state.js").Store} store
   * @param {import("./planes.js").Plane} plane
   * @param {import("./camera.js").Camera} camera
   * @param {"shown"|"compare"} which Whether it draws the label that is shown or the one beside it.
   * @param {{colours: () => any, tool: () => any, isSmall: boolean,
   *   onEnlarge: (() => void)|null}} context
   */
  constructor(store, plane, camera, which, context) {
    this.store = store;
    this.plane = plane;
    this.camera = camera;
    this.which = which;
    this.context = context;
    this.title = el("span", { class: "pane-title" });
    this.canvas = el("canvas", { tabIndex: 0, role: "application" });
    const enlarge =
      context.onEnlarge &&
      el(
        "button",
        {
          class: "quiet pane-enlarge",
          type: "button",
          title: `Enlarge ${plane.name}`,
          "aria-label": `Enlarge the ${plane.name} plane`,
          on: { click: context.onEnlarge },
        },
        icon("enlarge"),
      );
    this.node = el("section", { class: "pane", data: { plane: plane.name, which } }, this.canvas, this.title, enlarge);
    for (const layer of [this.#image, this.#label]) [layer.width, layer.height] = [plane.width, plane.height];
    this.#sizes = new ResizeObserver(() => this.#resize());
    this.#sizes.observe(this.node);
  }

  #sizes;

  /** Slice of the plane that is shown. */
  get slice() {
    return this.store.state.point[this.plane.axes[2]];
  }

  /** Source of the label that is drawn. */
  get source() {
    return this.store.state[this.which];
  }

  /** Draw again, soon. @param {...("image"|"label"|"view")} layers What is to be computed anew. */
  draw(...layers) {
    for (const layer of layers) this.#stale.add(layer);
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  /** A box of the edited label changed: draw that part anew. */
  changed(box) {
    const rect = rectOf(this.plane, box, this.slice);
    if (!rect || this.source !== "edit") return;
    const grow = this.#thickness;
    const { width, height } = this.plane;
    if (!this.#stale.has("label"))
      this.#paintLabel([
        Math.max(0, rect[0] - grow),
        Math.max(0, rect[1] - grow),
        Math.min(width, rect[2] + grow),
        Math.min(height, rect[3] + grow),
      ]);
    this.draw("view");
  }

  remove() {
    this.#sizes.disconnect();
    cancelAnimationFrame(this.#frame);
    this.node.remove();
  }

  /** Column and row, with fractions, of a place in the canvas. */
  pixelAt(x, y) {
    return this.camera.toPlane(x, y, this.plane, this.width, this.height);
  }

  /** Place in the canvas of a column and row. */
  placeOf(u, v) {
    return this.camera.toScreen(u, v, this.plane, this.width, this.height);
  }

  /** Have the crosshair in view. */
  reveal() {
    const [u, v] = pixelOf(this.plane, this.store.state.point);
    this.camera.reveal(u, v, this.plane, this.width, this.height);
  }

  /** Outlines stay visible where several pixels share one of the screen. */
  get #thickness() {
    const zoom = Math.min(
      this.width / (this.plane.width * this.plane.size[0]),
      this.height / (this.plane.height * this.plane.size[1]),
    );
    return Math.max(1, Math.min(8, Math.round(1 / (zoom * Math.min(...this.plane.size)))));
  }

  #resize() {
    const { clientWidth, clientHeight } = this.node;
    [this.width, this.height] = [clientWidth, clientHeight];
    const scale = window.devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    if (this.camera.fitted && this.which === "shown") this.camera.fit(this.plane, clientWidth, clientHeight);
    this.draw("label", "view");
  }

  #paintLabel(rect) {
    const label = this.store.state.opened.source(this.source);
    const context = this.#label.getContext("2d");
    if (!label) context.clearRect(0, 0, this.#label.width, this.#label.height);
    else
      context.putImageData(
        shadeLabel(label, this.plane, this.slice, rect, this.#thickness, this.context.colours()),
        rect[0],
        rect[1],
      );
  }

  #render() {
    this.#frame = 0;
    const { opened, window: levels } = this.store.state;
    if (!opened || !this.width || !this.height) return;
    if (this.#stale.has("image"))
      this.#image.getContext("2d").putImageData(shadeImage(opened, this.plane, this.slice, levels), 0, 0);
    if (this.#stale.has("label")) this.#paintLabel([0, 0, this.plane.width, this.plane.height]);
    this.#stale.clear();
    this.#compose();
    this.#name();
  }

  #compose() {
    const context = this.canvas.getContext("2d");
    const scale = this.canvas.width / this.width;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const { width, height } = this.plane;
    // Only what is seen is drawn: pictures may be far larger than the canvas.
    const [u0, v0] = this.pixelAt(0, 0)
      .map((at) => Math.floor(at))
      .map((at) => Math.max(0, at));
    const [right, bottom] = this.pixelAt(this.width, this.height);
    const [u1, v1] = [Math.min(width, Math.ceil(right)), Math.min(height, Math.ceil(bottom))];
    if (u1 > u0 && v1 > v0) {
      const [left, top] = this.placeOf(u0, v0);
      const [end, foot] = this.placeOf(u1, v1);
      context.imageSmoothingEnabled = this.camera.zoom * Math.max(...this.plane.size) < 1.5;
      for (const layer of [this.#image, this.#label])
        context.drawImage(layer, u0, v0, u1 - u0, v1 - v0, left, top, end - left, foot - top);
    }
    drawMarks(context, this);
  }

  #name() {
    const { opened } = this.store.state;
    const where = opened.isVolume ? `${this.plane.name} ${this.slice + 1}` : "";
    const full = [where, NAMES[this.source].toLowerCase()].filter(Boolean).join(" · ");
    this.title.textContent = this.context.isSmall ? where : full;
    this.canvas.setAttribute(
      "aria-label",
      `${opened.meta.name}, ${full}. ` +
        "Arrow keys move the cursor, Enter applies the tool, Page Up and Page Down change the slice.",
    );
  }
}
