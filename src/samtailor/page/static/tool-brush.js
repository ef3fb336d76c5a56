/** Brush and eraser: a disc that is round in the world, drawn along the way of the pointer. */

import { stroke as ink } from "./marks.js";
import { line } from "./shapes.js";

/** @param {any} kit @param {boolean} erases @returns {import("./toolbox.js").Tool} */
export function brushTool(kit, erases) {
  const { store, edits } = kit;
  let stroke = null;
  let last = null;
  const radius = () => (store.state.brush / 2) * Math.min(...store.state.opened.meta.spacing.slice(1));
  const paint = ({ u, v, plane }) => {
    line(last ?? [u, v], [u, v], radius(), plane.size, stroke.put);
    last = [u, v];
    stroke.show();
  };
  return {
    name: erases ? "eraser" : "brush",
    label: erases ? "Eraser" : "Brush",
    key: erases ? "e" : "d",
    hint: erases
      ? "Drag to remove every class. [ and ] change the size."
      : "Drag to paint the class. [ and ] change the size.",
    down(spot) {
      stroke = edits.stroke(spot.plane, spot.slice, erases ? 0 : store.state.active);
      last = null;
      paint(spot);
    },
    move: (spot) => stroke && paint(spot),
    up() {
      if (stroke) edits.finish(stroke);
      stroke = null;
    },
    cancel() {
      stroke?.cancel();
      stroke = null;
    },
    tap(spot) {
      this.down(spot);
      this.up();
    },
    draw(context, pane) {
      const { hover } = kit.toolbox;
      const at =
        hover?.pane === pane ? hover.spot : pane.canvas.matches(":focus-visible") ? kit.toolbox.cursor(pane) : null;
      if (!at) return;
      const [x, y] = pane.placeOf(at.u, at.v);
      context.beginPath();
      context.arc(x, y, Math.max(2, radius() * pane.camera.zoom), 0, 2 * Math.PI);
      ink(context, erases ? "#ff9d8a" : "#ffffff");
    },
  };
}
