/** The tools, which one is chosen, and whether it may be used. */

import { say } from "./messages.js";
import { spotOfCursor } from "./pointer.js";
import { boxTool } from "./tool-box.js";
import { brushTool } from "./tool-brush.js";
import { clickTool } from "./tool-click.js";
import { fillTool } from "./tool-fill.js";
import { lassoTool } from "./tool-lasso.js";

/**
 * What the chosen tool does with the pointer; `tap` is the keyboard's Enter. `pan` has none of them.
 * @typedef {Object} Tool
 * @property {string} name @property {string} label @property {string} key @property {string} hint
 * @property {(spot: import("./pointer.js").Spot) => void} [down] @property {(spot: any) => void} [move]
 * @property {(spot: any) => void} [up] @property {() => void} [cancel] @property {(spot: any) => void} [tap]
 * @property {() => void} [twice] On a double click. @property {boolean} [clicks] The right button takes away.
 * @property {(context: CanvasRenderingContext2D, pane: any) => void} [draw]
 */

/** @type {Tool} */
const pan = {
  name: "pan",
  label: "Pan",
  key: "h",
  hint: "Drag to move, wheel or pinch to zoom. A click puts the crosshair.",
};

export class Toolbox {
  /** Where the pointer is: {pane, spot}, or null. */
  hover = null;

  /** @param {{store: import("./state.js").Store, edits: any, prompts: any}} kit */
  constructor(kit) {
    this.store = kit.store;
    kit.toolbox = this;
    /** @type {Tool[]} */
    this.tools = [
      pan,
      clickTool(kit),
      boxTool(kit),
      lassoTool(kit),
      brushTool(kit, false),
      brushTool(kit, true),
      fillTool(kit),
    ];
    // With other panes, what is half done would never end: their canvas is another one.
    this.store.on(["tool", "opened", "active", "big", "compare"], () => this.cancel());
    this.store.on(["stepped"], () => kit.prompts.forget());
  }

  get current() {
    return this.tools.find((tool) => tool.name === this.store.state.tool);
  }

  /** The place of the keyboard's cursor in a pane. */
  cursor(pane) {
    return spotOfCursor(pane, { altKey: false, shiftKey: false });
  }

  /** Forget what is half done. */
  cancel() {
    for (const tool of this.tools) tool.cancel?.();
    this.store.set({ pressed: false });
    this.store.emit("mark");
  }

  /** Whether the label may be changed in a pane; if not, it is said why. */
  ready(pane) {
    const { busy, opened } = this.store.state;
    if (!opened || !this.current.down) return false;
    if (pane.source !== "edit") say("Tools change the label. Choose “Label” under Show, or use this one as label.");
    else if (busy) say("Wait for the segmenter’s answer.");
    else return true;
    return false;
  }
}
