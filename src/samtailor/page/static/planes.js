/**
 * Planes through a volume (slices, rows, columns), and boxes in it. In canonical axes slices go from inferior to
 * superior, rows from anterior to posterior, columns from the patient's right to left; so axial slices are shown as
 * they lie, and the other planes upside down, with the head on top.
 */

/**
 * @typedef {Object} Plane
 * @property {"axial"|"coronal"|"sagittal"} name
 * @property {[number, number, number]} axes Axes of the volume along columns, rows and depth of the plane.
 * @property {boolean} upward Rows go against their axis.
 * @property {number} width @property {number} height @property {number} depth
 * @property {[number, number]} size Of a pixel: width and height, in the unit of the spacing.
 * @property {number} origin @property {number} su @property {number} sv @property {number} ss
 *   The voxel of column u, row v, slice s is at origin + u su + v sv + s ss.
 * @property {string[]} sides Letters at left, right, top and bottom; empty for pictures.
 *
 * @typedef {number[]} Box [z0, y0, x0, z1, y1, x1], half open.
 */

const SIDES = { axial: ["R", "L", "A", "P"], coronal: ["R", "L", "S", "I"], sagittal: ["A", "P", "S", "I"] };

/**
 * @param {[number, number, number]} shape
 * @param {[number, number, number]} spacing
 * @param {boolean} patient Whether the axes are those of a patient.
 * @returns {{axial: Plane, coronal: Plane, sagittal: Plane}}
 */
export function planesOf(shape, spacing, patient) {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const plane = (name, axes, upward) => ({
    name,
    axes,
    upward,
    width: shape[axes[0]],
    height: shape[axes[1]],
    depth: shape[axes[2]],
    size: /** @type {[number, number]} */ ([spacing[axes[0]], spacing[axes[1]]]),
    origin: upward ? (shape[axes[1]] - 1) * strides[axes[1]] : 0,
    su: strides[axes[0]],
    sv: upward ? -strides[axes[1]] : strides[axes[1]],
    ss: strides[axes[2]],
    sides: patient ? SIDES[name] : [],
  });
  return {
    axial: plane("axial", [2, 1, 0], false),
    coronal: plane("coronal", [2, 0, 1], patient),
    sagittal: plane("sagittal", [1, 0, 2], patient),
  };
}

/** @param {Plane} plane @returns {number} Where the voxel of a pixel of a slice lies in a volume. */
export const indexOf = (plane, u, v, s) => plane.origin + u * plane.su + v * plane.sv + s * plane.ss;

/** @param {Plane} plane @returns {[number, number, number]} The voxel of a pixel of a slice of the plane. */
export function voxelAt(plane, u, v, s) {
  const voxel = [0, 0, 0];
  voxel[plane.axes[0]] = u;
  voxel[plane.axes[1]] = plane.upward ? plane.height - 1 - v : v;
  voxel[plane.axes[2]] = s;
  return /** @type {[number, number, number]} */ (voxel);
}

/** @param {Plane} plane @returns {[number, number, number]} Column, row and slice of a voxel in the plane. */
export function pixelOf(plane, voxel) {
  const row = voxel[plane.axes[1]];
  return [voxel[plane.axes[0]], plane.upward ? plane.height - 1 - row : row, voxel[plane.axes[2]]];
}

/** @param {Plane} plane @returns {Box} The box of a rectangle, half open, in one slice of a plane. */
export function boxOf(plane, [u0, v0, u1, v1], s) {
  const a = voxelAt(plane, u0, v0, s);
  const b = voxelAt(plane, u1 - 1, v1 - 1, s);
  return [0, 1, 2].map((i) => Math.min(a[i], b[i])).concat([0, 1, 2].map((i) => Math.max(a[i], b[i]) + 1));
}

/** @param {Plane} plane @param {Box} box @returns {[number, number, number, number]|null} Its part of a slice. */
export function rectOf(plane, box, s) {
  const [a, b, c] = plane.axes;
  if (s < box[c] || s >= box[c + 3]) return null;
  const rows = plane.upward ? [plane.height - box[b + 3], plane.height - box[b]] : [box[b], box[b + 3]];
  return [box[a], rows[0], box[a + 3], rows[1]];
}

/** @param {Box} box @returns {number} How many voxels it has. */
export const sizeOf = (box) => (box[3] - box[0]) * (box[4] - box[1]) * (box[5] - box[2]);

/** Call `row(start, length, at)` for each row of a box: where it lies in the volume and in the box's own content. */
function rowsOf(shape, box, row) {
  const length = box[5] - box[2];
  let at = 0;
  for (let z = box[0]; z < box[3]; z++)
    for (let y = box[1]; y < box[4]; y++, at += length) row((z * shape[1] + y) * shape[2] + box[2], length, at);
}

/** @param {Uint8Array} volume @param {Box} box @returns {Uint8Array} A copy of what is in the box. */
export function cut(volume, shape, box) {
  const content = new Uint8Array(sizeOf(box));
  rowsOf(shape, box, (start, length, at) => content.set(volume.subarray(start, start + length), at));
  return content;
}

/** @param {Uint8Array} volume @param {Box} box @param {Uint8Array} content Put into the box. */
export function put(volume, shape, box, content) {
  rowsOf(shape, box, (start, length, at) => volume.set(content.subarray(at, at + length), start));
}

/** @param {Uint8Array} a @param {Uint8Array} b @returns {Box|null} The smallest box with all differences. */
export function difference(a, b, shape) {
  const [, height, width] = shape;
  const box = [Infinity, Infinity, Infinity, -1, -1, -1];
  for (let z = 0, start = 0; z < shape[0]; z++)
    for (let y = 0; y < height; y++, start += width)
      for (let x = 0; x < width; x++)
        if (a[start + x] !== b[start + x]) {
          box[0] = Math.min(box[0], z);
          box[3] = Math.max(box[3], z + 1);
          box[1] = Math.min(box[1], y);
          box[4] = Math.max(box[4], y + 1);
          box[2] = Math.min(box[2], x);
          box[5] = Math.max(box[5], x + 1);
        }
  return box[3] < 0 ? null : box;
}
