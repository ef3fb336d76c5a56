/** Files that are dropped on the page, or chosen. */

import { $ } from "./dom.js";
import { fail } from "./messages.js";

/** @param {import("./actions.js").Actions} actions */
export function buildUpload(actions) {
  const all = async (files) => {
    for (const file of files) await actions.upload(file);
  };
  const area = $("drop");
  let depth = 0; // of the elements that are entered, so that the sign does not flicker
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const show = () => (area.hidden = depth === 0);
  document.addEventListener("dragenter", (event) => {
    if (carries(event)) depth++;
    show();
  });
  document.addEventListener("dragleave", (event) => {
    if (carries(event)) depth--;
    show();
  });
  document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    depth = 0;
    show();
    if (!carries(event)) return;
    event.preventDefault();
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const entries = items.map((item) => item.webkitGetAsEntry());
    for (const entry of entries.filter((entry) => entry?.isDirectory))
      fail(`${entry.name}: expected a file, found a folder; start samtailor app with this folder.`);
    all(items.filter((_, i) => !entries[i]?.isDirectory).map((item) => item.getAsFile()));
  });
  for (const name of ["upload", "upload-first"]) $(name).addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", (event) => {
    all([...event.target.files]);
    event.target.value = "";
  });
}
