/** Asking the segmenter about the label: clicks, boxes, and slices between two. */

import { api } from "./api.js";
import { fail, say } from "./messages.js";
import { indexOf } from "./planes.js";

export class Prompts {
  /** Points of the object that is being clicked: {u, v, negative}. */
  #points = [];
  /** Case, class and slice of these points. */
  #object = null;
  #last = Promise.resolve();
  #told = new Set(); // remarks, each of which is made once

  /**
   * @param {import("./state.js").Store} store
   * @param {import("./edits.js").Edits} edits
   * @param {import("./sync.js").Sync} sync
   */
  constructor(store, edits, sync) {
    this.store = store;
    this.edits = edits;
    this.sync = sync;
  }

  /** Whether a prompt can be given here; if not, it is said why. @param {import("./pointer.js").Spot} spot */
  possible({ plane }) {
    const { active, project } = this.store.state;
    if (plane.name !== "axial") say("Clicks and boxes work in the axial plane. Brush, lasso and fill work here, too.");
    else if (!(project.segmenter || project.base)) say("There is no segmenter yet: label two cases, then fit.");
    else if (!project.classes.some(({ index }) => index === active && index > 0)) say("Choose a class first.");
    else return true;
    return false;
  }

  /** @param {import("./pointer.js").Spot} spot @returns {Promise<void>} */
  click(spot) {
    const { opened, active } = this.store.state;
    if (!this.possible(spot)) return Promise.resolve();
    const { u, v, slice, negative, adding, plane } = spot;
    const goesOn =
      this.#object && this.#object.opened === opened && this.#object.slice === slice && (negative || adding);
    if (!goesOn) {
      const there = opened.label[indexOf(plane, Math.floor(u), Math.floor(v), slice)];
      const isClass = this.store.state.project.classes.some(({ index }) => index === there && index > 0);
      this.#object = { opened, slice, active: negative && isClass ? there : active };
      this.#points = [];
    }
    this.#points.push({ u, v, negative });
    this.store.emit("mark");
    const places = (taking) =>
      this.#points.filter((point) => point.negative === taking).map((point) => [point.u, point.v]);
    const prompt = { class: this.#object.active, slice, points: places(false), not_points: places(true), box: null };
    return this.#ask(
      opened,
      () => api.prompt(opened.id, prompt),
      "The segmenter finds nothing to change here. A box may show it better.",
    );
  }

  /** @param {import("./pointer.js").Spot} spot @param {number[]} box Left, top, right, bottom. */
  box(spot, box, slice) {
    const { opened, active } = this.store.state;
    this.forget();
    const prompt = { class: active, slice, points: [], not_points: [], box };
    return this.#ask(opened, () => api.prompt(opened.id, prompt), "The segmenter finds nothing in this box.");
  }

  /** Fill the slices between two that hold the class. */
  interpolate(first, last) {
    const { opened, active } = this.store.state;
    const nothing = "Nothing changed between these slices.";
    return this.#ask(opened, () => api.interpolate(opened.id, { class: active, first, last }), nothing);
  }

  /** The next click is for another object. */
  forget() {
    if (!this.#object) return;
    this.#object = null;
    this.#points = [];
    this.store.emit("mark");
  }

  /** Points to draw in a pane. */
  pointsIn(pane) {
    const isThere = this.#object?.opened === this.store.state.opened && this.#object.slice === pane.slice;
    return isThere && pane.plane.name === "axial" ? this.#points : [];
  }

  /** One question after the other, each about the label as it is here. */
  #ask(opened, question, nothing) {
    this.#last = this.#last.then(async () => {
      this.store.set({ busy: true });
      try {
        await this.sync.settled();
        const { box, content, note } = await question();
        if (box) this.edits.applied(opened, box, content);
        if (note && !this.#told.has(note)) say(note);
        else if (!box) say(nothing);
        this.#told.add(note);
      } catch (error) {
        fail(error);
      } finally {
        this.store.set({ busy: false });
      }
    });
    return this.#last;
  }
}
