// How much of a text came back: its words, in order, by the longest common run of them.

const MOST = 4_000_000; // cells of the table; beyond that, words are counted without their order

/**
 * Compares what was read with what was written. Gives the number of words that came back (`kept` of `all`),
 * the share, and the text that was read as parts: "same", "wrong" (was not there), "lost" (did not come back).
 */
export function compare(written, read) {
  const before = words(written);
  const after = words(read);
  if (before.length * after.length > MOST) return counted(before, after, read);
  const table = lengths(before, after);
  const parts = [];
  let kept = 0;
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      add(parts, "same", after[j]);
      kept++;
      i++;
      j++;
    } else if (i < before.length && (j === after.length || table[i + 1][j] >= table[i][j + 1])) add(parts, "lost", before[i++]);
    else add(parts, "wrong", after[j++]);
  }
  return { kept, all: before.length, share: before.length ? kept / before.length : 1, parts: spaced(parts) };
}

const words = (text) => text.normalize("NFC").split(/\s+/).filter(Boolean);

/** table[i][j]: the longest common run of before[i…] and after[j…]. */
function lengths(before, after) {
  const table = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      table[i][j] = before[i] === after[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}

function counted(before, after, read) {
  const left = new Map();
  for (const word of after) left.set(word, (left.get(word) ?? 0) + 1);
  let kept = 0;
  for (const word of before) {
    const many = left.get(word) ?? 0;
    if (!many) continue;
    kept++;
    left.set(word, many - 1);
  }
  return { kept, all: before.length, share: kept / before.length, parts: [["same", read]] };
}

function add(parts, kind, word) {
  const last = parts.at(-1);
  if (last?.[0] === kind) last[1] += ` ${word}`;
  else parts.push([kind, word]);
}

/** A space between parts, outside the marks. */
function spaced(parts) {
  return parts.flatMap((part, index) => (index ? [["same", " "], part] : [part]));
}
