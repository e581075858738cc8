// What the page asks the server, with the key if there is one, and what went wrong in plain words.

const ABOUT = new URL("api/about", import.meta.url);
const PAGE = new URL("../v1/page/", import.meta.url);
const KEY = "foveate.key";
let kept = null; // where the browser forbids storage, the key lives as long as the page

/** Something that did not work: a sentence for people, and what the server said about it. */
export class Problem extends Error {
  constructor(message, { status = 0, retryAfter = 0, kind = "" } = {}) {
    super(message);
    Object.assign(this, { status, retryAfter, kind });
  }
}

export function key() {
  try {
    return localStorage.getItem(KEY) ?? kept ?? "";
  } catch {
    return kept ?? "";
  }
}

export function setKey(value) {
  kept = value || null;
  try {
    if (value) localStorage.setItem(KEY, value);
    else localStorage.removeItem(KEY);
  } catch {
    // Kept above for as long as the page is open.
  }
}

/** A form out of plain values; what is null or empty is left out. */
export function form(values) {
  const data = new FormData();
  for (const [name, value] of Object.entries(values)) {
    if (value instanceof Blob) data.append(name, value, value.name ?? "upload");
    else if (value !== null && value !== undefined && value !== "") data.append(name, String(value));
  }
  return data;
}

/** What the server is; told without a key. */
export async function about() {
  return (await ask(ABOUT, {})).json();
}

export async function json(path, init = {}) {
  return (await ask(new URL(path, PAGE), init)).json();
}

/** The events of an answer that comes piece by piece. Throws a Problem when it breaks off. */
export async function* events(path, body, signal) {
  const response = await ask(new URL(path, PAGE), { method: "POST", body, signal });
  let last = null;
  for await (const [name, text] of sent(response, signal)) {
    last = JSON.parse(text);
    if (name === "error") throw new Problem(last.error.message, { kind: last.error.code ?? "" });
    yield last;
  }
  if (last?.type !== "done") throw new Problem("The server broke off before it was done: try again.");
}

/** Server-sent events as [name, data]. */
async function* sent(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const lines = part.split("\n");
        const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "";
        if (data) yield [name, data];
      }
    }
  } catch (error) {
    throw signal?.aborted ? error : new Problem("The connection broke before the answer was done: try again.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function ask(address, init) {
  const headers = key() ? { Authorization: `Bearer ${key()}` } : {};
  let response;
  try {
    response = await fetch(address, { ...init, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem("The server does not answer: see that `foveate serve` still runs, then try again.");
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) {
    const words = key() ? "The server does not know this key." : "";
    dispatchEvent(new CustomEvent("foveate:key", { detail: words }));
  }
  throw problem;
}

async function problemOf(response) {
  const { status } = response;
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not one of our answers; its number must do.
  }
  const said = body.error?.message ?? body.message ?? (typeof body.detail === "string" ? body.detail : "");
  const kind = body.error?.code ?? body.error?.type ?? body.kind ?? "";
  const fallback = {
    401: "This server asks for a key.",
    403: "This key may not do that.",
    413: "The file is larger than this server takes.",
    429: "The server has its hands full: try again in a moment.",
    503: "The server is not ready, or about to stop: try again in a moment.",
  };
  const message = said || fallback[status] || `The server answered ${status}: try again, or look at its log.`;
  return new Problem(message, { status, kind, retryAfter: Number(response.headers.get("Retry-After")) || 0 });
}
