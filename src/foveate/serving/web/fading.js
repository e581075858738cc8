// The Fade tab: text becomes pages as it is typed, and a page is seen and read back at every age of memory.

import { events, form, json, Problem } from "./api.js";
import { $, announce, count, make, plural, settled, show } from "./dom.js";
import { modeName } from "./modes.js";
import { Pager } from "./sheet.js";
import { compare } from "./compare.js";

export class Fading {
  constructor(about) {
    this.about = about;
    this.ages = ["text", ...about.fade.modes, "gone"]; // the youngest first
    this.pages = [];
    this.shown = 0;
    this.back = new Map(); // mode -> what is seen and read back of the page that is shown
    this.drawn = false;
    this.pager = new Pager("fade-", (step) => this.turn(step));
    this.setUp();
  }

  setUp() {
    $("age").max = this.ages.length - 1;
    $("page-side").textContent = `${this.about.fade.side} × ${this.about.fade.side}`;
    $("age-marks").replaceChildren(...this.ages.map((age, index) => {
      const mark = make("li", {}, make("b", { textContent: ageName(age) }), make("small", {}));
      mark.addEventListener("click", () => {
        $("age").value = index;
        this.drawAge();
      });
      return mark;
    }));
    $("memory-samples").replaceChildren(...this.about.fade.samples.map((sample) => {
      const button = make("button", { type: "button", className: "button quiet", textContent: sample.title });
      button.addEventListener("click", () => this.sample(sample));
      return button;
    }));
    const soon = settled(350, () => this.render());
    const size = () => ($("type-size-value").textContent = `${$("type-size").value} px`);
    $("memory").addEventListener("input", soon);
    $("type-size").addEventListener("input", () => {
      size();
      soon();
    });
    $("age").addEventListener("input", () => this.drawAge());
    $("fade-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.readBack();
    });
    $("fade-full").addEventListener("change", () => $("memory-sheet").classList.toggle("full", $("fade-full").checked));
    $("fade-stop").addEventListener("click", () => this.reading?.abort());
    this.sample(this.about.fade.samples[0], false);
    size();
  }

  /** Called when the tab is shown. */
  open() {
    if (!this.drawn) this.render();
  }

  sample(sample, render = true) {
    $("memory").value = sample.text;
    $("type-size").value = sample.size;
    $("type-size-value").textContent = `${sample.size} px`;
    if (render) this.render();
  }

  turn(step) {
    this.shown = Math.min(Math.max(this.shown + step, 0), this.pages.length - 1);
    this.render();
  }

  /** What was read back belongs to another page or another text. */
  forget() {
    this.reading?.abort();
    this.back = new Map();
  }

  get page() {
    return this.pages[this.shown] ?? null;
  }

  // Text to pages

  async render() {
    this.drawn = true;
    this.rendering?.abort();
    const rendering = (this.rendering = new AbortController());
    this.forget();
    this.complain(null);
    const text = $("memory").value;
    if (!text.trim()) {
      this.pages = [];
      this.drawAll();
      return;
    }
    try {
      const body = form({ text, size: $("type-size").value, page: this.shown + 1 });
      const answer = await json("render", { method: "POST", body, signal: rendering.signal });
      this.pages = answer.pages;
      Object.assign(this, { more: answer.more, pictures: answer.pictures, shown: answer.shown - 1 });
    } catch (error) {
      if (rendering.signal.aborted) return;
      this.pages = [];
      this.complain(error, () => this.render());
    }
    this.drawAll();
  }

  // Pages to text

  async readBack() {
    if (!this.page) {
      $("memory").focus();
      return;
    }
    this.forget();
    this.complain(null);
    const reading = (this.reading = new AbortController());
    this.drawAll();
    $("fade-stop").focus();
    try {
      const body = form({ text: $("memory").value, size: $("type-size").value, page: this.page.number });
      for await (const event of events("fade", body, reading.signal)) this.hear(event);
      announce(this.summary());
    } catch (error) {
      if (!reading.signal.aborted) this.complain(error, () => this.readBack());
    }
    if (this.reading !== reading) return;
    this.reading = null;
    this.drawAll();
    if (document.activeElement === document.body) $("age").focus({ preventScroll: true });
  }

  hear(event) {
    if (event.type === "mode") this.back.set(event.mode, { ...event, text: "", state: "reading" });
    const known = this.back.get(event.mode);
    if (event.type === "text") Object.assign(known, { text: event.text, text_tokens: event.text_tokens });
    if (event.type === "read") Object.assign(known, event, { state: "read", score: compare(this.page.text, event.text) });
    if (event.type === "failed") Object.assign(known, { state: "failed", problem: event.message });
    this.drawSoon ??= requestAnimationFrame(() => {
      this.drawSoon = null;
      this.drawAll();
    });
  }

  summary() {
    return this.about.fade.modes.map((mode) => [mode, this.back.get(mode)?.score])
      .filter(([, score]) => score)
      .map(([mode, score]) => `${modeName(mode)}: ${score.kept} of ${plural(score.all, "word")} back`).join(". ");
  }

  // The picture

  drawAll() {
    const { page, pages } = this;
    const text = $("memory").value;
    $("memory-count").textContent = text.trim() ? `${count([...text].length)} characters` : "Write or paste something to remember.";
    this.pager.at(this.shown, pages.length, `page ${this.shown + 1} of ${pages.length}`);
    $("fade").disabled = !page || Boolean(this.reading);
    $("fade").textContent = this.reading ? "Reading back…" : "Read back at every age";
    show($("fade-stop"), Boolean(this.reading));
    $("fade-cost").textContent = page ? `${plural(pages.length, "page")}${this.more ? " (the rest is left out)" : ""}: ${
      plural(page.text_tokens, "text token")} on this one${page.missing ? `, ${plural(page.missing, "character")} without a font` : ""}` : "";
    [...$("age-marks").children].forEach((mark, index) => {
      mark.querySelector("small").textContent = this.tokenWords(this.ages[index]);
    });
    this.drawLedger();
    this.drawAge();
  }

  tokens(age) {
    if (age === "gone") return 0;
    if (!this.page) return null;
    return age === "text" ? this.page.text_tokens : this.about.fade.costs[age];
  }

  tokenWords(age) {
    const tokens = this.tokens(age);
    return tokens === null ? "" : count(tokens);
  }

  drawAge() {
    const index = Number($("age").value);
    const age = this.ages[index];
    const words = `${ageName(age)}${this.page ? `, ${plural(this.tokens(age), "token")}` : ""}`;
    $("age").setAttribute("aria-valuetext", words);
    [...$("age-marks").children].forEach((mark, place) => mark.classList.toggle("now", place === index));
    for (const row of $("ledger").tBodies[0].rows) row.classList.toggle("now", row.dataset.age === age);
    this.drawKept(age);
    this.drawRecalled(age);
  }

  drawKept(age) {
    const room = $("memory-sheet");
    const { page } = this;
    $("fade-note").textContent = page ? `${plural(this.tokens(age), "token")}${this.sideWords(age)}` : "";
    if (!page) room.replaceChildren(make("div", { className: "gone", textContent: "No text, no page" }));
    else if (age === "gone") room.replaceChildren(make("div", { className: "gone", textContent: "Nothing is kept" }));
    else if (age === "text") {
      room.replaceChildren(make("div", { className: "as-text", textContent: page.text, tabIndex: 0, role: "region", "aria-label": "The text itself" }));
    } else this.drawPicture(room, page, age);
  }

  /** The picture at its size of that age, stretched to the same room: what is lost is lost to the eye too. */
  drawPicture(room, page, age) {
    const source = this.pictures[age];
    const known = room.querySelector("img");
    const side = this.about.fade.sides[age];
    const words = `Page ${page.number} as ${modeName(age)} sees it`;
    if (known?.getAttribute("src") === source) return;
    const image = make("img", { src: source, alt: words, width: side, height: side });
    room.replaceChildren(image);
  }

  sideWords(age) {
    const side = this.about.fade.sides[age];
    return side ? ` · ${side} × ${side} px` : "";
  }

  drawRecalled(age) {
    const room = $("recalled");
    const said = this.back.get(age);
    $("recalled-room").setAttribute("aria-busy", String(said?.state === "reading"));
    $("fade-score").textContent = said?.score ? `${said.score.kept} of ${plural(said.score.all, "word")}` : "";
    const placeholder = (words) => room.replaceChildren(make("span", { className: "placeholder", textContent: words }));
    if (!this.page) placeholder("");
    else if (age === "text") room.replaceChildren(this.page.text);
    else if (age === "gone") placeholder("Nothing: what is gone cannot be read back.");
    else if (said?.state === "failed") placeholder(said.problem);
    else if (said?.score) room.replaceChildren(...marked(said.score));
    else if (said?.text) room.replaceChildren(said.text);
    else placeholder(said ? "Looking at the page…" : "Not read back yet: press “Read back at every age”.");
  }

  drawLedger() {
    const rows = this.ages.map((age) => {
      const tokens = this.tokens(age);
      const said = this.back.get(age);
      const ratio = tokens && this.page ? `${(this.page.text_tokens / tokens).toFixed(2)} ×` : "–";
      const row = make("tr", { dataset: { age } }, make("th", { scope: "row", textContent: ageName(age) }),
        make("td", { textContent: tokens === null ? "–" : count(tokens) }), make("td", { textContent: ratio }));
      const score = age === "text" && this.page ? 1 : age === "gone" && this.page ? 0 : said?.score?.share;
      const cell = make("td", {}, score === undefined ? stateWords(said) : `${Math.round(100 * score)} %`);
      if (score !== undefined) cell.append(make("meter", { min: 0, max: 1, value: score, "aria-hidden": "true" }));
      row.append(cell);
      return row;
    });
    $("ledger").tBodies[0].replaceChildren(...rows);
    const dear = this.page && this.about.fade.modes.filter((mode) => this.tokens(mode) > this.page.text_tokens);
    $("ledger-note").textContent = dear?.length ? `Below 1 × a page costs more than its text: here in ${
      dear.map(modeName).join(", ")}. Set smaller type and write more.` : "";
  }

  complain(problem, again = null) {
    const room = $("fade-problem");
    room.replaceChildren();
    if (!problem) return;
    if (!(problem instanceof Problem)) console.error(problem);
    const words = problem instanceof Problem ? problem.message : "Something on this page went wrong: load it again.";
    room.append(make("p", {}, make("strong", { textContent: "That did not work" }), words));
    if (!again) return;
    const button = make("button", { type: "button", className: "button", textContent: "Try again" });
    button.addEventListener("click", again);
    room.append(button);
  }
}

const ageName = (age) => ({ text: "As text", gone: "Gone" })[age] ?? modeName(age);

function stateWords(said) {
  return { reading: "reading…", failed: "failed" }[said?.state] ?? "–";
}

/** The text read back, with what is wrong in it and what is missing marked. */
function marked({ parts }) {
  return parts.map(([kind, text]) => (kind === "same" ? text : make(kind === "wrong" ? "ins" : "del", { textContent: text })));
}
