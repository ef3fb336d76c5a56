/** Mouse, pen and fingers on a pane: pan, pinch, wheel, window and level, and the tool that is chosen. */

import { pixelOf, voxelAt } from "./planes.js";

const STILL = 4; // screen pixels that a click may move

/**
 * Where a tool is used.
 * @typedef {Object} Spot
 * @property {import("./pane.js").Pane} pane @property {import("./planes.js").Plane} plane @property {number} slice
 * @property {number} u @property {number} v Column and row, with fractions. @property {boolean} inside
 * @property {boolean} negative @property {boolean} adding
 */

/** @returns {Spot} */
function spotOf(pane, event) {
  const box = pane.canvas.getBoundingClientRect();
  return spotAt(pane, pane.pixelAt(event.clientX - box.left, event.clientY - box.top), event);
}

/** @returns {Spot} The place of the keyboard's cursor. */
export function spotOfCursor(pane, event) {
  const [u, v] = pixelOf(pane.plane, pane.store.state.point);
  return spotAt(pane, [u + 0.5, v + 0.5], event);
}

/** @returns {Spot} A column and row of a pane, with the keys and the button that are held. */
function spotAt(pane, [u, v], { altKey, shiftKey, button }) {
  const { plane, slice, store } = pane;
  const { negative, adding } = store.state;
  return {
    pane,
    plane,
    slice,
    u,
    v,
    inside: u >= 0 && v >= 0 && u < plane.width && v < plane.height,
    negative: negative !== (altKey || button === 2),
    adding: adding || shiftKey,
  };
}

/** Put the crosshair where something was done. */
function look(spot) {
  if (!spot.inside) return;
  spot.pane.store.set({ point: voxelAt(spot.plane, Math.floor(spot.u), Math.floor(spot.v), spot.slice) });
}

/**
 * @param {import("./pane.js").Pane} pane
 * @param {import("./stage.js").Stage} stage
 * @param {import("./toolbox.js").Toolbox} toolbox
 */
export function listen(pane, stage, toolbox) {
  const { canvas, store } = pane;
  const down = new Map();
  let gesture = null;
  let owner = null; // pointer that began the gesture; null where two fingers do
  const moveView = (dx, dy) => {
    pane.camera.move(dx, dy, pane.plane);
    stage.draw("view");
  };

  const panning = (start, click) => {
    let [x, y, still] = [start.clientX, start.clientY, true];
    return {
      move(event) {
        if (still && Math.hypot(event.clientX - x, event.clientY - y) < STILL) return;
        still = false;
        moveView(event.clientX - x, event.clientY - y);
        [x, y] = [event.clientX, event.clientY];
      },
      up: (event) => still && click && look(spotOf(pane, event)),
      cancel() {},
    };
  };

  const pinching = () => {
    const place = () => {
      const [a, b] = [...down.values()];
      const box = canvas.getBoundingClientRect();
      return {
        x: (a.clientX + b.clientX) / 2 - box.left,
        y: (a.clientY + b.clientY) / 2 - box.top,
        wide: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
      };
    };
    let last = place();
    return {
      move() {
        const now = place();
        moveView(now.x - last.x, now.y - last.y);
        pane.camera.zoomAt(now.wide / Math.max(last.wide, 1), [now.x, now.y], pane.plane, pane.width, pane.height);
        last = now;
      },
      up() {},
      cancel() {},
    };
  };

  /** Right: across the width of the window, down its level; without moving, a click that takes away. */
  const windowing = (start) => {
    const { low, high } = store.state.window;
    let still = true;
    return {
      move(event) {
        const [dx, dy] = [event.clientX - start.clientX, event.clientY - start.clientY];
        if (still && Math.hypot(dx, dy) < STILL) return;
        still = false;
        const width = Math.max(1, (high - low) * 1.01 ** dx);
        const level = (low + high) / 2 + (dy * (high - low)) / 300;
        store.set({ window: { low: level - width / 2, high: level + width / 2 } });
      },
      up() {
        const tool = toolbox.current;
        if (still && tool.clicks && toolbox.ready(pane)) tool.tap(spotOf(pane, start));
      },
      cancel() {},
    };
  };

  const using = (start) => {
    const tool = toolbox.current;
    if (!toolbox.ready(pane)) return null;
    tool.down(spotOf(pane, start));
    store.set({ pressed: true });
    return {
      move: (event) => tool.move(spotOf(pane, event)),
      up(event) {
        store.set({ pressed: false });
        tool.up(spotOf(pane, event));
        look(spotOf(pane, event));
      },
      cancel() {
        store.set({ pressed: false });
        tool.cancel();
      },
    };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") down.set(event.pointerId, event);
    try {
      canvas.setPointerCapture(event.pointerId);
    } catch {
      // A pointer that is gone already cannot be kept.
    }
    // A pen draws on where the hand lies; where that came first, with one finger or two, it stops.
    if (gesture && (event.pointerType === "pen" || (down.has(owner) && down.size === 2))) {
      gesture.cancel();
      gesture = owner = null;
    }
    if (gesture) return;
    if (down.size > 1 && event.pointerType === "touch") {
      if (down.size === 2) gesture = pinching();
      return;
    }
    if (event.button === 1 || store.state.panning || (event.button === 0 && !toolbox.current.down))
      gesture = panning(event, event.button === 0);
    else gesture = event.button === 2 ? windowing(event) : using(event);
    owner = gesture && event.pointerId;
  });

  const isOfAnother = ({ pointerId }) => owner !== null && pointerId !== owner;
  canvas.addEventListener("pointermove", (event) => {
    if (down.has(event.pointerId)) down.set(event.pointerId, event);
    if (isOfAnother(event)) return;
    gesture?.move(event);
    const spot = spotOf(pane, event);
    toolbox.hover = { pane, spot };
    store.emit("hover", spot.inside ? spot : null);
    pane.draw("view");
  });

  const end = (event, finish) => {
    down.delete(event.pointerId);
    if (isOfAnother(event)) return;
    const ending = gesture;
    gesture = owner = null; // whatever a tool does
    if (finish) ending?.up(event);
    else ending?.cancel();
    pane.draw("view");
  };
  canvas.addEventListener("pointerup", (event) => end(event, true));
  canvas.addEventListener("pointercancel", (event) => end(event, false));
  canvas.addEventListener("pointerleave", () => {
    toolbox.hover = null;
    store.emit("hover", null);
    pane.draw("view");
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => toolbox.ready(pane) && toolbox.current.twice?.());
  canvas.addEventListener("focus", () => {
    stage.focused = pane;
    pane.draw("view");
  });
  canvas.addEventListener("blur", () => pane.draw("view"));

  let turned = 0;
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const amount = event.deltaY * (event.deltaMode === 1 ? 33 : 1);
      if (event.ctrlKey || event.metaKey || !store.state.opened.isVolume) {
        const box = canvas.getBoundingClientRect();
        const factor = Math.exp(-amount * (event.ctrlKey && Math.abs(amount) < 40 ? 0.01 : 0.0015));
        pane.camera.zoomAt(
          factor,
          [event.clientX - box.left, event.clientY - box.top],
          pane.plane,
          pane.width,
          pane.height,
        );
        stage.draw("view");
        return;
      }
      turned += amount;
      const slices = Math.trunc(turned / 50);
      if (slices === 0) return;
      turned -= 50 * slices;
      stage.step(pane, Math.abs(amount) >= 50 ? Math.sign(slices) : slices); // a notch of a wheel is one slice
    },
    { passive: false },
  );
}
