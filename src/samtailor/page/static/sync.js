/** Edits on their way to the server, one after the other and in order; where it cannot be reached they wait. */

import { api, ApiError } from "./api.js";
import { say } from "./messages.js";

const [FIRST_WAIT, LONGEST_WAIT] = [1000, 15000]; // ms between two tries
const REFUSALS = [400, 404, 412, 413, 422]; // which no second try will change; all else may pass
const UNKNOWN = 401; // another token
const STALE = 412; // the label was changed elsewhere: what else waits for it was made on another one

export class Sync {
  /** @type {{id: number, box: number[], content: Uint8Array}[]} */ #queue = [];
  #sending = false;
  #wait = FIRST_WAIT;
  #timer = 0;
  #settled = [];
  #told = ""; // why edits wait, as it was said last

  /** Whether the last try failed. */
  offline = false;

  /**
   * @param {import("./state.js").Store} store Told `sync` when something changes here.
   * @param {(error: Error, id: number) => void} refused Called when the server refuses an edit; it is dropped.
   */
  constructor(store, refused) {
    this.store = store;
    this.refused = refused;
    window.addEventListener("online", () => this.#again());
  }

  /** How many edits are not yet on the server. */
  get waiting() {
    return this.#queue.length;
  }

  /** Send the content of a box of a case. */
  send(id, box, content) {
    this.#queue.push({ id, box, content });
    this.store.emit("sync");
    if (!this.offline) this.#run();
  }

  /** Try again now, and say again what is wrong. */
  retry() {
    this.#told = "";
    this.#again();
  }

  #again() {
    clearTimeout(this.#timer);
    this.offline = false;
    this.#run();
  }

  /** @returns {Promise<void>} When all edits are on the server. @throws {ApiError} If it cannot be reached. */
  settled() {
    if (this.#queue.length === 0) return Promise.resolve();
    const settled = new Promise((resolve, reject) => this.#settled.push({ resolve, reject }));
    this.#again();
    return settled;
  }

  async #run() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#queue.length > 0) {
      const { id, box, content } = this.#queue[0];
      try {
        await api.patch(id, box, content);
        this.#queue.shift();
        this.#wait = FIRST_WAIT;
        this.#told = "";
      } catch (error) {
        if (error instanceof ApiError && REFUSALS.includes(error.status)) {
          this.#queue = this.#queue.filter((edit, at) => at > 0 && !(error.status === STALE && edit.id === id));
          this.refused(error, id);
        } else {
          this.#later(error);
          return;
        }
      }
      this.store.emit("sync");
    }
    this.#sending = false;
    for (const { resolve } of this.#settled.splice(0)) resolve();
  }

  #later(error) {
    this.#sending = false;
    if (error.message !== this.#told)
      say(
        error.status === UNKNOWN
          ? "The server was started again: open the new address in another tab; the edits here are then sent."
          : `Edits cannot be kept just now: ${error.message} They wait on this page, which should stay open.`,
      );
    this.#told = error.message;
    this.offline = true;
    this.store.emit("sync");
    for (const { reject } of this.#settled.splice(0)) reject(error);
    this.#timer = setTimeout(() => this.#again(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
  }
}
