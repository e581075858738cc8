// The modes as cards: each shows its vision tokens as the grid that they are, and what the page would cost.

import { $, count, draw, make } from "./dom.js";

const WORDS = { auto: "Auto", tiny: "Tiny", small: "Small", base: "Base", large: "Large", gundam: "Gundam",
  "gundam-m": "Gundam-M" };
const CELL = 64; // pixels along a side that one vision token covers

export const modeName = (name) => WORDS[name] ?? name;

/** Draws the cards. `changed` is called when another mode is chosen. */
export function drawModes(modes, changed) {
  const cards = [card({ name: "auto" }, true), ...modes.map((mode) => card(mode, false))];
  cards[0].querySelector("input").checked = true;
  $("modes").replaceChildren(...cards);
  $("modes").addEventListener("change", changed);
  priceModes(modes, []);
}

export const chosenMode = () => document.querySelector("#modes input:checked")?.value ?? "auto";

export function chooseMode(name) {
  const input = document.querySelector(`#modes input[value="${CSS.escape(name)}"]`);
  if (input) input.checked = true;
}

/** Writes on every card what the pages would cost; without pages, what a page costs as a rule. */
export function priceModes(modes, pages) {
  const auto = cardOf("auto");
  auto.querySelector(".mode-cost").textContent = pages.length ? autoWords(pages) : "cheapest without loss";
  for (const mode of modes) {
    const where = cardOf(mode.name);
    const costs = pages.map((page) => page.costs[mode.name]);
    where.querySelector(".mode-cost").textContent = costs.length ? span(costs.map((cost) => cost.vision_tokens)) : rule(mode);
    const tooMuch = costs.length > 0 && costs.every((cost) => !cost.fits);
    where.querySelector("input").disabled = tooMuch;
    where.title = tooMuch ? "More tokens than this network has places" : "";
    const tiles = costs[0]?.grid ?? [1, 1];
    where.querySelector("svg").replaceWith(picture(mode, tiles));
  }
}

/** Tokens that the pages cost together in a mode. */
export function total(pages, mode) {
  return pages.reduce((sum, page) => sum + (page.costs[mode === "auto" ? page.auto : mode]?.vision_tokens ?? 0), 0);
}

function card(mode, wide) {
  return make("label", { className: wide ? "mode wide" : "mode", dataset: { mode: mode.name } },
    make("input", { type: "radio", name: "mode", value: mode.name }),
    wide ? autoPicture() : picture(mode, [1, 1]),
    make("span", { className: "mode-name", textContent: modeName(mode.name) }),
    make("span", { className: "mode-cost" }));
}

const cardOf = (name) => document.querySelector(`#modes [data-mode="${CSS.escape(name)}"]`);

function autoWords(pages) {
  const names = [...new Set(pages.map((page) => page.auto))];
  const tokens = span(pages.map((page) => page.costs[page.auto].vision_tokens));
  return `${names.map(modeName).join(", ")} here: ${tokens}`;
}

function span(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? count(least) : `${count(least)}–${count(most)}`;
}

function rule(mode) {
  const whole = (mode.side / CELL) ** 2;
  return mode.tile ? `${count(whole)} + ${(mode.tile / CELL) ** 2} a tile` : count(whole);
}

/** The tokens of a mode as cells, of one size in all modes; where the page is cut into tiles, the tiles. */
function picture(mode, [across, down]) {
  const svg = frame();
  if (!mode.tile || across * down === 1) {
    svg.append(cells(mode.side / CELL));
    return svg;
  }
  const side = 40 / Math.max(across, down);
  const [left, top] = [(40 - side * across) / 2, (40 - side * down) / 2];
  for (let tile = 0; tile < across * down; tile++) {
    const [x, y] = [left + (tile % across) * side, top + Math.floor(tile / across) * side];
    svg.append(draw("rect", { x: x + 1, y: y + 1, width: side - 2, height: side - 2, rx: 1.5, fill: "currentColor", opacity: 0.8 }));
  }
  return svg;
}

function frame() {
  return draw("svg", { viewBox: "0 0 40 40", class: "mode-grid", "aria-hidden": "true", focusable: "false" });
}

function cells(along) {
  const start = 20 - along;
  let path = "";
  for (let cell = 0; cell < along * along; cell++) {
    path += `M${start + (cell % along) * 2} ${start + Math.floor(cell / along) * 2}h1.3v1.3h-1.3z`;
  }
  return draw("path", { d: path, fill: "currentColor" });
}

function autoPicture() {
  const svg = frame();
  for (const [radius, dash] of [[17, "2 3"], [11, ""]]) {
    svg.append(draw("circle", { cx: 20, cy: 20, r: radius, fill: "none", stroke: "currentColor", "stroke-width": 1.6,
      "stroke-dasharray": dash }));
  }
  svg.append(draw("circle", { cx: 20, cy: 20, r: 5, class: "iris-fovea" }));
  return svg;
}
