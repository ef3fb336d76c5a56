/** How many voxels each class has, in each slice and in all; and what that is in the units of the world. */

import { cut } from "./planes.js";

/** Counts of a label, kept up to date while it is edited. */
export class Counts {
  /** @param {Uint8Array} label @param {[number, number, number]} shape */
  constructor(label, shape) {
    this.shape = shape;
    this.slices = new Uint32Array(shape[0] * 256);
    this.totals = new Float64Array(256);
    this.add(label, [0, 0, 0, ...shape], 1);
  }

  /** Count what is in a box; with sign -1, before it is replaced, take it away. */
  add(label, box, sign) {
    for (let z = box[0]; z < box[3]; z++) {
      const content = this.#whole(box)
        ? label.subarray(z * this.#area, (z + 1) * this.#area)
        : cut(label, this.shape, [z, box[1], box[2], z + 1, box[4], box[5]]);
      const found = new Uint32Array(256);
      for (let i = 0; i < content.length; i++) found[content[i]]++;
      for (let k = 0; k < 256; k++) {
        this.slices[z * 256 + k] += sign * found[k];
        this.totals[k] += sign * found[k];
      }
    }
  }

  get #area() {
    return this.shape[1] * this.shape[2];
  }

  #whole(box) {
    return box[4] - box[1] === this.shape[1] && box[5] - box[2] === this.shape[2];
  }

  /** @returns {[number, number]|null} The slices nearest to z, below or at it and above it, that hold a class. */
  around(k, z) {
    let first = z;
    while (first >= 0 && !this.slices[first * 256 + k]) first--;
    let last = z + 1;
    while (last < this.shape[0] && !this.slices[last * 256 + k]) last++;
    return first < 0 || last >= this.shape[0] ? null : [first, last];
  }
}

const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: value < 1000 ? 3 : 4 });

/**
 * @param {number} count Voxels or pixels.
 * @param {{shape: number[], spacing: number[], unit: string}} meta
 * @returns {string} A volume in ml, an area in mm², cm², m² or km², or the pixels.
 */
export function amount(count, { shape, spacing, unit }) {
  if (unit === "px") return `${count.toLocaleString("en")} px`;
  const [z, y, x] = spacing;
  if (unit === "mm" && shape[0] > 1) return `${number((count * z * y * x) / 1000)} ml`;
  const area = count * y * x;
  if (unit === "mm") return area < 100 ? `${number(area)} mm²` : `${number(area / 100)} cm²`;
  return area < 100000 ? `${number(area)} m²` : `${number(area / 1e6)} km²`;
}
