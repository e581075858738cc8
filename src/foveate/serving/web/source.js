// Where pages come from: a file that is chosen, dropped or pasted, or a sample. The server looks at it and
// tells its pages, their pictures and what each mode would cost, before anything is read.

import { events, form, Problem } from "./api.js";
import { $, announce, bytes, make, plural, settled, show } from "./dom.js";

/** The file on the bench. Sends "change" when it or what is known of it changes, "problem" when it cannot be used. */
export class Source extends EventTarget {
  constructor(limits, samples) {
    super();
    this.limits = limits;
    this.clear();
    this.setUp();
    this.offer(samples);
  }

  clear() {
    this.looking?.abort();
    Object.assign(this, { file: null, count: 0, numbers: [], pages: new Map(), ready: false, locked: false, busy: false, ranged: false });
  }

  /** Pages that were looked at, in the order asked for. */
  get known() {
    return this.numbers.map((number) => this.pages.get(number)).filter(Boolean);
  }

  get range() {
    return $("pages").value.trim();
  }

  get password() {
    return $("password").value;
  }

  /** Takes a file and has the server look at it. */
  async take(file) {
    this.clear();
    $("pages").value = $("password").value = "";
    this.file = file;
    this.draw();
    this.dispatchEvent(new CustomEvent("taken"));
    await this.look();
  }

  remove() {
    this.clear();
    $("file").value = "";
    this.draw();
    this.changed();
    $("file").focus();
    announce("File removed.");
  }

  async look() {
    if (!this.file) return;
    this.looking?.abort();
    const looking = (this.looking = new AbortController());
    Object.assign(this, { numbers: [], ready: false, locked: false, busy: true });
    this.pages = new Map();
    $("pages-problem").textContent = "";
    try {
      if (this.file.size > this.limits.bytes) {
        throw new Problem(`${this.file.name} has ${bytes(this.file.size)}, and this server takes ${bytes(this.limits.bytes)}: ` +
          "split it, or make its pictures smaller.", { status: 413 });
      }
      const body = form({ file: this.file, pages: this.range, password: this.password, dpi: $("dpi").value });
      for await (const event of events("look", body, looking.signal)) {
        if (looking.signal.aborted) return;
        this.see(event);
      }
      Object.assign(this, { busy: false, ready: this.known.length > 0 });
      this.changed();
    } catch (error) {
      if (!looking.signal.aborted) this.fail(error);
    }
  }

  see(event) {
    if (event.type === "document") {
      Object.assign(this, { count: event.count, numbers: event.numbers });
    } else if (event.type === "page") {
      this.pages.set(event.number, event);
    }
    if (event.type !== "done") this.changed();
  }

  fail(error) {
    this.busy = false;
    const range = error.kind === "bad_pages";
    this.locked = error.kind === "password_needed";
    this.ranged = error.kind === "too_large"; // so many pages that some must be chosen
    this.draw();
    if (range) $("pages-problem").textContent = error.message;
    if (this.locked) $("password").focus();
    this.changed();
    if (this.locked && !this.password) return; // the field that asks for it says enough
    if (!range) this.dispatchEvent(new CustomEvent("problem", { detail: error }));
  }

  changed() {
    this.draw();
    this.dispatchEvent(new CustomEvent("change"));
  }

  draw() {
    const { file, count } = this;
    show($("file-card"), Boolean(file));
    $("file-label").textContent = file ? "Another file" : "Choose a file";
    if (!file) {
      show($("pages-field"), false);
      show($("password-field"), false);
      return;
    }
    $("file-name").textContent = file.name;
    const size = this.known.length === 1 && count === 1 ? `, ${this.known[0].width} × ${this.known[0].height} pixels` : "";
    $("file-facts").textContent = bytes(file.size) + (count ? `, ${plural(count, "page")}` : "") + size;
    show($("pages-field"), count > 1 || this.range !== "" || this.ranged);
    show($("password-field"), this.locked || this.password !== "");
  }

  setUp() {
    const pick = $("file");
    pick.addEventListener("change", () => pick.files[0] && this.take(pick.files[0]));
    $("file-remove").addEventListener("click", () => this.remove());
    $("unlock").addEventListener("click", () => this.look());
    $("password").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.look();
    });
    $("pages").addEventListener("input", settled(600, () => this.look()));
    $("dpi").addEventListener("change", () => this.look());
    setUpDrop((file) => this.take(file));
    setUpPaste((file) => this.take(file), (words) => this.fail(new Problem(words)));
  }

  offer(samples) {
    $("samples").replaceChildren(...samples.map((sample) => {
      const button = make("button", { type: "button" },
        make("img", { src: new URL(`samples/${sample.picture}`, import.meta.url).href, alt: "", loading: "lazy" }),
        make("b", { textContent: sample.title }), make("small", { textContent: sample.words }));
      button.addEventListener("click", () => this.takeSample(sample));
      return make("li", {}, button);
    }));
  }

  async takeSample(sample) {
    try {
      const response = await fetch(new URL(`samples/${sample.file}`, import.meta.url));
      if (!response.ok) throw new Error();
      await this.take(new File([await response.blob()], sample.file, { type: sample.type }));
    } catch {
      this.fail(new Problem("The sample could not be fetched: see that the server still runs, then try again."));
    }
  }
}

/** Anything dropped anywhere on the page. */
function setUpDrop(take) {
  let depth = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const cover = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragenter", (event) => {
    if (holdsFiles(event)) cover(++depth > 0);
  });
  addEventListener("dragleave", (event) => {
    if (holdsFiles(event)) cover((depth = Math.max(0, depth - 1)) > 0);
  });
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    cover((depth = 0) > 0);
    const file = event.dataTransfer.files[0];
    if (file) take(file);
    if (event.dataTransfer.files.length > 1) announce("One file at a time: the first is taken.");
  });
}

/** Pasted pictures and files, by the keyboard or by the button. */
function setUpPaste(take, complain) {
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (!file) return;
    event.preventDefault();
    take(named(file));
  });
  $("paste").addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((name) => name.startsWith("image/"));
        if (type) return take(named(await item.getType(type), type));
      }
      complain("There is no picture on the clipboard: copy one, then paste it.");
    } catch {
      complain("The browser does not let this button look at the clipboard: press Ctrl+V (⌘V) instead.");
    }
  });
}

function named(blob, type = blob.type) {
  const ending = type.split("/")[1]?.replace("jpeg", "jpg") || "png";
  const name = blob.name && blob.name !== "image.png" ? blob.name : `pasted.${ending}`;
  return new File([blob], name, { type });
}
