/** The case on the canvas: its voxels, the label that is edited, and the labels it is compared with. */

import { api } from "./api.js";
import { Counts } from "./counts.js";
import { planesOf, put } from "./planes.js";

/** Labels by their sources. */
export const NAMES = { edit: "Label", truth: "Truth", prediction: "Prediction", before: "Before" };

/**
 * @typedef {Object} Meta
 * @property {number} id @property {string} name @property {[number, number, number]} shape
 * @property {[number, number, number]} spacing @property {"mm"|"m"|"px"} unit @property {1|3} channels
 * @property {"uint8"|"int16"} dtype @property {[number, number]} window
 * @property {{name: string, low: number, high: number}[]} windows @property {string|null} intensity_unit
 * @property {boolean} void Whether there are voxels that hold nothing.
 * @property {string[]} sources @property {string} shown @property {"patient"|"picture"} axes
 */

export class Opened {
  /** @type {Map<string, Uint8Array>} */ #labels = new Map();

  /**
   * @param {Meta} meta @param {Uint8Array|Int16Array} image @param {Uint8Array} label
   * @param {Uint8Array|null} [empty] The label without any class, which is not 0 where voxels hold nothing.
   */
  constructor(meta, image, label, empty = null) {
    this.meta = meta;
    this.id = meta.id;
    this.shape = meta.shape;
    this.image = image;
    this.empty = empty;
    this.isVolume = meta.shape[0] > 1;
    this.planes = planesOf(meta.shape, meta.spacing, meta.axes === "patient");
    this.setLabel(label);
  }

  /** @param {Uint8Array} label Becomes the one that is edited. */
  setLabel(label) {
    this.label = label;
    this.counts = new Counts(label, this.shape);
  }

  /** Whether a voxel holds something; no other can be labelled. @param {number} at Where it lies in the volume. */
  holds(at) {
    return !this.empty?.[at];
  }

  /** Put content into a box of the label that is edited. @param {import("./planes.js").Box} box */
  write(box, content) {
    this.counts.add(this.label, box, -1);
    put(this.label, this.shape, box, content);
    this.counts.add(this.label, box, 1);
  }

  /** @returns {Uint8Array|null} A label by its source; null until `fetchSource` has it. */
  source(of) {
    return of === "edit" ? this.label : (this.#labels.get(of) ?? null);
  }

  /** Which labels can be shown, the edited one first. */
  get sources() {
    return ["edit", ...["truth", "prediction", "before"].filter((of) => this.meta.sources.includes(of))];
  }

  /** Have a label here. */
  async fetchSource(of) {
    if (of !== "edit" && !this.#labels.has(of)) this.#labels.set(of, await api.label(this.id, of));
  }

  /** The server has other labels now: forget those that are here, but the edited one. @param {Meta} meta */
  renew(meta) {
    this.meta = { ...this.meta, sources: meta.sources, shown: meta.shown };
    this.#labels.clear();
  }

  /** @returns {number} A number that changes with the label, to notice that it is another one. */
  checksum() {
    let sum = 17;
    for (let i = 0; i < this.label.length; i++) if (this.label[i]) sum = (Math.imul(sum, 31) + this.label[i] + i) | 0;
    return sum;
  }

  /** @returns {string} The intensity at a voxel in words; "" outside. */
  valueAt([z, y, x]) {
    const at = (z * this.shape[1] + y) * this.shape[2] + x;
    if (this.meta.channels === 3) return [...this.image.subarray(3 * at, 3 * at + 3)].join(" ");
    return `${this.image[at]}${this.meta.intensity_unit ? ` ${this.meta.intensity_unit}` : ""}`;
  }
}

/**
 * Fetch a case from the server.
 * @param {number} id
 * @param {AbortSignal} signal
 * @returns {Promise<Opened>}
 */
export async function fetchCase(id, signal) {
  const meta = await api.open(id, signal);
  const [image, label, empty] = await Promise.all([
    api.image(id, signal),
    api.label(id, "edit", signal),
    meta.void ? api.label(id, "empty", signal) : null,
  ]);
  return new Opened(meta, meta.dtype === "int16" ? new Int16Array(image.buffer) : image, label, empty);
}
