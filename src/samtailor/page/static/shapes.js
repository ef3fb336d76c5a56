/** Pixels of shapes: what brush, lasso and fill paint. Pixel (u, v) covers [u, u + 1) x [v, v + 1). */

/**
 * Pixels nearer than a radius to the line from a to b, which may be one point; at least the pixel under b.
 * @param {[number, number]} a @param {[number, number]} b Columns and rows.
 * @param {number} radius In the unit of the pixel's size.
 * @param {[number, number]} size Of a pixel, so that the brush is round in the world.
 * @param {(u: number, v: number) => void} put
 */
export function line(a, b, radius, size, put) {
  put(Math.floor(b[0]), Math.floor(b[1]));
  const [ax, ay, bx, by] = [a[0] * size[0], a[1] * size[1], b[0] * size[0], b[1] * size[1]];
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const [u0, u1] = [Math.min(a[0], b[0]) - radius / size[0], Math.max(a[0], b[0]) + radius / size[0]];
  const [v0, v1] = [Math.min(a[1], b[1]) - radius / size[1], Math.max(a[1], b[1]) + radius / size[1]];
  for (let v = Math.floor(v0); v <= v1; v++)
    for (let u = Math.floor(u0); u <= u1; u++) {
      const [x, y] = [(u + 0.5) * size[0] - ax, (v + 0.5) * size[1] - ay];
      const t = length === 0 ? 0 : Math.max(0, Math.min(1, (x * dx + y * dy) / length));
      if ((x - t * dx) ** 2 + (y - t * dy) ** 2 <= radius * radius) put(u, v);
    }
}

/**
 * Pixels whose centre is inside a polygon, by the even-odd rule.
 * @param {[number, number][]} points
 * @param {number} width @param {number} height Of the plane.
 * @param {(u: number, v: number) => void} put
 */
export function polygon(points, width, height, put) {
  const rows = points.map((point) => point[1]);
  const last = Math.min(height - 1, Math.ceil(Math.max(...rows)));
  for (let v = Math.max(0, Math.floor(Math.min(...rows))); v <= last; v++) {
    const y = v + 0.5;
    const crossings = [];
    points.forEach(([ux, uy], i) => {
      const [wx, wy] = points[(i + 1) % points.length];
      if (uy <= y !== wy <= y) crossings.push(ux + ((y - uy) / (wy - uy)) * (wx - ux));
    });
    crossings.sort((p, q) => p - q);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const end = Math.min(width - 1, Math.ceil(crossings[i + 1] - 0.5) - 1);
      for (let u = Math.max(0, Math.ceil(crossings[i] - 0.5)); u <= end; u++) put(u, v);
    }
  }
}

/**
 * The region of one class around a pixel, connected by edges, where the image holds something.
 * @param {import("./opened.js").Opened} opened @param {import("./planes.js").Plane} plane @param {number} slice
 * @param {(u: number, v: number) => void} put Changes the label there.
 */
export function region(opened, plane, slice, u, v, put) {
  const { label } = opened;
  const { width, height, su, sv } = plane;
  const start = plane.origin + slice * plane.ss;
  const old = label[start + u * su + v * sv];
  const is = (column, row) => {
    const at = start + column * su + row * sv;
    return label[at] === old && opened.holds(at);
  };
  const stack = [[u, v]];
  while (stack.length > 0) {
    const [column, row] = stack.pop();
    if (!is(column, row)) continue;
    let left = column;
    while (left > 0 && is(left - 1, row)) left--;
    let [above, below] = [false, false];
    for (let at = left; at < width && is(at, row); at++) {
      put(at, row);
      const up = row > 0 && is(at, row - 1);
      if (up && !above) stack.push([at, row - 1]);
      above = up;
      const down = row + 1 < height && is(at, row + 1);
      if (down && !below) stack.push([at, row + 1]);
      below = down;
    }
  }
}
