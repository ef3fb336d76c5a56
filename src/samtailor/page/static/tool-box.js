/** Box: the segmenter draws the object of the chosen class in it. */

import { stroke as ink } from "./marks.js";
import { say } from "./messages.js";

const LEAST = 2; // pixels: what is smaller was a click by mistake

/** @returns {import("./toolbox.js").Tool} */
export function boxTool(kit) {
  const { prompts } = kit;
  let first = null;
  let last = null;
  const forget = () => (first = last = null);
  const within = ({ plane, u, v }) => [Math.max(0, Math.min(plane.width, u)), Math.max(0, Math.min(plane.height, v))];
  const finish = (spot) => {
    const [a, b] = [within(first), within(spot)];
    const box = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
    const { slice } = first;
    forget();
    if (box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST) prompts.box(spot, box, slice);
    else say("Drag a box around the object.");
  };
  return {
    name: "box",
    label: "Box",
    key: "b",
    hint: "Drag a box around one object of the class: the segmenter draws it.",
    down(spot) {
      if (prompts.possible(spot)) first = last = spot;
    },
    move(spot) {
      if (first) last = spot;
    },
    up(spot) {
      if (first) finish(spot);
    },
    cancel: forget,
    tap(spot) {
      if (first) finish(spot);
      else if (prompts.possible(spot)) {
        first = last = spot;
        say("First corner. Move to the opposite corner and press Enter.");
      }
    },
    draw(context, pane) {
      if (!first || first.pane !== pane || first.slice !== pane.slice) return;
      const end = pane.canvas.matches(":focus-visible") && first === last ? kit.toolbox.cursor(pane) : last;
      const [a, b] = [pane.placeOf(first.u, first.v), pane.placeOf(end.u, end.v)];
      context.beginPath();
      context.rect(a[0], a[1], b[0] - a[0], b[1] - a[1]);
      ink(context, "#ffffff", 1.5);
    },
  };
}
