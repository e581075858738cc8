// The Read tab: the bench with its settings, the page, the text, and what ties them together.

import { Problem } from "./api.js";
import { $, announce, count, make, plural, save, settled, show } from "./dom.js";
import { keep } from "./history.js";
import { drawMeter } from "./meter.js";
import { chooseMode, chosenMode, drawModes, modeName, priceModes, total } from "./modes.js";
import { Reading } from "./reading.js";
import { Pager, Sheet } from "./sheet.js";
import { Source } from "./source.js";
import { blockElement, percent } from "./text.js";

const TYPES = { md: "text/markdown;charset=utf-8", html: "text/html;charset=utf-8", json: "application/json" };
const HINTS = {
  markdown: "The whole page as Markdown, with the places of its blocks",
  ocr: "Every line of text with its place",
  text: "The words alone, without places",
  figure: "A chart or drawing taken apart",
  describe: "What the picture shows, in sentences",
  locate: "Where on the page something is",
  own: "Whatever you ask; made-up prompts work less well",
};
const STOPS = {
  again: "came to no end",
  length: "broke off: no more room",
  loop: "went round in circles; the rounds are cut off",
  error: "went wrong",
};

// The page's policy lets no text become markup, but for this: it goes into a frame without scripts, of an origin
// of its own.
const SANDBOX = window.trustedTypes?.createPolicy("foveate-sandbox", { createHTML: (html) => html }) ??
  { createHTML: (html) => html };

export class Desk {
  constructor(about) {
    this.about = about;
    this.reading = null;
    this.shown = 0; // index of the page that is looked at
    this.lit = null;
    this.source = new Source(about.limits, about.samples);
    this.sheet = new Sheet($("sheet"), { light: (block) => this.light(block), pick: (block) => this.pick(block) });
    this.pager = new Pager("page-", (step) => this.turn(step));
    this.setUpForm();
    this.setUpText();
    this.drawSoon = frame(() => this.draw());
    this.draw();
  }

  // The form

