// The page's picture with the boxes of its blocks, lit together with the text that they belong to.

import { $, make, show } from "./dom.js";

export class Sheet {
  /** `light` is called with a block's number, or null, when a box is pointed at; `pick` when one is chosen. */
  constructor(root, { light, pick }) {
    this.root = root;
    this.picture = make("img", { alt: "" });
    this.boxes = make("div", { className: "boxes", "aria-hidden": "true" });
    this.scan = make("div", { className: "scan", hidden: true });
    root.replaceChildren(this.picture, this.boxes, this.scan);
    this.boxes.addEventListener("pointerover", (event) => light(numberOf(event.target)));
    this.boxes.addEventListener("pointerleave", () => light(null));
    this.boxes.addEventListener("click", (event) => {
      const number = numberOf(event.target);
      if (number !== null) pick(number);
    });
  }

  /** Shows a page: its picture (a data URL, or null while it is drawn) and its size in pixels. */
  page(picture, words, { width, height }) {
    this.root.classList.toggle("waiting", !picture);
    show(this.picture, Boolean(picture));
    if (picture && this.picture.getAttribute("src") !== picture) {
      this.picture.width = width;
      this.picture.height = height;
      this.picture.src = picture;
    }
    this.picture.alt = words;
  }

  scanning(on) {
    show(this.scan, on);
  }

  /** Draws the boxes of these blocks; the last one is still being written when `writing` is true. */
  draw(blocks, writing = false) {
    const boxes = blocks.flatMap((block, number) => block.boxes.map((box) => {
      const element = make("div", { className: "box", dataset: { block: number } },
        make("span", { className: "box-kind", textContent: block.kind.replaceAll("_", " ") }));
      const [x0, y0, x1, y1] = box;
      // By the object model, not by an attribute: the page's policy forbids styles in markup.
      Object.assign(element.style, { left: share(x0), top: share(y0), width: share(x1 - x0), height: share(y1 - y0) });
      element.classList.toggle("arriving", writing && number === blocks.length - 1);
      return element;
    }));
    this.boxes.replaceChildren(...boxes);
  }

  light(number) {
    for (const box of this.boxes.children) box.classList.toggle("lit", Number(box.dataset.block) === number);
  }
}

const share = (value) => `${(100 * value).toFixed(3)}%`;

function numberOf(element) {
  const box = element.closest?.(".box");
  return box ? Number(box.dataset.block) : null;
}

/** Steps through pages: draws "2 of 7" and calls back with the step. */
export class Pager {
  constructor(prefix, step) {
    this.parts = [$(`${prefix}pager`), $(`${prefix}place`), $(`${prefix}back`), $(`${prefix}on`)];
    this.parts[2].addEventListener("click", () => step(-1));
    this.parts[3].addEventListener("click", () => step(1));
  }

  at(index, count, words) {
    const [room, place, back, on] = this.parts;
    show(room, count > 1);
    place.textContent = words;
    back.disabled = index <= 0;
    on.disabled = index >= count - 1;
  }
}
