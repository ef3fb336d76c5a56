/** What is shown: which label, beside which other, how strong; and the window of intensities. */

import { $, el } from "./dom.js";
import { NAMES } from "./opened.js";

const TITLES = {
  edit: "The label that you correct",
  truth: "The label of the data set",
  prediction: "What the segmenter finds",
  before: "What the segmenter found before it was fitted again",
};

/**
 * @param {import("./state.js").Store} store
 * @param {import("./actions.js").Actions} actions
 * @param {import("./stage.js").Stage} stage
 */
export function buildViewPanel(store, actions, stage) {
  const drawSources = () => {
    const { opened, shown, compare } = store.state;
    const sources = opened?.sources ?? ["edit"];
    $("sources").replaceChildren(
      ...sources.map((of) =>
        el("button", {
          type: "button",
          text: NAMES[of],
          title: TITLES[of],
          "aria-pressed": String(of === shown),
          on: { click: () => actions.show(of) },
        }),
      ),
    );
    $("compare").replaceChildren(
      el("option", { value: "", text: "nothing" }),
      ...sources.map((of) => el("option", { value: of, text: NAMES[of].toLowerCase() })),
    );
    $("compare").value = compare;
    $("use-as-label").hidden = shown === "edit" || shown === "before";
  };
  store.on(["opened", "shown", "compare", "sources"], drawSources);
  $("compare").addEventListener("change", (event) => actions.compare(event.target.value));
  $("use-as-label").addEventListener("click", () => actions.useAsLabel(store.state.shown));
  $("clear-label").addEventListener("click", () => store.state.opened && actions.useAsLabel("empty"));

  $("opacity").addEventListener("input", (event) => store.set({ opacity: Number(event.target.value) / 100 }));
  $("outlines").addEventListener("change", (event) => store.set({ outlines: event.target.checked }));
  $("concealed").addEventListener("change", (event) => store.set({ concealed: event.target.checked }));
  store.on(["opacity", "outlines", "concealed"], ({ opacity, outlines, concealed }) => {
    $("opacity").value = Math.round(100 * opacity);
    $("opacity-number").textContent = `${Math.round(100 * opacity)} %`;
    $("outlines").checked = outlines;
    $("concealed").checked = concealed;
  });
  $("fit-view").addEventListener("click", () => stage.fit());
  $("zoom-in").addEventListener("click", () => stage.zoom(1.4));
  $("zoom-out").addEventListener("click", () => stage.zoom(1 / 1.4));
  buildWindow(store);
}

function buildWindow(store) {
  const [level, width, presets] = [$("level"), $("width"), $("presets")];
  store.on(["opened"], ({ opened }) => {
    const { windows, window: own } = opened?.meta ?? { windows: [], window: [0, 255] };
    const all = [{ name: "as opened", low: own[0], high: own[1] }, ...windows];
    presets.replaceChildren(
      el("option", { value: "", text: "own" }),
      ...all.map(({ name, low, high }) => el("option", { value: `${low},${high}`, text: name })),
    );
  });
  store.on(["window", "opened"], ({ window: { low, high } }) => {
    const round = (value) => Math.round(10 * value) / 10;
    if (document.activeElement !== level) level.value = round((low + high) / 2);
    if (document.activeElement !== width) width.value = round(high - low);
    const preset = `${low},${high}`;
    presets.value = [...presets.options].some((option) => option.value === preset) ? preset : "";
  });
  presets.addEventListener("change", () => {
    if (!presets.value) return;
    const [low, high] = presets.value.split(",").map(Number);
    store.set({ window: { low, high } });
  });
  const typed = () => {
    const [middle, wide] = [Number(level.value), Number(width.value)];
    if (level.value !== "" && wide > 0) store.set({ window: { low: middle - wide / 2, high: middle + wide / 2 } });
  };
  for (const field of [level, width]) field.addEventListener("input", typed);
}
