/** What a tool paints between press and release, in one slice of a plane. */

import { boxOf, cut, indexOf, put } from "./planes.js";

export class Stroke {
  #bounds = null;
  #fresh = null;
  #before;

  /**
   * @param {import("./opened.js").Opened} opened
   * @param {import("./planes.js").Plane} plane
   * @param {number} slice
   * @param {number} value Class that is given.
   * @param {(box: number[]) => void} painted Called by `show` with the box that changed since.
   */
  constructor(opened, plane, slice, value, painted) {
    this.opened = opened;
    this.plane = plane;
    this.slice = slice;
    this.value = value;
    this.painted = painted;
    this.#before = this.#slice();
  }

  /** A copy of the slice, row by row of the plane. */
  #slice() {
    const { label } = this.opened;
    const { width, height, origin, su, sv, ss } = this.plane;
    const start = origin + this.slice * ss;
    if (su === 1 && sv === width) return label.slice(start, start + width * height);
    const copy = new Uint8Array(width * height);
    for (let v = 0, at = 0; v < height; v++)
      for (let u = 0; u < width; u++, at++) copy[at] = label[start + v * sv + u * su];
    return copy;
  }

  /** Paint one pixel; those outside the plane, and those that hold nothing, are left alone. */
  put = (u, v) => {
    const { plane, opened, value } = this;
    if (u < 0 || v < 0 || u >= plane.width || v >= plane.height) return;
    const at = indexOf(plane, u, v, this.slice);
    const old = opened.label[at];
    if (old === value || !opened.holds(at)) return;
    opened.label[at] = value;
    const z = Math.floor(at / (opened.shape[1] * opened.shape[2]));
    const { slices, totals } = opened.counts;
    slices[z * 256 + old]--;
    slices[z * 256 + value]++;
    totals[old]--;
    totals[value]++;
    this.#bounds = grown(this.#bounds, u, v);
    this.#fresh = grown(this.#fresh, u, v);
  };

  /** Have what was painted since the last call drawn. */
  show() {
    if (this.#fresh) this.painted(boxOf(this.plane, this.#fresh, this.slice));
    this.#fresh = null;
  }

  /** @returns {{box: number[], before: Uint8Array, after: Uint8Array}|null} What changed; null if nothing did. */
  change() {
    this.show();
    if (!this.#bounds) return null;
    const { label, shape } = this.opened;
    const box = boxOf(this.plane, this.#bounds, this.slice);
    const after = cut(label, shape, box);
    this.#restore();
    const before = cut(label, shape, box);
    put(label, shape, box, after);
    return { box, before, after };
  }

  /** Put back what was there. */
  cancel() {
    const change = this.change();
    if (!change) return;
    this.opened.write(change.box, change.before);
    this.painted(change.box);
  }

  #restore() {
    const { width, origin, su, sv, ss } = this.plane;
    const [u0, v0, u1, v1] = this.#bounds;
    for (let v = v0; v < v1; v++)
      for (let u = u0; u < u1; u++)
        this.opened.label[origin + this.slice * ss + v * sv + u * su] = this.#before[v * width + u];
  }
}

/** A rectangle, half open, with one more pixel; null is the empty one. */
function grown(rect, u, v) {
  if (!rect) return [u, v, u + 1, v + 1];
  rect[0] = Math.min(rect[0], u);
  rect[1] = Math.min(rect[1], v);
  rect[2] = Math.max(rect[2], u + 1);
  rect[3] = Math.max(rect[3], v + 1);
  return rect;
}
