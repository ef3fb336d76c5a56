/** The one store of the page: what is shown, chosen and waited for. Parts of the page listen to the keys they draw. */

/**
 * @typedef {Object} Class
 * @property {number} index @property {string} name @property {string} color "#rrggbb"
 *
 * @typedef {Object} CaseRow
 * @property {number} id @property {string} name @property {string|null} split @property {boolean} volume
 * @property {boolean} labelled @property {boolean} edited @property {boolean} predicted
 * @property {number|null} uncertainty @property {number|null} score @property {boolean} uploaded
 * @property {string|null} error
 *
 * @typedef {Object} Project
 * @property {string} title @property {{text: string, base: string, prompted: boolean}|null} segmenter
 * @property {string|null} base @property {Class[]} classes @property {number|null} ignore
 * @property {CaseRow[]} cases @property {boolean} editable @property {number} max_upload
 *
 * @typedef {Object} State
 * @property {Project} project
 * @property {import("./opened.js").Opened|null} opened The case on the canvas.
 * @property {number|null} loading Id of the case that is being opened.
 * @property {string} order @property {string} query Of the list of cases.
 * @property {string} tool @property {number} brush Diameter in pixels.
 * @property {boolean} negative Clicks take instead of give. @property {boolean} adding Clicks go on with the object.
 * @property {number} active Class that tools give.
 * @property {Set<number>} hidden Classes that are not drawn.
 * @property {number} opacity @property {boolean} outlines Only outlines. @property {boolean} concealed No overlay.
 * @property {string} shown Which label the canvas shows: edit, truth, prediction, before.
 * @property {string} compare Which one is beside it; "" for none.
 * @property {[number, number, number]} point Voxel of the crosshair, (slice, row, column).
 * @property {{low: number, high: number}} window Intensities shown black and white.
 * @property {string} big The plane that is large.
 * @property {boolean} panning Space is held. @property {boolean} pressed A tool is at work, between press and release.
 * @property {boolean} busy The server works on the label.
 */

/** @returns {State} */
const initial = () => ({
  project: null,
  opened: null,
  loading: null,
  order: "name",
  query: "",
  tool: "pan",
  brush: 12,
  negative: false,
  adding: false,
  active: 1,
  hidden: new Set(),
  opacity: 0.4,
  outlines: false,
  concealed: false,
  shown: "edit",
  compare: "",
  point: [0, 0, 0],
  window: { low: 0, high: 255 },
  big: "axial",
  panning: false,
  pressed: false,
  busy: false,
});

/** Values by key, and who listens to them. */
export class Store {
  /** @type {State} */ #state = initial();
  /** @type {Map<string, Set<(value: any) => void>>} */ #listeners = new Map();

  /** @returns {Readonly<State>} */
  get state() {
    return this.#state;
  }

  /**
   * Set values, then call every listener of a key that changed, once.
   * @param {Partial<State>} patch
   */
  set(patch) {
    const changed = Object.keys(patch).filter((key) => this.#state[key] !== patch[key]);
    Object.assign(this.#state, patch);
    const called = new Set();
    for (const key of changed) for (const listener of this.#listeners.get(key) ?? []) called.add(listener);
    for (const listener of called) listener(this.#state);
  }

  /**
   * @param {string[]} keys Keys of the state, or events of `emit`.
   * @param {(value: any) => void} listener Gets the state, or what was emitted.
   */
  on(keys, listener) {
    for (const key of keys) {
      if (!this.#listeners.has(key)) this.#listeners.set(key, new Set());
      this.#listeners.get(key).add(listener);
    }
  }

  /**
   * Tell of something that is no value: `label` with the box that changed, `cases`, `fit`, `sync`.
   * @param {string} event
   * @param {any} [value]
   */
  emit(event, value) {
    for (const listener of this.#listeners.get(event) ?? []) listener(value);
  }

  /** @param {number} id @returns {CaseRow|undefined} */
  row(id) {
    return this.#state.project.cases.find((row) => row.id === id);
  }

  /**
   * Replace one row of the list of cases.
   * @param {CaseRow} row
   */
  updateRow(row) {
    const { project } = this.#state;
    const at = project.cases.findIndex((other) => other.id === row.id);
    if (at < 0) project.cases.push(row);
    else project.cases[at] = row;
    this.emit("cases");
  }
}
