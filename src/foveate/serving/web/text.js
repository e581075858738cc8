// Blocks to elements. The server has cut them into plain pieces; here each becomes an element of a known
// name with text inside. Nothing that a model wrote is ever taken as markup.

import { make } from "./dom.js";

const ELEMENTS = new Set(["strong", "em", "u", "s", "small", "sup", "sub"]);
const WORD = /[\p{L}\p{N}]+/gu;
const PICTURES = new Set(["image", "figure", "chart", "seal"]);
const GRAVE = 0.25;

/** A block's element for the list of blocks. */
export function blockElement(block, index) {
  const classes = ["block"];
  if (block.furniture) classes.push("furniture");
  if (block.kind.endsWith("caption") || block.kind.endsWith("footnote")) classes.push("caption");
  if (block.boxes.length) classes.push("placed");
  const doubts = new Doubts(block.doubts);
  const parts = block.nodes.map((node) => nodeElement(node, doubts));
  if (!parts.length) parts.push(PICTURES.has(block.kind) ? make("p", { className: "missing", textContent: block.kind }) : make("p"));
  const item = make("li", { className: classes.join(" "), dir: "auto", tabIndex: index ? -1 : 0, dataset: { block: index } },
    ...parts);
  item.title = block.confidence === null ? block.kind : `${block.kind}, ${percent(block.confidence)} sure`;
  return item;
}

export const percent = (share) => `${Math.round(100 * share)} %`;

/** Which words are in doubt: each is known by its letters and by how many of the same came before it. */
class Doubts {
  constructor(doubts) {
    this.seen = new Map();
    this.shares = new Map(doubts.map(([word, number, share]) => [`${number} ${word}`, share]));
  }

  /** The text in pieces, doubtful words in marks. */
  *pieces(text) {
    let place = 0;
    for (const { 0: word, index } of text.matchAll(WORD)) {
      const number = this.seen.get(word) ?? 0;
      this.seen.set(word, number + 1);
      const share = this.shares.get(`${number} ${word}`);
      if (share === undefined) continue;
      if (index > place) yield text.slice(place, index);
      yield make("mark", { className: share < GRAVE ? "doubt grave" : "doubt", textContent: word,
        title: `${percent(share)} sure` });
      place = index + word.length;
    }
    if (place < text.length) yield text.slice(place);
  }
}

function nodeElement(node, doubts) {
  switch (node.kind) {
    case "heading":
      return make(`h${Math.min(2 + node.level, 6)}`, {}, ...inline(node.pieces, doubts));
    case "code":
      return make("pre", { tabIndex: 0, role: "group", "aria-label": "Code" }, make("code", {}, ...doubts.pieces(node.text)));
    case "list":
      return listElement(node.items, doubts);
    case "table":
      return make("div", { className: "table-room" }, make("table", {}, make("tbody", {},
        ...node.rows.map((row) => make("tr", {}, ...row.map((cell) => cellElement(cell, doubts)))))));
    default:
      return make("p", {}, ...inline(node.pieces, doubts));
  }
}

function cellElement(cell, doubts) {
  const element = make(cell.head ? "th" : "td", {}, ...inline(cell.pieces, doubts));
  if (cell.columns > 1) element.colSpan = cell.columns;
  if (cell.rows > 1) element.rowSpan = cell.rows;
  return element;
}

function listElement(items, doubts) {
  const ordered = items.length > 0 && items[0].ordered;
  const list = make(ordered ? "ol" : "ul", {}, ...items.map((item) => make("li", {}, ...inline(item.pieces, doubts))));
  if (ordered && items[0].number > 1) list.start = items[0].number;
  return list;
}

/** Pieces of a paragraph; "open" and "close" nest, the server has seen to it. */
function inline(pieces, doubts) {
  const root = make("span");
  const stack = [root];
  for (const [kind, value] of pieces) {
    const here = stack.at(-1);
    if (kind === "open" && ELEMENTS.has(value)) {
      stack.push(make(value));
      here.append(stack.at(-1));
    } else if (kind === "close" && stack.length > 1) stack.pop();
    else if (kind === "break") here.append(make("br"));
    else if (kind === "code") here.append(make("code", {}, ...doubts.pieces(value)));
    else if (kind === "math") here.append(make("code", { className: "formula" }, ...doubts.pieces(value)));
    else if (kind === "display") here.append(make("code", { className: "formula display" }, ...doubts.pieces(value)));
    else if (kind === "text") here.append(...doubts.pieces(value));
  }
  return [...root.childNodes];
}
