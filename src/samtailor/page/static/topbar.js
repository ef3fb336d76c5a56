/** Title, segmenter, the large buttons, and whether the edits are safe. */

import { $ } from "./dom.js";
import { voxelAt } from "./planes.js";

/** @param {any} kit */
export function buildTopBar({ store, actions, sync }) {
  store.on(["project"], ({ project }) => {
    const { title, segmenter, base } = project;
    document.title = `${title} · SamTailor`;
    $("title").textContent = title;
    $("segmenter").textContent = segmenter ? segmenter.text : base ? `${base}, not fitted yet` : "no segmenter yet";
    $("segmenter").title = $("segmenter").textContent;
  });
  for (const name of ["predict", "save", "download"]) $(name).addEventListener("click", () => actions[name]());
  $("retry").addEventListener("click", () => sync.retry());

  const enable = () => {
    const { opened, busy, loading, project } = store.state;
    const idle = opened !== null && !busy && loading === null;
    $("predict").disabled = !idle || !project.segmenter;
    $("predict").title = project?.segmenter
      ? "Predict this case (R)"
      : "There is no segmenter yet: label two cases, then fit.";
    $("save").disabled = !idle || !project.editable || store.row(opened.id)?.uploaded === true;
    $("download").disabled = !idle;
    document.body.classList.toggle("busy", busy || loading !== null);
  };
  store.on(["opened", "busy", "loading", "project"], enable);

  let saved = null; // {id, path} of what was saved last
  const state = () => {
    const { opened } = store.state;
    const row = opened && store.row(opened.id);
    if (sync.waiting) saved = null;
    const edits = `${sync.waiting} ${sync.waiting === 1 ? "edit waits" : "edits wait"}`;
    $("retry").hidden = !sync.offline;
    $("sync").dataset.state = sync.offline ? "offline" : sync.waiting ? "sending" : "safe";
    $("sync").textContent = sync.offline
      ? `Offline: ${edits}`
      : sync.waiting
        ? "Saving draft …"
        : row?.edited
          ? "Saved as draft"
          : saved && saved.id === opened?.id
            ? `Saved in ${saved.path}`
            : "";
    $("sync").title = $("sync").textContent;
  };
  store.on(["sync", "cases", "opened", "history"], state);
  store.on(["saved"], (what) => ((saved = what), state()));
  window.addEventListener("beforeunload", (event) => {
    if (sync.waiting) event.preventDefault();
  });
}

/** Place, intensity and class under the pointer, or under the crosshair. */
export function buildStatus(store) {
  const place = (voxel, source) => {
    const { opened, project } = store.state;
    if (!opened) return "";
    const [z, y, x] = voxel;
    const at = (z * opened.shape[1] + y) * opened.shape[2] + x;
    const k = opened.source(source)?.[at] ?? 0;
    const known = k === project.ignore ? "ignored" : (project.classes.find(({ index }) => index === k)?.name ?? "");
    const name = opened.holds(at) ? known : "nothing";
    return [`x ${x}  y ${y}${opened.isVolume ? `  slice ${z + 1}` : ""}`, opened.valueAt(voxel), name]
      .filter(Boolean)
      .join("   ");
  };
  let hovered = null;
  const draw = () => {
    const { point, shown } = store.state;
    $("place").textContent = hovered ? place(hovered.voxel, hovered.pane.source) : place(point, shown);
  };
  store.on(["hover"], (spot) => {
    hovered = spot && {
      pane: spot.pane,
      voxel: voxelAt(spot.plane, Math.floor(spot.u), Math.floor(spot.v), spot.slice),
    };
    draw();
  });
  store.on(["point", "opened", "label", "shown"], draw);
  store.on(["opened"], ({ opened }) => {
    if (!opened) return;
    const { shape, spacing, unit, name } = opened.meta;
    const size = opened.isVolume ? `${shape[2]} × ${shape[1]} × ${shape[0]}` : `${shape[2]} × ${shape[1]}`;
    const sides = (opened.isVolume ? [2, 1, 0] : [2, 1]).map((i) => Number(spacing[i].toPrecision(3)));
    const pixel = unit === "px" ? "" : ` · ${sides.join(" × ")} ${unit}`;
    $("facts").textContent = `${name} · ${size}${pixel}`;
    $("facts").title = $("facts").textContent;
  });
}
