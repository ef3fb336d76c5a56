/** The page: its parts are made, and the first case is opened. */

import { Actions } from "./actions.js";
import { Cases } from "./cases.js";
import { Classes } from "./classes.js";
import { $ } from "./dom.js";
import { Edits } from "./edits.js";
import { buildFit } from "./fit.js";
import { History } from "./history.js";
import { listenToKeys } from "./keys.js";
import { fail } from "./messages.js";
import { Prompts } from "./prompts.js";
import { Stage } from "./stage.js";
import { Store } from "./state.js";
import { Sync } from "./sync.js";
import { Toolbox } from "./toolbox.js";
import { buildToolPanel } from "./toolpanel.js";
import { buildStatus, buildTopBar } from "./topbar.js";
import { buildUpload } from "./upload.js";
import { buildViewPanel } from "./viewpanel.js";

const store = new Store();
const history = new History();
const sync = new Sync(store, (error, id) => {
  fail(error);
  if (store.state.opened?.id === id) kit.actions.open(id);
});
/** What the parts know of each other. @type {any} */
const kit = { store, history, sync };
kit.edits = new Edits(store, history, sync);
kit.prompts = new Prompts(store, kit.edits, sync);
kit.actions = new Actions(kit);
kit.toolbox = new Toolbox(kit);
kit.stage = new Stage(store, kit.toolbox);
kit.cases = new Cases(store, kit.actions);
kit.classes = new Classes(store);
buildToolPanel(kit);
buildViewPanel(store, kit.actions, kit.stage);
buildTopBar(kit);
buildStatus(store);
buildUpload(kit.actions);
listenToKeys(kit);

window.addEventListener("changed-elsewhere", (/** @type {any} */ { detail: id }) => {
  if (store.state.opened?.id === id) kit.actions.open(id);
});

for (const tab of document.querySelectorAll("#tabs button"))
  tab.addEventListener("click", () => {
    document.body.dataset.tab = tab.dataset.tab;
    for (const other of document.querySelectorAll("#tabs button"))
      other.setAttribute("aria-selected", String(other === tab));
  });

await kit.actions.refresh();
if (store.state.project) {
  const fit = buildFit(store, kit.actions);
  const watch = () => (fit.watch(), kit.cases.watch());
  watch();
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible") return;
    await kit.actions.refresh(); // other pages may have done something meanwhile
    watch();
  });
  const named = () => store.row(Number(location.hash.match(/^#case-(\d+)$/)?.[1] ?? NaN))?.id;
  window.addEventListener("hashchange", () => named() !== undefined && kit.actions.open(named()));
  const first = named() ?? kit.cases.ids[0];
  $("stage").dataset.state = "empty";
  if (first !== undefined) await kit.actions.open(first);
}
