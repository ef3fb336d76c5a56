/** Runs of equal bytes in little room: labels are mostly that, and undo keeps every one of them. */

/**
 * @typedef {Object} Packed
 * @property {number} length @property {Uint8Array} values @property {Uint32Array|null} ends Of runs; null: not packed.
 */

/** @param {Uint8Array} content @returns {Packed} */
export function pack(content) {
  const { length } = content;
  const limit = length >> 3; // each run takes five bytes; beyond that it is not worth it
  const values = [];
  const ends = [];
  for (let i = 0; i < length;) {
    const value = content[i];
    while (i < length && content[i] === value) i++;
    values.push(value);
    ends.push(i);
    if (ends.length > limit) return { length, values: content.slice(), ends: null };
  }
  return { length, values: Uint8Array.from(values), ends: Uint32Array.from(ends) };
}

/** @param {Packed} packed @returns {Uint8Array} */
export function unpack({ length, values, ends }) {
  if (ends === null) return values;
  const content = new Uint8Array(length);
  let start = 0;
  ends.forEach((end, run) => {
    content.fill(values[run], start, end);
    start = end;
  });
  return content;
}
