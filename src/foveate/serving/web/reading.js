// One reading: what the server sends, kept page by page, until it is done, stopped or broken.

import { events, form, json } from "./api.js";

/** Sends "change" with a page's number, and "end" once, when there is nothing more to come. */
export class Reading extends EventTarget {
  constructor(name, asked) {
    super();
    Object.assign(this, { name, asked, model: "", numbers: [], document: null, markdown: null, html: null, ended: false });
    this.pages = new Map();
    this.problem = null;
    this.stopped = false;
    this.abort = new AbortController();
  }

  /** A reading out of the history. */
  static recorded(record) {
    const reading = new Reading(record.name, { mode: record.mode, prompt: record.prompt });
    Object.assign(reading, { id: record.id, model: record.model, document: record.document, ended: true });
    reading.numbers = record.pages.map((page) => page.number);
    for (const page of record.pages) reading.pages.set(page.number, page);
    return reading;
  }

  get done() {
    return [...this.pages.values()].filter((page) => page.state === "read" || page.state === "failed");
  }

  async run(file) {
    try {
      for await (const event of events("read", form({ file, ...this.asked }), this.abort.signal)) this.hear(event);
    } catch (error) {
      if (this.abort.signal.aborted) this.stopped = true;
      else this.problem = error;
    }
    for (const page of this.pages.values()) if (page.state === "waiting" || page.state === "reading") page.state = "stopped";
    this.ended = true;
    this.dispatchEvent(new CustomEvent("end"));
  }

  stop() {
    this.abort.abort();
  }

  hear(event) {
    const handler = { start: "begin", page: "open", text: "write", again: "again", read: "close", failed: "fail", done: "finish" }[event.type];
    if (handler) this[handler](event);
    this.dispatchEvent(new CustomEvent("change", { detail: event.number ?? null }));
  }

  begin({ numbers, model }) {
    Object.assign(this, { numbers, model });
    for (const number of numbers) {
      if (!this.pages.has(number)) this.pages.set(number, { number, state: "waiting", blocks: [], before: [] });
    }
  }

  open(event) {
    const { type, ...page } = event;
    Object.assign(this.pages.get(event.number), page, { state: "reading", blocks: [], text_tokens: 0 });
  }

  /** Blocks from `from` on have changed or are new. */
  write({ number, from, blocks, text_tokens: tokens }) {
    const page = this.pages.get(number);
    page.blocks = [...page.blocks.slice(0, from), ...blocks];
    page.text_tokens = tokens;
  }

  again({ number, mode, vision_tokens: tokens }) {
    const page = this.pages.get(number);
    page.before.push(page.mode);
    Object.assign(page, { mode, vision_tokens: tokens, blocks: [], text_tokens: 0 });
  }

  close(event) {
    const { type, ...page } = event;
    Object.assign(this.pages.get(event.number), page, { state: "read" });
  }

  fail({ number, message }) {
    Object.assign(this.pages.get(number), { state: "failed", problem: message });
  }

  finish({ document, markdown, html }) {
    Object.assign(this, { document, markdown, html });
  }

  /** The document as "md", "html" or "json"; what was stopped or is out of the history is written anew. */
  async written(form_) {
    if (form_ === "json" && this.document) return JSON.stringify(this.document, null, 2);
    if (this.markdown === null) await this.write_();
    return { md: this.markdown, html: this.html, json: JSON.stringify(this.document, null, 2) }[form_];
  }

  async write_() {
    const document = this.document ?? this.partial();
    const headers = { "Content-Type": "application/json" };
    const answer = await json("write", { method: "POST", body: JSON.stringify(document), headers });
    Object.assign(this, { document, markdown: answer.markdown, html: answer.html });
  }

  /** A document of the pages that were read before it was stopped. */
  partial() {
    const pages = this.numbers.map((number) => this.pages.get(number)).filter((page) => page.document);
    return { schema: "foveate.document", version: 1, source: this.name, model: this.model, pages: pages.map((page) => page.document) };
  }

  /** What the history keeps. */
  record() {
    const pages = this.numbers.map((number) => this.pages.get(number)).filter((page) => page.document || page.problem);
    const id = (this.id ??= crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`);
    return { id, when: Date.now(), name: this.name, model: this.model, mode: this.asked.mode, prompt: this.asked.prompt,
      document: this.document ?? this.partial(), pages: structuredClone(pages) };
  }
}
