/** Fill: the connected region of one class, or of background, becomes the chosen class. */

import { say } from "./messages.js";
import { indexOf } from "./planes.js";
import { region } from "./shapes.js";

/** @returns {import("./toolbox.js").Tool} */
export function fillTool({ store, edits }) {
  let pressed = false;
  return {
    name: "fill",
    label: "Fill",
    key: "f",
    hint: "Click into a region: all that is connected there becomes the class.",
    down() {
      pressed = true;
    },
    move() {},
    up(spot) {
      if (pressed && spot.inside) this.tap(spot);
      pressed = false;
    },
    cancel() {
      pressed = false;
    },
    tap({ plane, slice, u, v }) {
      const { opened, active } = store.state;
      const [column, row] = [Math.floor(u), Math.floor(v)];
      const at = indexOf(plane, column, row, slice);
      if (!opened.holds(at)) return say("The image holds nothing here.");
      if (opened.label[at] === active) return say("This region has the class already.");
      const stroke = edits.stroke(plane, slice, active);
      region(opened, plane, slice, column, row, stroke.put);
      edits.finish(stroke);
    },
  };
}