  setUpForm() {
    drawModes(this.about.modes, () => this.price());
    for (const name of [...this.about.prompts, "own"]) {
      $("prompt").append(make("option", { value: name, textContent: name === "own" ? "your own words" : name }));
    }
    const prompt = () => {
      show($("reference-field"), $("prompt").value === "locate");
      show($("own-field"), $("prompt").value === "own");
      $("prompt-hint").textContent = HINTS[$("prompt").value] ?? "";
    };
    $("prompt").addEventListener("change", prompt);
    prompt();
    if (this.about.limits.tokens) $("max-tokens").max = this.about.limits.tokens;
    this.source.addEventListener("taken", () => this.begin());
    this.source.addEventListener("change", () => this.looked());
    this.source.addEventListener("problem", (event) => {
      this.complain(event.detail, () => this.source.look());
      this.draw();
      this.price();
    });
    $("read-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!$("read").disabled) this.read();
    });
    $("stop").addEventListener("click", () => this.reading?.stop());
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.busy && !document.querySelector("dialog[open]")) this.reading.stop();
    });
    this.price();
  }

  get busy() {
    return this.reading !== null && !this.reading.ended;
  }

  /** A new file: what was read before leaves the desk. */
  begin() {
    this.reading?.stop();
    this.reading = null;
    this.shown = 0;
    this.complain(null);
    this.draw();
  }

  looked() {
    if (!this.source.file) this.begin();
    else if (this.source.busy || this.source.ready) this.complain(null);
    this.shown = Math.min(this.shown, Math.max(0, this.numbers.length - 1));
    this.price();
    this.drawSoon();
    if (this.source.ready) announce(`${this.source.file.name} is ready: ${$("cost").textContent}`);
  }

  price() {
    const { source } = this;
    const known = source.known;
    priceModes(this.about.modes, known);
    $("read").disabled = !source.ready || this.busy;
    if (!source.file) $("cost").textContent = "Take a page to see what it would cost.";
    else if (!known.length) $("cost").textContent = source.locked ? "Locked: it asks for its password." : source.busy ? "Looking at it…" : "";
    else $("cost").replaceChildren(...this.costWords(known));
  }

  costWords(known) {
    const { numbers } = this.source;
    const sum = total(known, chosenMode());
    const all = known.length === numbers.length;
    const tokens = all ? count(sum) : `about ${count(Math.round((sum / known.length) * numbers.length))}`;
    return [make("b", { textContent: tokens }), ` vision tokens for ${plural(numbers.length, "page")}`,
      ...(all ? [] : [` (${known.length} looked at)`])];
  }

  asked() {
    const prompt = $("prompt").value;
    return {
      mode: chosenMode(),
      prompt: prompt === "own" ? $("own").value.trim() : prompt,
      reference: prompt === "locate" ? $("reference").value.trim() : null,
      temperature: $("temperature").value,
      max_tokens: $("max-tokens").value,
      dpi: $("dpi").value,
      retries: $("again").checked ? 1 : 0,
      pages: this.source.range,
      password: this.source.password,
      seen: [...this.source.pages.keys()].join(","),
    };
  }

  // Reading

  async read() {
    const missing = this.missing();
    if (missing) {
      missing.focus();
      return;
    }
    this.complain(null);
    this.shown = 0;
    const reading = (this.reading = new Reading(this.source.file.name, this.asked()));
    for (const page of this.source.known) reading.pages.set(page.number, { ...page, state: "waiting", blocks: [], before: [] });
    reading.numbers = this.source.numbers;
    reading.addEventListener("change", (event) => this.heard(event.detail));
    this.draw();
    announce(`Reading ${reading.name}, ${modeName(reading.asked.mode)} mode.`);
    $("stop").focus({ preventScroll: true });
    // Where one column holds all, the page and its text are further down.
    if (matchMedia("(max-width: 1100px)").matches) $("paper").scrollIntoView({ block: "start" });
    await reading.run(this.source.file);
    if (this.reading === reading) this.ended();
    if (reading.done.length) await keep(reading.record());
  }

  /** The first field that must be filled in before this can be read. */
  missing() {
    const prompt = $("prompt").value;
    if (prompt === "locate" && !$("reference").value.trim()) return complete($("reference"), "Say what to look for");
    if (prompt === "own" && !$("own").value.trim()) return complete($("own"), "Write what you ask of the page");
    return ["temperature", "max-tokens", "dpi"].map($).find((field) => !field.reportValidity()) ?? null;
  }

  heard(number) {
    const page = number === null ? null : this.reading.pages.get(number);
    if (page?.state === "read" && !page.announced) {
      page.announced = true;
      announce(`Page ${number}: ${plural(page.text_tokens, "text token")} out of ${plural(page.vision_tokens, "vision token")}.`);
    }
    this.drawSoon();
  }

  ended() {
    const { reading } = this;
    if (reading.problem) {
      this.complain(reading.problem, () => this.read());
    } else announce(reading.stopped ? "Stopped." : `${reading.name} is read.`);
    const held = document.activeElement === $("stop") || document.activeElement === document.body;
    this.draw();
    if (held) (reading.problem ? $("read") : $("answer-room")).focus({ preventScroll: true });
  }

  open(record) {
    this.reading?.stop();
    this.source.clear();
    this.source.draw();
    this.complain(null);
    this.reading = Reading.recorded(record);
    this.shown = 0;
    chooseMode(record.mode);
    this.draw();
    announce(`${record.name} is open.`);
    $("answer-room").focus();
  }

  /** Shows what went wrong and a way on, or nothing. */
  complain(problem, again = null) {
    clearInterval(this.waiting);
    $("problem").replaceChildren();
    if (!problem) return;
    const words = problem instanceof Problem ? problem.message : "Something on this page went wrong: load it again.";
    if (!(problem instanceof Problem)) console.error(problem);
    $("problem").append(make("p", {}, make("strong", { textContent: titleOf(problem) }), words));
    const passing = [0, 408, 429].includes(problem.status) || problem.status >= 500;
    if (again && passing) $("problem").append(this.againButton(problem, again));
  }

  againButton(problem, again) {
    const button = make("button", { type: "button", className: "button", textContent: "Try again" });
    button.addEventListener("click", () => {
      this.complain(null);
      again();
    });
    let left = Math.min(problem.retryAfter ?? 0, 600);
    const tick = () => {
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      if (left-- <= 0) clearInterval(this.waiting);
    };
    if (left > 0) this.waiting = setInterval(tick, 1000);
    tick();
    return button;
  }

  // The page and its text

  get numbers() {
    return this.reading?.numbers ?? this.source.numbers;
  }

  /** The page that is looked at: being read, read, or as it was drawn. */
  get page() {
    const number = this.numbers[this.shown];
    const drawn = this.source.pages.get(number);
    return this.reading ? { ...drawn, ...this.reading.pages.get(number) } : drawn;
  }

  turn(step) {
    this.shown = Math.min(Math.max(this.shown + step, 0), this.numbers.length - 1);
    this.light(null);
    this.draw();
    $("answer-room").scrollTop = 0;
  }

  setUpText() {
    const blocks = $("blocks");
    const at = (event) => event.target.closest?.(".block");
    const numberAt = (event) => (at(event) ? Number(at(event).dataset.block) : null);
    blocks.addEventListener("pointerover", (event) => this.light(numberAt(event)));
    blocks.addEventListener("pointerleave", () => this.light(null));
    blocks.addEventListener("focusin", (event) => this.light(numberAt(event)));
    blocks.addEventListener("focusout", () => this.light(null));
    blocks.addEventListener("click", (event) => at(event) && !getSelection().toString() && this.pick(numberAt(event), false));
    blocks.addEventListener("keydown", (event) => this.walk(event));
    for (const input of document.querySelectorAll("input[name=view]")) input.addEventListener("change", () => this.draw());
    for (const button of document.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => this.save(button.dataset.save));
    }
    $("full").addEventListener("change", () => $("sheet").classList.toggle("full", $("full").checked));
    $("copy").addEventListener("click", () => this.copy());
    $("show-doubts").addEventListener("change", () => this.draw());
    addEventListener("resize", settled(150, () => this.draw()));
  }

  /** Up and down through the blocks, which are one stop of the tab key. */
  walk(event) {
    const blocks = [...$("blocks").children];
    const here = blocks.indexOf(event.target.closest(".block"));
    const steps = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: blocks.length - 1 };
    const next = blocks[steps[event.key]];
    if (here < 0 || !next || event.target !== blocks[here]) return;
    event.preventDefault();
    this.pick(Number(next.dataset.block));
  }

  /** Lights a block and its boxes together. */
  light(number) {
    if (number === this.lit) return;
    this.lit = number;
    this.sheet.light(number);
    for (const block of $("blocks").children) block.classList.toggle("lit", Number(block.dataset.block) === number);
  }

  /** Goes to a block in the text. */
  pick(number, scroll = true) {
    const blocks = [...$("blocks").children];
    for (const block of blocks) block.tabIndex = Number(block.dataset.block) === number ? 0 : -1;
    const chosen = blocks.find((block) => Number(block.dataset.block) === number);
    if (!chosen) return;
    if (view() !== "words") return;
    chosen.focus({ preventScroll: true });
    if (scroll) chosen.scrollIntoView({ block: "nearest" });
    this.light(number);
  }

  draw() {
    const { reading, page } = this;
    const any = Boolean(page) || this.numbers.length > 0;
    show($("welcome"), !reading && !any && !this.source.busy && !this.source.locked);
    show($("paper"), any);
    show($("answer"), any);
    show($("stop"), this.busy);
    $("read").textContent = this.busy ? "Reading…" : reading && this.source.file ? "Read again" : "Read";
    $("read").disabled = !this.source.ready || this.busy;
    if (!any) return;
    this.drawSheet(page);
    this.drawText(page);
  }

  drawSheet(page) {
    const number = this.numbers[this.shown];
    this.pager.at(this.shown, this.numbers.length, `${this.shown + 1} of ${this.numbers.length}`);
    $("paper-title").textContent = `Page ${number}`;
    $("paper-note").textContent = page?.width ? `${page.width} × ${page.height} px${page.mode ? ` · ${modeName(page.mode)}` : ""}` : "";
    if (page?.problem && !page.picture) this.sheet.page(null, `Page ${number} could not be drawn`, { width: 0, height: 0 });
    else this.sheet.page(page?.picture ?? null, `Page ${number} of ${this.reading?.name ?? this.source.file?.name}`, page ?? { width: 0, height: 0 });
    this.sheet.scanning(page?.state === "reading" && !page.blocks.length);
    this.sheet.draw(page?.blocks ?? [], page?.state === "reading");
    if (this.lit !== null) this.sheet.light(this.lit);
  }

  drawText(page) {
    const blocks = page?.blocks ?? [];
    const way = view();
    $("answer").setAttribute("aria-busy", String(this.busy && ["waiting", "reading"].includes(page?.state)));
    $("answer-empty").textContent = emptyWords(page);
    show($("answer-empty"), !blocks.length && !page?.problem && way !== "html");
    show($("blocks"), way === "words");
    show($("markdown"), way === "markdown" && blocks.length > 0);
    this.drawBlocks(page, blocks);
    $("markdown").textContent = blocks.map((block) => block.markdown).filter(Boolean).join("\n\n");
    this.drawHtml(way === "html");
    drawMeter(page?.state ? page.vision_tokens ?? 0 : 0, page?.text_tokens ?? 0, facts(page));
    const doubts = blocks.reduce((sum, block) => sum + block.doubts.length, 0);
    $("doubt-count").textContent = doubts ? `(${doubts})` : "";
    $("blocks").classList.toggle("hide-doubts", !$("show-doubts").checked);
    show($("saves"), Boolean(this.reading?.ended && this.reading.numbers.some((n) => this.reading.pages.get(n)?.document)));
  }

  drawBlocks(page, blocks) {
    const list = $("blocks");
    const key = `${this.numbers[this.shown]}`;
    if (list.dataset.page !== key || !this.reading) list.replaceChildren();
    list.dataset.page = key;
    // Blocks that have not changed stay, so that focus and selection survive what is still being written.
    blocks.forEach((block, index) => {
      const known = list.children[index];
      if (known?.block === block) return;
      const item = blockElement(block, index);
      item.block = block;
      if (known) {
        const focused = known === document.activeElement;
        known.replaceWith(item);
        if (focused) item.focus({ preventScroll: true });
      } else list.append(item);
    });
    while (list.children.length > blocks.length) list.lastChild.remove();
    [...list.children].forEach((item, index) => {
      item.classList.toggle("writing", page.state === "reading" && index === blocks.length - 1);
      item.classList.toggle("lit", index === this.lit);
    });
    if (page?.problem) list.append(make("li", { className: "page-problem", textContent: `This page could not be read: ${page.problem}` }));
  }

  async drawHtml(wanted) {
    const frame_ = $("html");
    show(frame_, wanted && Boolean(this.reading?.ended));
    if (!wanted) return;
    if (!this.reading?.ended) {
      $("answer-empty").textContent = "The HTML is written when all pages are read.";
      show($("answer-empty"));
      return;
    }
    const { reading } = this;
    if (frame_.reading === reading) return;
    const html = await this.tried(() => reading.written("html"));
    if (html === null || this.reading !== reading) return;
    frame_.reading = reading;
    frame_.srcdoc = SANDBOX.createHTML(html);
  }

  async save(form_) {
    const text = await this.tried(() => this.reading.written(form_));
    if (text === null) return;
    save(`${this.reading.name.replace(/\.[^.]*$/, "") || "page"}.${form_}`, form_ === "html" ? text : `${text}\n`, TYPES[form_]);
    announce(`Saved as ${form_}.`);
  }

  async copy() {
    const text = await this.tried(() => this.reading.written("md"));
    if (text === null) return;
    try {
      await navigator.clipboard.writeText(text);
      $("copy").textContent = "Copied";
      announce("Markdown copied.");
      setTimeout(() => ($("copy").textContent = "Copy Markdown"), 2000);
    } catch {
      this.complain(new Problem("The browser does not let this page use the clipboard: download the Markdown instead."));
    }
  }

  async tried(work) {
    try {
      return await work();
    } catch (error) {
      this.complain(error);
      return null;
    }
  }
}

