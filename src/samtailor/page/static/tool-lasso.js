/** Lasso: an outline drawn by hand, or from corner to corner by clicks or Enter, is filled with the chosen class. */

import { say } from "./messages.js";
import { stroke as ink } from "./marks.js";
import { polygon } from "./shapes.js";

const NEAR = 8; // screen pixels to the first corner that close the outline

/** @returns {import("./toolbox.js").Tool} */
export function lassoTool(kit) {
  const { store, edits } = kit;
  let points = [];
  let place = null; // {plane, slice} of the points
  let pressed = 0; // points when the button went down
  const forget = () => {
    points = [];
    place = null;
  };
  const start = ({ plane, slice }) => {
    if (place && (place.plane !== plane || place.slice !== slice)) forget();
    place ??= { plane, slice };
  };
  const close = () => {
    if (points.length > 2) {
      const stroke = edits.stroke(place.plane, place.slice, store.state.active);
      polygon(points, place.plane.width, place.plane.height, stroke.put);
      edits.finish(stroke);
    }
    forget();
  };
  const isNear = (pane, [u, v], [a, b]) => {
    const [p, q] = [pane.placeOf(u, v), pane.placeOf(a, b)];
    return Math.hypot(p[0] - q[0], p[1] - q[1]) < NEAR;
  };
  return {
    name: "lasso",
    label: "Lasso",
    key: "l",
    hint: "Draw around a region, or click corner by corner and close at the first one (or double-click).",
    down(spot) {
      start(spot);
      pressed = points.length;
      points.push([spot.u, spot.v]);
    },
    move(spot) {
      if (points.length === 0) return;
      if (!isNear(spot.pane, points.at(-1), [spot.u, spot.v]) || points.length > pressed + 1)
        points.push([spot.u, spot.v]);
    },
    up(spot) {
      if (!place) return; // it was forgotten meanwhile
      if (points.length > pressed + 3)
        close(); // drawn by hand
      else if (pressed > 2 && isNear(spot.pane, points[0], [spot.u, spot.v])) close();
      else points.length = Math.min(points.length, pressed + 1);
    },
    twice: close,
    cancel: forget,
    tap(spot) {
      start(spot);
      if (points.length > 2 && isNear(spot.pane, points[0], [spot.u, spot.v])) {
        close();
        say("The outline is filled.");
      } else {
        points.push([spot.u, spot.v]);
        say(`Corner ${points.length}. Enter at the first corner closes the outline, Escape forgets it.`);
      }
    },
    draw(context, pane) {
      if (points.length === 0 || place.plane !== pane.plane || place.slice !== pane.slice) return;
      const hover = kit.toolbox.hover?.pane === pane ? [[kit.toolbox.hover.spot.u, kit.toolbox.hover.spot.v]] : [];
      context.beginPath();
      [...points, ...hover].forEach(([u, v], i) => context[i ? "lineTo" : "moveTo"](...pane.placeOf(u, v)));
      ink(context, "#ffffff", 1.5);
      context.beginPath();
      context.arc(...pane.placeOf(...points[0]), 3.5, 0, 2 * Math.PI);
      ink(context, "#ffffff", 1.5);
    },
  };
}
