/** The list of cases: search, order, status; arrow keys walk through it. */

import { api } from "./api.js";
import { $, el, reveal } from "./dom.js";
import { fail, say } from "./messages.js";

const STATUS = ["labelled", "edited", "predicted", "uploaded"];
const CHECK = 1000; // ms between two looks at predictions in the background

const last = (value, missing) => (value === null || value === undefined ? missing : value);
const ORDERS = {
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  uncertain: (a, b) => last(b.uncertainty, -1) - last(a.uncertainty, -1),
  score: (a, b) => last(a.score, 2) - last(b.score, 2),
};

export class Cases {
  #nodes = new Map();

  /** @param {import("./state.js").Store} store @param {import("./actions.js").Actions} actions */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.list = $("cases");
    store.on(["cases", "project", "query", "order"], () => this.#draw());
    store.on(["opened", "loading"], () => this.#mark(true));
    $("search").addEventListener("input", (event) => store.set({ query: event.target.value }));
    $("order").addEventListener("change", (event) => store.set({ order: event.target.value }));
    this.list.addEventListener("keydown", (event) => this.#walk(event));
    $("predict-all").addEventListener("click", () => this.predictAll());
  }

  /** Ids of the cases as they are listed. @returns {number[]} */
  get ids() {
    return this.#rows().map((row) => row.id);
  }

  #rows() {
    const { project, query, order } = this.store.state;
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (row) => words.every((word) => `${row.name} ${row.split ?? ""}`.toLowerCase().includes(word));
    return project.cases.filter(has).sort((a, b) => ORDERS[order](a, b) || ORDERS.name(a, b));
  }

  #draw() {
    if (!this.store.state.project) return;
    const rows = this.#rows();
    const focused = document.activeElement?.closest?.("#cases") ? Number(document.activeElement.dataset.id) : null;
    this.list.replaceChildren(...rows.map((row) => this.#node(row)));
    $("cases-none").hidden = rows.length > 0;
    $("cases-count").textContent = `${rows.length} ${rows.length === 1 ? "case" : "cases"}`;
    this.#mark();
    if (focused !== null) this.list.querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
  }

  /** The entry of a row; it is made anew only where the row is another one, so that pictures do not flicker. */
  #node(row) {
    const key = JSON.stringify(row);
    const old = this.#nodes.get(row.id);
    if (old?.key === key) return old.node;
    const chips = STATUS.filter((status) => row[status]).map((status) =>
      el("span", { class: `chip ${status}`, text: status }),
    );
    const percent = (value) => `${Math.round(100 * value)} %`;
    const numbers = [
      row.score === null
        ? null
        : el("span", { title: "Mean Dice of the prediction", text: `DSC ${row.score.toFixed(2)}` }),
      row.uncertainty === null
        ? null
        : el("span", { title: "Mean entropy of the prediction", text: `uncertain ${percent(row.uncertainty)}` }),
    ];
    const node = el(
      "li",
      {
        class: "case",
        role: "option",
        tabIndex: -1,
        data: { id: row.id },
        title: row.error ?? row.name,
        on: { click: () => this.actions.open(row.id) },
      },
      el("img", {
        src: api.thumbnail(row.id),
        alt: "",
        loading: "lazy",
        width: 48,
        height: 48,
        on: { error: (event) => (event.target.hidden = true) },
      }),
      el(
        "span",
        { class: "case-text" },
        el("span", { class: "case-name", text: row.name }),
        el("span", { class: "case-facts" }, row.split ? el("span", { text: row.split }) : null, ...numbers),
        el(
          "span",
          { class: "chips" },
          ...chips,
          row.error ? el("span", { class: "chip error", title: row.error, text: "failed" }) : null,
        ),
      ),
    );
    this.#nodes.set(row.id, { key, node });
    return node;
  }

  /** @param {boolean} [isNew] Another case is chosen: its entry is to be seen. */
  #mark(isNew = false) {
    const { opened, loading } = this.store.state;
    const chosen = loading ?? opened?.id;
    for (const node of this.list.children) {
      const isChosen = Number(node.dataset.id) === chosen;
      node.setAttribute("aria-selected", String(isChosen));
      node.classList.toggle("loading", Number(node.dataset.id) === loading);
      node.tabIndex = isChosen ? 0 : -1;
      if (isChosen && isNew) reveal(this.list, node);
    }
    if (!this.list.querySelector('[tabindex="0"]') && this.list.firstChild) this.list.firstChild.tabIndex = 0;
  }

  #walk(event) {
    const at = [...this.list.children].indexOf(document.activeElement);
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.list.children.length - 1 };
    if (event.key in places) {
      const node = this.list.children[Math.max(0, Math.min(this.list.children.length - 1, places[event.key]))];
      for (const other of this.list.children) other.tabIndex = other === node ? 0 : -1;
      node?.focus();
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0)
      this.actions.open(Number(document.activeElement.dataset.id));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Predict all cases that have no prediction, or stop doing so. */
  async predictAll() {
    try {
      if ($("predict-all").dataset.running) await api.stopPredicting();
      else {
        const { done, of, failed } = await this.#watch(await api.predictAll());
        const lacking = failed ? ` ${failed} failed: the list says why.` : "";
        if (done < of) say(`Stopped after ${done} of ${of}.${lacking}`);
        else say(`Predictions are done.${lacking} Order by “most uncertain” to see what to label next.`);
      }
    } catch (error) {
      fail(error);
      if (error.status === 409) await this.watch(); // another page may have begun
    }
  }

  /** Show how far the predictions in the background are, whichever page has begun them. */
  async watch() {
    try {
      const state = await api.predictingAll();
      if (state.running && !$("predict-all").dataset.running) await this.#watch(state);
    } catch (error) {
      fail(error);
    }
  }

  /** Show how far predictions are until their end. @returns How far then. */
  async #watch(state) {
    const button = $("predict-all");
    try {
      for (; state.running; state = await api.predictingAll()) {
        button.dataset.running = "yes";
        button.textContent = `Stop (${state.done} of ${state.of})`;
        await new Promise((resolve) => setTimeout(resolve, CHECK));
        await this.actions.refresh();
      }
      await this.actions.refresh();
      await this.actions.renew();
      return state;
    } finally {
      delete button.dataset.running;
      button.textContent = "Predict all";
    }
  }
}
