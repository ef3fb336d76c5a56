/** What is drawn over image and label: crosshair, cursor, sides of the patient, a scale, and what the tool shows. */

import { pixelOf } from "./planes.js";

const INK = "#ffffff";
const SHADE = "rgba(0, 0, 0, 0.75)";

/** Draw the lines of the current path so that they are seen on black and on white. */
export function stroke(context, colour = INK, width = 1) {
  context.strokeStyle = SHADE;
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

/** @param {CanvasRenderingContext2D} context @param {import("./pane.js").Pane} pane */
export function drawMarks(context, pane) {
  const { opened } = pane.store.state;
  if (opened.isVolume) drawCrosshair(context, pane);
  if (pane.canvas.matches(":focus-visible")) drawCursor(context, pane);
  drawSides(context, pane);
  drawScale(context, pane);
  if (pane.source === "edit") pane.context.tool()?.draw?.(context, pane);
}

function drawCrosshair(context, pane) {
  const [u, v] = pixelOf(pane.plane, pane.store.state.point);
  const [x, y] = pane.placeOf(u + 0.5, v + 0.5).map((at) => Math.round(at) + 0.5);
  const gap = 10; // what is under the cross stays visible
  context.beginPath();
  for (const [a, b] of [
    [0, x - gap],
    [x + gap, pane.width],
  ])
    if (b > a) (context.moveTo(a, y), context.lineTo(b, y));
  for (const [a, b] of [
    [0, y - gap],
    [y + gap, pane.height],
  ])
    if (b > a) (context.moveTo(x, a), context.lineTo(x, b));
  context.strokeStyle = "rgba(120, 190, 255, 0.55)";
  context.lineWidth = 1;
  context.stroke();
}

/** The cursor of the keyboard: the pixel under it, and arms. */
function drawCursor(context, pane) {
  const [u, v] = pixelOf(pane.plane, pane.store.state.point);
  const [left, top] = pane.placeOf(u, v);
  const [right, bottom] = pane.placeOf(u + 1, v + 1);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const half = Math.max(4, (right - left) / 2);
  context.beginPath();
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    context.moveTo(x + dx * half, y + dy * half);
    context.lineTo(x + dx * (half + 8), y + dy * (half + 8));
  }
  stroke(context, "#ffe08a", 1.5);
}

function drawSides(context, pane) {
  const [left, right, top, bottom] = pane.plane.sides;
  if (!left) return;
  const { width, height } = pane;
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const [letter, x, y] of [
    [left, 10, height / 2],
    [right, width - 10, height / 2],
    [top, width / 2, 12],
    [bottom, width / 2, height - 11],
  ]) {
    context.strokeStyle = SHADE;
    context.lineWidth = 3;
    context.strokeText(letter, x, y);
    context.fillStyle = "#b8c4d0";
    context.fillText(letter, x, y);
  }
}

/** A bar of a round length, about a fifth of the canvas wide, where pixels have a size. */
function drawScale(context, pane) {
  const { unit } = pane.store.state.opened.meta;
  if (unit === "px" || pane.width < 220) return;
  const about = (0.2 * pane.width) / pane.camera.zoom;
  const power = 10 ** Math.floor(Math.log10(about));
  const length = power * (about / power >= 5 ? 5 : about / power >= 2 ? 2 : 1);
  const long = length * pane.camera.zoom;
  const [x, y] = [12, pane.height - 12];
  context.beginPath();
  context.moveTo(x, y - 4);
  context.lineTo(x, y);
  context.lineTo(x + long, y);
  context.lineTo(x + long, y - 4);
  stroke(context, "#dbe4ec", 1.5);
  const [value, name] =
    unit === "m" && length >= 1000
      ? [length / 1000, "km"]
      : unit === "mm" && length >= 10
        ? [length / 10, "cm"]
        : [length, unit];
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillStyle = "#dbe4ec";
  context.fillText(`${Number(value.toPrecision(3))} ${name}`, x + long + 6, y);
}
