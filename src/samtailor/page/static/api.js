/** Requests to the server that sent this page. Nothing else is ever asked. */

/** What the server refused, in its words; `status` 0 where it could not be reached. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** What tells the label that is here from any other, by case: who changes it says which one is meant. */
const revisions = new Map();

/**
 * @param {string} method
 * @param {string} path
 * @param {{json?: any, body?: BodyInit, signal?: AbortSignal, of?: number}} [options] `of` is the case whose label the
 *   request is about.
 * @returns {Promise<Response>}
 */
async function ask(method, path, { json, body, signal, of } = {}) {
  let response;
  try {
    const headers = json === undefined ? {} : { "Content-Type": "application/json" };
    if (method !== "GET" && revisions.has(of)) headers["If-Match"] = revisions.get(of);
    response = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached. Is `samtailor app` still running?");
  }
  if (response.ok) {
    if (method !== "GET" && response.headers.has("ETag")) revisions.set(of, response.headers.get("ETag"));
    return response;
  }
  if (response.status === 412) window.dispatchEvent(new CustomEvent("changed-elsewhere", { detail: of }));
  const answer = await response.json().catch(() => null);
  throw new ApiError(
    response.status,
    answer?.error ?? `The server answered ${response.status} ${response.statusText}.`,
  );
}

const json = async (...request) => (await ask(...request)).json();
const bytes = async (...request) => new Uint8Array(await (await ask(...request)).arrayBuffer());

/**
 * @typedef {Object} Change
 * @property {number[]|null} box [z0, y0, x0, z1, y1, x1]; null if nothing changed.
 * @property {Uint8Array} content Of the box. @property {string} note A remark; "" if there is none.
 */

/** @returns {Promise<Change>} */
async function change(id, what, body) {
  const response = await ask("POST", `/api/cases/${id}/${what}`, { json: body, of: id });
  const box = response.headers.get("X-Box") ?? "none";
  return {
    box: box === "none" ? null : box.split(",").map(Number),
    content: new Uint8Array(await response.arrayBuffer()),
    note: decodeURIComponent(response.headers.get("X-Note") ?? ""),
  };
}

/** A label, with what tells it from any other. @returns {Promise<Uint8Array & {revision?: string}>} */
async function label(id, of, signal) {
  const response = await ask("GET", `/api/cases/${id}/label?of=${of}`, { signal });
  const revision = response.headers.get("ETag");
  return Object.assign(new Uint8Array(await response.arrayBuffer()), { revision });
}

export const api = {
  project: () => json("GET", "/api/project"),
  thumbnail: (id) => `/api/cases/${id}/thumbnail`,
  open: (id, signal) => json("POST", `/api/cases/${id}/open`, { signal }),
  image: (id, signal) => bytes("GET", `/api/cases/${id}/image`, { signal }),
  label,
  /** From now on this label of a case is on the page. */
  shows: (id, { revision }) => revision && revisions.set(id, revision),
  predict: (id) => json("POST", `/api/cases/${id}/predict`),
  predictAll: () => json("POST", "/api/predict"),
  predictingAll: () => json("GET", "/api/predict"),
  stopPredicting: () => json("DELETE", "/api/predict"),
  patch: (id, box, content) => json("PATCH", `/api/cases/${id}/label?box=${box.join(",")}`, { body: content, of: id }),
  prompt: (id, prompt) => change(id, "prompt", prompt),
  interpolate: (id, between) => change(id, "interpolate", between),
  revert: (id, to) => json("POST", `/api/cases/${id}/revert?to=${to}`, { of: id }),
  save: (id) => json("POST", `/api/cases/${id}/save`, { of: id }),
  download: (id) => `/api/cases/${id}/download`,
  upload: (file) => json("POST", `/api/upload?name=${encodeURIComponent(file.name)}`, { body: file }),
  fit: () => json("GET", "/api/fit"),
  startFit: (time) => json("POST", "/api/fit", { json: { time } }),
  stopFit: () => json("DELETE", "/api/fit"),
};
