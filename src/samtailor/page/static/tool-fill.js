/** Fill: the connected region of one class, or of background, becomes the chosen class. */

import { say } from "./messages.js";
import { indexOf } from "./planes.js";
import { region } from "./shapes.js";

/** @returns {import("./toolbox.js").Tool} */
export function fillTool({ store, edits }) {
  return {
    name: "fill",
    label: "Fill",
    key: "f",
    hint: "Click into a region: all that is connected there becomes the class.",
    down() {},
    move() {},
    up(spot) {
      if (spot.inside) this.tap(spot);
    },
    cancel() {},
    tap({ plane, slice, u, v }) {
      const { opened, active } = store.state;
      const [column, row] = [Math.floor(u), Math.floor(v)];
      if (opened.label[indexOf(plane, column, row, slice)] === active) {
        say("This region has the class already.");
        return;
      }
      const stroke = edits.stroke(plane, slice, active);
      region(opened.label, plane, slice, column, row, stroke.put);
      edits.finish(stroke);
    },
  };
}
