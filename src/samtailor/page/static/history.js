/** Undo and redo: for each case the boxes that changed, with what was there before and after. */

import { pack, unpack } from "./packed.js";

/**
 * @typedef {Object} Step
 * @property {import("./planes.js").Box} box @property {import("./packed.js").Packed} before
 * @property {import("./packed.js").Packed} after
 */

export class History {
  /** @type {Map<number, {done: Step[], undone: Step[], checksum: number|null}>} */ #cases = new Map();

  #of(id) {
    if (!this.#cases.has(id)) this.#cases.set(id, { done: [], undone: [], checksum: null });
    return this.#cases.get(id);
  }

  /** Remember a change. @param {number} id Of the case. */
  push(id, box, before, after) {
    const steps = this.#of(id);
    steps.done.push({ box, before: pack(before), after: pack(after) });
    steps.undone.length = 0;
  }

  /** @returns {{box: number[], content: Uint8Array}|null} What brings back the state before the last change. */
  undo(id) {
    const { done, undone } = this.#of(id);
    return this.#moved(done, undone, "before");
  }

  /** @returns {{box: number[], content: Uint8Array}|null} What brings back the change undone last. */
  redo(id) {
    const { done, undone } = this.#of(id);
    return this.#moved(undone, done, "after");
  }

  /** The last step goes from one list to another. @param {"before"|"after"} side What of it is wanted. */
  #moved(from, to, side) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    return { box: step.box, content: unpack(step[side]) };
  }

  /** @returns {[number, number]} How many steps can be undone and redone. */
  depth(id) {
    const { done, undone } = this.#of(id);
    return [done.length, undone.length];
  }

  /** A case is left with this label. */
  leave(id, checksum) {
    this.#of(id).checksum = checksum;
  }

  /** A case is opened again: its steps hold only if the label is the one that was left. */
  enter(id, checksum) {
    const steps = this.#of(id);
    if (steps.checksum !== checksum) this.forget(id);
  }

  /** Nothing of a case can be undone or redone any more. */
  forget(id) {
    this.#cases.delete(id);
  }
}
