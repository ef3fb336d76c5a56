/** Every change of the label passes here: it is counted, drawn, remembered for undo, and sent to the server. */

import { api } from "./api.js";
import { cut, difference } from "./planes.js";
import { Stroke } from "./stroke.js";

export class Edits {
  /** @param {import("./state.js").Store} store @param {import("./history.js").History} history
   *  @param {import("./sync.js").Sync} sync */
  constructor(store, history, sync) {
    this.store = store;
    this.history = history;
    this.sync = sync;
  }

  /** A stroke in a slice of a plane that gives a class; `finish` it. @returns {Stroke} */
  stroke(plane, slice, value) {
    const { opened } = this.store.state;
    return new Stroke(opened, plane, slice, value, (box) => this.store.emit("label", box));
  }

  /** A stroke is done: it becomes one step. @param {Stroke} stroke */
  finish(stroke) {
    const change = stroke.change();
    if (!change) return;
    const { opened } = stroke;
    this.history.push(opened.id, change.box, change.before, change.after);
    this.sync.send(opened.id, change.box, change.after);
    this.#edited(opened.id);
  }

  /** The server changed a box of the label: the same here, as a step that can be undone. */
  applied(opened, box, content) {
    if (!this.#isOpen(opened)) return;
    this.#step(opened, box, content);
    this.#edited(opened.id);
  }

  /**
   * The server has another label: the same here, as a step; whether it is edited, the server's row says.
   * @param {Uint8Array} label
   * @param {boolean} [isForeign] Another page has changed it: what was done here before cannot be undone any more.
   */
  replaced(opened, label, isForeign = false) {
    if (!this.#isOpen(opened)) return;
    api.shows(opened.id, label);
    const box = difference(opened.label, label, opened.shape);
    if (!box) return;
    this.#step(opened, box, cut(label, opened.shape, box));
    if (isForeign) this.history.forget(opened.id);
    this.store.emit("history");
  }

  /** Write a box, and remember what was there. */
  #step(opened, box, content) {
    this.history.push(opened.id, box, cut(opened.label, opened.shape, box), content);
    this.#write(opened, box, content);
  }

  /** Whether a case is still on the canvas; where it was opened again meanwhile, that label is the one of before. */
  #isOpen(opened) {
    const now = this.store.state.opened;
    if (now !== opened && now?.id === opened.id)
      window.dispatchEvent(new CustomEvent("changed-elsewhere", { detail: opened.id }));
    return now === opened;
  }

  /** @returns {boolean} Whether there was something to undo. */
  undo() {
    return this.#moved((id) => this.history.undo(id));
  }

  /** @returns {boolean} Whether there was something to redo. */
  redo() {
    return this.#moved((id) => this.history.redo(id));
  }

  #moved(take) {
    const { opened, busy, pressed } = this.store.state;
    const step = opened && !busy && !pressed ? take(opened.id) : null;
    if (!step) return false;
    this.#write(opened, step.box, step.content);
    this.sync.send(opened.id, step.box, step.content);
    this.store.emit("stepped", step.box);
    this.#edited(opened.id);
    return true;
  }

  #write(opened, box, content) {
    opened.write(box, content);
    if (opened === this.store.state.opened) this.store.emit("label", box);
  }

  #edited(id) {
    const row = this.store.row(id);
    if (row && !row.edited) this.store.updateRow({ ...row, edited: true });
    this.store.emit("history");
  }
}
