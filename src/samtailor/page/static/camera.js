/** What part of a plane is seen, and how large; planes of one name share it, so that comparisons move together. */

const CLOSEST = 64; // screen pixels for one of the image

export class Camera {
  /** Middle of the view in the unit of the spacing, and screen pixels for one unit. */
  x = 0;
  y = 0;
  zoom = 1;
  /** Whether the whole plane is seen, also when the room changes. */
  fitted = true;

  /** See the whole plane in a room of width x height. @param {import("./planes.js").Plane} plane */
  fit(plane, width, height) {
    const [across, down] = [plane.width * plane.size[0], plane.height * plane.size[1]];
    this.x = across / 2;
    this.y = down / 2;
    this.zoom = Math.max(1e-6, Math.min((width - 8) / across, (height - 8) / down));
    this.fitted = true;
  }

  /** Enlarge by a factor so that what is under a place of the screen stays there. */
  zoomAt(factor, [sx, sy], plane, width, height) {
    const whole = Math.min(width / (plane.width * plane.size[0]), height / (plane.height * plane.size[1]));
    const closest = Math.max(whole, CLOSEST / Math.min(...plane.size));
    const zoom = Math.max(0.5 * whole, Math.min(closest, this.zoom * factor));
    const [ox, oy] = [sx - width / 2, sy - height / 2];
    this.x += ox / this.zoom - ox / zoom;
    this.y += oy / this.zoom - oy / zoom;
    this.zoom = zoom;
    this.fitted = false;
  }

  /** Move by pixels of the screen, no farther than the edge of the plane. */
  move(dx, dy, plane) {
    this.x = Math.max(0, Math.min(plane.width * plane.size[0], this.x - dx / this.zoom));
    this.y = Math.max(0, Math.min(plane.height * plane.size[1], this.y - dy / this.zoom));
    this.fitted = false;
  }

  /** Move until a pixel of the plane is in the view. */
  reveal(u, v, plane, width, height) {
    const [sx, sy] = this.toScreen(u + 0.5, v + 0.5, plane, width, height);
    const over = (at, room) => Math.max(0, 12 - at) - Math.max(0, at - room + 12);
    const [dx, dy] = [over(sx, width), over(sy, height)];
    if (dx || dy) this.move(dx, dy, plane);
  }

  toScreen(u, v, plane, width, height) {
    return [
      (u * plane.size[0] - this.x) * this.zoom + width / 2,
      (v * plane.size[1] - this.y) * this.zoom + height / 2,
    ];
  }

  toPlane(sx, sy, plane, width, height) {
    return [
      ((sx - width / 2) / this.zoom + this.x) / plane.size[0],
      ((sy - height / 2) / this.zoom + this.y) / plane.size[1],
    ];
  }
}
