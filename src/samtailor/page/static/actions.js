/** What the buttons of the page do with cases: open, predict, show, save, bring back, upload. */

import { api, ApiError } from "./api.js";
import { fail, say } from "./messages.js";
import { fetchCase } from "./opened.js";

const UNREADABLE = 422; // a file of a case

export class Actions {
  #opening = new AbortController();

  /** @param {any} kit */
  constructor(kit) {
    this.kit = kit;
    this.store = kit.store;
    this.edits = kit.edits;
    this.history = kit.history;
    this.sync = kit.sync;
  }

  /** Put a case on the canvas. @param {number} id @returns {Promise<boolean>} Whether it is there. */
  async open(id) {
    const { opened } = this.store.state;
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    this.store.set({ loading: id });
    try {
      await this.sync.settled();
      const next = await fetchCase(id, signal);
      if (signal.aborted) return false;
      this.kit.toolbox.cancel(); // what is half done is not of the label that is left
      if (opened) this.history.leave(opened.id, opened.checksum());
      this.history.enter(id, next.checksum());
      const [low, high] = next.meta.window;
      const point = next.shape.map((size) => Math.floor(size / 2));
      if (next.isVolume) point[0] = fullest(next) ?? point[0];
      this.store.set({
        opened: next,
        loading: null,
        shown: "edit",
        compare: "",
        point: /** @type {any} */ (point),
        window: { low, high },
      });
      api.shows(id, next.label);
      this.store.emit("history");
      window.history.replaceState(null, "", `#case-${id}`);
      return true;
    } catch (error) {
      if (!signal.aborted) this.store.set({ loading: null });
      if (error.status === UNREADABLE) this.store.updateRow({ ...this.store.row(id), error: error.message });
      fail(error);
      return false;
    }
  }

