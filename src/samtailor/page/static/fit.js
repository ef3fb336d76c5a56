/** Fit again: how long, how far it is, and then old and new side by side. */

import { api } from "./api.js";
import { $ } from "./dom.js";
import { fail, say } from "./messages.js";

const CHECK = 1000; // ms between two looks at the training

/**
 * @param {import("./state.js").Store} store @param {import("./actions.js").Actions} actions
 * @returns {{watch: () => void}} Looks whether a page has begun to fit.
 */
export function buildFit(store, actions) {
  const dialog = $("fit-dialog");
  let timer = 0;
  let before = "idle";
  let looks = 0;

  const draw = (fit) => {
    const running = fit.state === "running";
    dialog.dataset.state = fit.state;
    $("fit").dataset.state = fit.state;
    $("fit").textContent = running
      ? fit.fraction === null
        ? "Fitting …"
        : `Fitting ${Math.floor(100 * fit.fraction)} %`
      : "Fit again";
    $("fit-setup").hidden = running;
    $("fit-progress").hidden = !running;
    if (fit.fraction === null) $("fit-bar").removeAttribute("value");
    else $("fit-bar").value = fit.fraction;
    $("fit-line").textContent = fit.line;
    $("fit-error").textContent = fit.state === "failed" ? (fit.error ?? "The fit failed.") : "";
    $("fit-start").hidden = running;
    $("fit-stop").hidden = !running;
  };

  const compare = async () => {
    dialog.close();
    await actions.predict();
    const { opened } = store.state;
    if (!opened?.sources.includes("before")) return say("There is no earlier prediction of this case to compare with.");
    await actions.show("prediction");
    await actions.compare("before");
  };

  const again = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(watch, wait);
  };

  const watch = async () => {
    clearTimeout(timer);
    const look = ++looks;
    try {
      const fit = await api.fit();
      if (look !== looks) return; // from before a fit that has begun meanwhile
      draw(fit);
      const wasRunning = before === "running";
      before = fit.state;
      if (fit.state === "running") again(CHECK);
      else if (wasRunning) await finished(fit);
    } catch (error) {
      if (error.status) fail(error);
      else again(5 * CHECK);
    }
  };

  const finished = async (fit) => {
    if (fit.state === "failed") return fail(fit.error ?? "The fit failed.");
    await actions.refresh();
    await actions.renew();
    if (fit.state !== "done") return say("The fit was stopped.");
    const { opened } = store.state;
    if (dialog.open) dialog.close();
    const warning = fit.warning ? ` Do not trust it yet: ${fit.warning}.` : "";
    say(`The new segmenter is in use.${warning}`, opened ? { label: "Compare old and new", run: compare } : undefined);
  };

  $("fit").addEventListener("click", () => {
    const drafts = store.state.project.cases.filter((row) => row.edited && !row.uploaded).length;
    $("fit-drafts").textContent =
      drafts === 0
        ? ""
        : `${drafts === 1 ? "One case has a draft" : `${drafts} cases have drafts`}: save what shall count.`;
    $("fit-error").textContent = "";
    dialog.showModal();
  });
  $("fit-close").addEventListener("click", () => dialog.close());
  $("fit-time").addEventListener("keydown", (event) => event.key === "Enter" && $("fit-start").click());
  $("fit-start").addEventListener("click", async () => {
    try {
      $("fit-error").textContent = "";
      draw(await api.startFit($("fit-time").value));
      before = "running";
      watch();
    } catch (error) {
      $("fit-error").textContent = error.message;
    }
  });
  $("fit-stop").addEventListener("click", async () => {
    try {
      draw(await api.stopFit());
      watch();
    } catch (error) {
      fail(error);
    }
  });
  return { watch };
}
