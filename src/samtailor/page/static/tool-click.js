/** Click: the segmenter gives the chosen class to the object under it, or takes the class from what is there. */

/** @returns {import("./toolbox.js").Tool} */
export function clickTool(kit) {
  const { prompts } = kit;
  let pressed = null;
  return {
    name: "click",
    label: "Click",
    key: "p",
    clicks: true,
    hint: "Click on an object: it becomes the class. Right button or Alt takes away; Shift goes on with one object.",
    down(spot) {
      pressed = spot;
    },
    move() {},
    up() {
      if (pressed?.inside) this.tap(pressed);
      pressed = null;
    },
    cancel() {
      pressed = null;
      prompts.forget();
    },
    tap: (spot) => void prompts.click(spot),
    draw(context, pane) {
      for (const { u, v, negative } of prompts.pointsIn(pane)) {
        const [x, y] = pane.placeOf(u, v);
        context.beginPath();
        context.arc(x, y, 6, 0, 2 * Math.PI);
        context.fillStyle = negative ? "#e5484d" : "#30a46c";
        context.fill();
        context.strokeStyle = "#ffffff";
        context.lineWidth = 1.5;
        context.stroke();
        context.beginPath();
        context.moveTo(x - 3, y);
        context.lineTo(x + 3, y);
        if (!negative) {
          context.moveTo(x, y - 3);
          context.lineTo(x, y + 3);
        }
        context.stroke();
      }
    },
  };
}