  /** Predict the opened case, and show what came out. */
  async predict() {
    const { opened } = this.store.state;
    if (!opened) return say("Choose a case first.");
    await this.#work(async () => {
      await this.sync.settled();
      const { seconds, row } = await api.predict(opened.id);
      await this.#renew(opened);
      this.store.updateRow(row);
      if (opened !== this.store.state.opened) return;
      const isOwn = opened.meta.shown !== "prediction"; // edits and truth stay what is edited
      if (isOwn) await this.show("prediction");
      say(
        `Predicted in ${seconds.toFixed(1)} s.${isOwn ? " Your label is unchanged." : ""}`,
        isOwn ? { label: "Use as label", run: () => this.useAsLabel("prediction", opened) } : undefined,
      );
    });
  }

  /** Fetch again what the server has of the opened case. */
  async #renew(opened) {
    await this.#renewSources(opened);
    const isForeign = ["edit", "truth"].includes(opened.meta.shown); // predictions change only what is neither
    this.edits.replaced(opened, await api.label(opened.id, "edit"), isForeign);
  }

  /** Forget which labels there were but the edited one, and fetch again those that are drawn. */
  async #renewSources(opened) {
    opened.renew(await api.open(opened.id));
    const { shown, compare } = this.store.state;
    if (opened === this.store.state.opened && !opened.sources.includes(shown)) this.store.set({ shown: "edit" });
    if (opened === this.store.state.opened && !opened.sources.includes(compare)) this.store.set({ compare: "" });
    for (const of of [shown, compare]) if (opened.sources.includes(of)) await opened.fetchSource(of);
    this.store.emit("sources");
  }

  /** Draw another label: edit, truth, prediction or before. */
  async show(of) {
    if (await this.#fetch(of)) this.store.set({ shown: of });
  }

  /** Draw another label beside the one that is shown; "" draws none. */
  async compare(of) {
    if (of === "" || (await this.#fetch(of))) this.store.set({ compare: of });
  }

  async #fetch(of) {
    const { opened } = this.store.state;
    if (!opened?.sources.includes(of)) return false;
    try {
      await opened.fetchSource(of);
      return opened === this.store.state.opened;
    } catch (error) {
      fail(error);
      return false;
    }
  }

  /** The label that is edited becomes truth, prediction, or empty. It can be undone. */
  async useAsLabel(to, { id, meta } = this.store.state.opened) {
    const { opened } = this.store.state;
    if (opened?.id !== id) return say(`Open ${meta.name} again first.`);
    await this.#work(async () => {
      await this.sync.settled();
      const { row } = await api.revert(opened.id, to);
      this.edits.replaced(opened, await api.label(opened.id, "edit"));
      this.store.updateRow(row);
      this.store.set({ shown: "edit" });
    });
  }

  /** Write the label into the data set. */
  async save() {
    const { opened } = this.store.state;
    if (!opened) return say("Choose a case first.");
    if (this.store.row(opened.id)?.uploaded) return say("This file is not part of the data set: download its label.");
    await this.#work(async () => {
      await this.sync.settled();
      const { path, backup, row } = await api.save(opened.id);
      this.store.updateRow(row);
      await this.#renewSources(opened);
      this.store.emit("saved", { id: opened.id, path });
      say(`Saved as ${path}.${backup ? ` The label before is kept as ${backup}.` : ""}`);
    });
  }

  /** Download the label in the image's own format. */
  async download() {
    const { opened } = this.store.state;
    if (!opened) return say("Choose a case first.");
    await this.#work(async () => {
      await this.sync.settled();
      const link = document.createElement("a");
      link.href = api.download(opened.id);
      link.download = "";
      link.click();
    });
  }

  /** Open, and predict, a file from elsewhere. @param {File} file */
  async upload(file) {
    const { max_upload: most, segmenter } = this.store.state.project;
    if (file.size > most)
      return fail(
        `${file.name}: ${file.size.toLocaleString("en")} bytes, but at most ${most.toLocaleString("en")} are taken.`,
      );
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      return fail(`${file.name}: expected a file that can be read, found that it is gone, or locked; choose it again.`);
    }
    await this.#work(async () => {
      say(`Uploading ${file.name} …`);
      const { row } = await api.upload(file).catch(({ status, message }) => {
        throw new ApiError(status, message.startsWith(file.name) ? message : `${file.name}: ${message}`);
      });
      this.store.updateRow(row);
      if ((await this.open(row.id)) && segmenter) await this.predict();
    });
  }

  /** Open the case after (or before) the opened one in the list. @param {number[]} ids In the order of the list. */
  next(ids, step = 1) {
    if (ids.length === 0) return;
    const at = ids.indexOf(this.store.state.opened?.id);
    this.open(ids[at < 0 ? 0 : (at + step + ids.length) % ids.length]);
  }

  /** The server may have other predictions of the opened case: its labels are fetched again. */
  async renew() {
    while (this.store.state.pressed || this.store.state.busy)
      await new Promise((resolve) => setTimeout(resolve, 100)); // a stroke ends first, and what a click has asked for
    const { opened } = this.store.state;
    if (!opened) return;
    await this.#work(async () => {
      await this.sync.settled();
      await this.#renew(opened);
    });
  }

  /** Fetch the list again. */
  async refresh() {
    try {
      this.store.set({ project: await api.project() });
      this.store.emit("cases");
    } catch (error) {
      fail(error);
    }
  }

  /** Something that takes a while and changes the label: tools wait. */
  async #work(work) {
    const isOutermost = !this.store.state.busy;
    this.store.set({ busy: true });
    try {
      await work();
    } catch (error) {
      fail(error);
    } finally {
      if (isOutermost) this.store.set({ busy: false });
    }
  }
}

/** @param {import("./opened.js").Opened} opened @returns {number|null} The slice with most of the classes drawn. */
function fullest({ shape, counts }) {
  let [best, slice] = [0, null];
  for (let z = 0; z < shape[0]; z++) {
    const here = counts.slices.subarray(z * 256 + 1, z * 256 + 255).reduce((sum, count) => sum + count, 0);
    if (here > best) [best, slice] = [here, z];
  }
  return slice;
}
