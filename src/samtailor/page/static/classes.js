/** The list of classes: which one the tools give, which are drawn, and how much there is of each. */

import { amount } from "./counts.js";
import { $, el, icon, reveal } from "./dom.js";

export class Classes {
  #rows = new Map();
  #frame = 0;

  /** @param {import("./state.js").Store} store */
  constructor(store) {
    this.store = store;
    this.list = $("classes");
    store.on(["project"], () => this.#build());
    store.on(["active", "hidden"], () => this.#mark());
    store.on(["active"], ({ active }) => reveal(this.list, this.#rows.get(active).choose));
    store.on(["opened", "label"], () => (this.#frame ||= requestAnimationFrame(() => this.#count())));
    this.list.addEventListener("keydown", (event) => this.#walk(event));
    $("all-classes").addEventListener("click", () => this.#toggleAll());
  }

  /** Index, name and colour of all that can be given, pixels that count nowhere last. */
  get #all() {
    const { classes, ignore } = this.store.state.project;
    return ignore === null ? classes : [...classes, { index: ignore, name: "ignored", color: "#b0b0b0" }];
  }

  #build() {
    const key = JSON.stringify(this.#all);
    if (this.list.dataset.key === key) return;
    this.list.dataset.key = key;
    this.#rows.clear();
    this.list.replaceChildren(
      ...this.#all.map(({ index, name, color }) => {
        const swatch = el("span", { class: "swatch" });
        swatch.style.backgroundColor = color;
        const count = el("span", { class: "class-count" });
        const choose = el(
          "button",
          {
            type: "button",
            class: "class-choose",
            role: "radio",
            title: name,
            on: { click: () => this.store.set({ active: index }) },
          },
          swatch,
          el("span", { class: "class-name", text: name }),
          count,
          index < 10 ? el("kbd", { text: String(index), "aria-hidden": "true" }) : null,
        );
        const eye =
          index === 0
            ? el("span", { class: "no-eye" })
            : el("button", { type: "button", class: "quiet class-eye", on: { click: () => this.toggle(index) } });
        this.#rows.set(index, { choose, eye, count, name });
        return el("li", { role: "presentation" }, choose, eye);
      }),
    );
    if (!this.#rows.has(this.store.state.active)) this.store.set({ active: 0 });
    this.#mark();
    this.#count();
  }

  #mark() {
    const { active, hidden } = this.store.state;
    for (const [index, { choose, eye, name }] of this.#rows) {
      choose.setAttribute("aria-checked", String(index === active));
      choose.tabIndex = index === active ? 0 : -1;
      if (index === 0) continue;
      eye.replaceChildren(icon(hidden.has(index) ? "hidden" : "eye"));
      eye.setAttribute("aria-label", `Show ${name}`);
      eye.setAttribute("aria-pressed", String(!hidden.has(index)));
    }
  }

  #count() {
    this.#frame = 0;
    const { opened } = this.store.state;
    for (const [index, { count }] of this.#rows) {
      const found = opened && index > 0 ? opened.counts.totals[index] : 0;
      count.textContent = found ? amount(found, opened.meta) : "";
      count.title = found ? `${found.toLocaleString("en")} ${opened.isVolume ? "voxels" : "pixels"}` : "";
    }
  }

  /** Draw a class or not. */
  toggle(index) {
    const hidden = new Set(this.store.state.hidden);
    if (!hidden.delete(index)) hidden.add(index);
    this.store.set({ hidden });
  }

  #toggleAll() {
    const { hidden } = this.store.state;
    this.store.set({ hidden: hidden.size ? new Set() : new Set(this.#all.map(({ index }) => index).filter(Boolean)) });
  }

  /** Choose a class by its index, if there is one. */
  choose(index) {
    if (this.#rows.has(index)) this.store.set({ active: index });
  }

  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(".class-choose")) return;
    const all = [...this.#rows.keys()];
    const next = all[(all.indexOf(this.store.state.active) + step + all.length) % all.length];
    this.choose(next);
    this.#rows.get(next).choose.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