const view = () => document.querySelector("input[name=view]:checked").value;

function emptyWords(page) {
  switch (page?.state) {
    case "waiting":
      return "Waiting for its turn…";
    case "reading":
      return "Looking at the page…";
    case "read":
      return "Nothing: the network found no words on this page.";
    case "stopped":
      return "Stopped before this page was read.";
    default:
      return "Nothing read yet. Choose a mode, then Read.";
  }
}

function facts(page) {
  const parts = [];
  const before = page?.before ?? [];
  if (before.length) parts.push(`read again in ${modeName(page.mode)}, because ${before.map(modeName).join(" and ")} ${STOPS.again}`);
  if (page?.state !== "read") return parts.join(" · ");
  if (page.confidence !== null) parts.push(`${percent(page.confidence)} sure`);
  parts.push(`${page.seconds.toFixed(1)} s`);
  if (STOPS[page.stop]) parts.push(STOPS[page.stop]);
  return parts.join(" · ");
}

function titleOf(problem) {
  const titles = { 401: "A key is needed", 413: "Too large", 415: "Not a document", 429: "Busy" };
  return titles[problem.status] ?? "That did not work";
}

function complete(field, words) {
  field.setCustomValidity(words);
  field.reportValidity();
  field.addEventListener("input", () => field.setCustomValidity(""), { once: true });
  return field;
}

/** Calls are gathered until the next frame. */
function frame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
