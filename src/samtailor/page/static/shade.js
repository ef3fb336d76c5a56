/** Colours of a slice: intensities by the window, classes by their colours. Little-endian RGBA in 32 bits. */

/**
 * @param {import("./state.js").State} state
 * @returns {{fill: Uint32Array, edge: Uint32Array}} Colour of each class inside and along its outline.
 */
export function classColours({ project, hidden, opacity, outlines, concealed }) {
  const fill = new Uint32Array(256);
  const edge = new Uint32Array(256);
  if (concealed) return { fill, edge };
  const paint = (index, rgb, weight) => {
    const bgr = ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16);
    const alpha = (share) => (Math.round(255 * share) << 24) >>> 0;
    fill[index] = outlines ? 0 : (alpha(opacity * weight) | bgr) >>> 0;
    edge[index] = (alpha((outlines ? 1 : Math.min(1, opacity + 0.35)) * weight) | bgr) >>> 0;
  };
  for (const { index, color } of project.classes)
    if (index > 0 && !hidden.has(index)) paint(index, parseInt(color.slice(1), 16), 1);
  if (project.ignore !== null && !hidden.has(project.ignore)) paint(project.ignore, 0xb0b0b0, 0.7);
  return { fill, edge };
}

/**
 * @param {Uint8Array} label
 * @param {import("./planes.js").Plane} plane @param {number} slice
 * @param {[number, number, number, number]} rect Half open, in pixels of the plane.
 * @param {number} thickness Of outlines in pixels.
 * @param {{fill: Uint32Array, edge: Uint32Array}} colours
 * @returns {ImageData} Of the rectangle.
 */
export function shadeLabel(label, plane, slice, [u0, v0, u1, v1], thickness, { fill, edge }) {
  const { width, height, su, sv } = plane;
  const image = new ImageData(u1 - u0, v1 - v0);
  const out = new Uint32Array(image.data.buffer);
  const [du, dv] = [thickness * su, thickness * sv];
  const start = plane.origin + slice * plane.ss;
  for (let v = v0, at = 0; v < v1; v++) {
    const [up, down] = [v >= thickness, v + thickness < height];
    for (let u = u0, i = start + v * sv + u0 * su; u < u1; u++, i += su, at++) {
      const k = label[i];
      if (k === 0) continue;
      const isEdge =
        (u >= thickness && label[i - du] !== k) ||
        (u + thickness < width && label[i + du] !== k) ||
        (up && label[i - dv] !== k) ||
        (down && label[i + dv] !== k);
      out[at] = isEdge ? edge[k] : fill[k];
    }
  }
  return image;
}

/**
 * @param {import("./opened.js").Opened} opened
 * @param {import("./planes.js").Plane} plane @param {number} slice
 * @param {{low: number, high: number}} window
 * @returns {ImageData} Of the whole slice.
 */
export function shadeImage({ image: voxels, meta }, plane, slice, window) {
  const { width, height, su, sv } = plane;
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const grey = greys(meta.dtype, window);
  const shift = meta.dtype === "int16" ? 32768 : 0;
  const start = plane.origin + slice * plane.ss;
  for (let v = 0, at = 0; v < height; v++) {
    let i = start + v * sv;
    if (meta.channels === 1) for (const end = at + width; at < end; at++, i += su) out[at] = grey[voxels[i] + shift];
    else
      for (const end = at + width; at < end; at++, i += su)
        out[at] =
          (grey[voxels[3 * i]] & 0xff) | (grey[voxels[3 * i + 1]] & 0xff00) | (grey[voxels[3 * i + 2]] & 0xffff0000);
  }
  return image;
}

let latest = { key: "", table: new Uint32Array() };

/** The opaque grey of each intensity; those of the last window are kept. */
function greys(dtype, { low, high }) {
  const key = `${dtype} ${low} ${high}`;
  if (latest.key === key) return latest.table;
  const [size, least] = dtype === "int16" ? [65536, -32768] : [256, 0];
  const table = new Uint32Array(size);
  const scale = 255 / Math.max(high - low, 1e-6);
  for (let i = 0; i < size; i++) table[i] = greyAt((i + least - low) * scale);
  latest = { key, table };
  return table;
}

const greyAt = (level) => Math.max(0, Math.min(255, Math.round(level))) * 0x10101 + 0xff000000;
