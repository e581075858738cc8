// The compression meter: one cell for each vision token, deeper in colour the more text it has given.

import { $, plural, show } from "./dom.js";

const STEPS = 10; // text tokens for a vision token up to which the paper reports nearly no loss
const END = 20; // of the scale; the paper reports about 60 % precision there

/** Draws the meter for so many tokens; hides it without vision tokens. */
export function drawMeter(vision, text, facts = "") {
  show($("meter"), vision > 0);
  if (!vision) return;
  const ratio = text / vision;
  $("meter-ratio").textContent = `${ratio.toFixed(ratio < 10 ? 1 : 0)} ×`;
  $("meter-sums").textContent = `${plural(text, "text token")} out of ${plural(vision, "vision token")}`;
  $("meter-facts").textContent = facts;
  $("meter-level").style.width = `${Math.min(100, (100 * ratio) / END).toFixed(2)}%`;
  paint($("meter-cells"), vision, text);
}

function paint(canvas, vision, text) {
  const style = getComputedStyle(canvas);
  const width = canvas.clientWidth;
  if (!width) return;
  const scale = window.devicePixelRatio || 1;
  const cell = Math.max(4, Math.min(11, Math.floor(Math.sqrt((width * 40) / vision))));
  const across = Math.floor(width / cell);
  const rows = Math.ceil(vision / across);
  canvas.height = rows * cell * scale;
  canvas.width = width * scale;
  canvas.style.height = `${rows * cell}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const [empty, full] = [style.getPropertyValue("--line"), style.getPropertyValue("--glow")];
  for (let index = 0; index < vision; index++) {
    const [x, y] = [(index % across) * cell, Math.floor(index / across) * cell];
    const held = Math.floor(text / vision) + (index < text % vision ? 1 : 0);
    pen.globalAlpha = 1;
    pen.fillStyle = empty;
    pen.fillRect(x, y, cell - 1, cell - 1);
    if (!held) continue;
    pen.globalAlpha = Math.min(1, 0.35 + (0.65 * held) / STEPS);
    pen.fillStyle = full;
    pen.fillRect(x, y, cell - 1, cell - 1);
  }
}
