/** Making and finding elements. Text only ever enters through `textContent`: names may hold anything. */

/**
 * @param {string} id
 * @returns {any} The element with this id; it is in index.html.
 */
export const $ = (id) => document.getElementById(id);

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, any>} [props] `class`, `text`, `data` (an object), `on` (listeners by event), `aria-...` and
 *   `role` as attributes; anything else is set as a property.
 * @param {...(Node|null)} children
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "role" || name.startsWith("aria-")) node.setAttribute(name, String(value));
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Scroll a list, and nothing around it, until an entry of it is seen. @param {any} list @param {any} entry */
export function reveal(list, entry) {
  const [room, box] = [list.getBoundingClientRect(), entry.getBoundingClientRect()];
  list.scrollTop += Math.min(0, box.top - room.top) + Math.max(0, box.bottom - room.bottom);
}

const PATHS = {
  pan: "M8 1.5v13M1.5 8h13M8 1.5 6 3.5M8 1.5l2 2M8 14.5l-2-2M8 14.5l2-2M1.5 8l2-2M1.5 8l2 2M14.5 8l-2-2M14.5 8l-2 2",
  click: "M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3M8 7.2v1.6M7.2 8h1.6",
  box: "M2.5 3.5h11v9h-11z",
  lasso: "M5 10.5C2.5 9.5 1.5 7.5 2.5 5.5c1.5-3 8-4 10.5-1.5 2 2.3 0 6.5-4 7-2.5.3-4.5-.3-4.5 1.3 0 1 1 1.7 2 1.7",
  brush: "M13.5 2.5 7 9M6.8 8.8c-1.8-.6-3 .6-3.2 2.2-.1 1-.8 1.7-1.6 2 2.5 1 5.6.5 6-1.9.1-.9-.4-1.9-1.2-2.3z",
  eraser: "M6 13.5h8M3 9.5 9.5 3l4 4L7 13.5H5.5L3 11z M6 6.5l4 4",
  fill: "M7 2 2.5 7.5l4.5 4.5 5-5zM7 2 5.5.8M14 10.5c-.9 1.2-1.3 1.9-1.3 2.5a1.3 1.3 0 0 0 2.6 0c0-.6-.4-1.3-1.3-2.5z",
  undo: "M5.5 3 2.5 6l3 3M2.5 6H10a3.5 3.5 0 0 1 0 7H6",
  redo: "M10.5 3l3 3-3 3M13.5 6H6a3.5 3.5 0 0 0 0 7h4",
  eye: "M1.5 8s2.5-4.5 6.5-4.5S14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  hidden:
    "M2 2l12 12M4 4.8C2.4 6 1.5 8 1.5 8S4 12.5 8 12.5c1.2 0 2.3-.4 3.2-.9" +
    "M6.5 3.7c.5-.1 1-.2 1.5-.2 4 0 6.5 4.5 6.5 4.5s-.6 1.1-1.7 2.2",
  enlarge: "M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9",
};

/**
 * A drawing of 16 x 16 in the colour of the text.
 * @param {keyof typeof PATHS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
