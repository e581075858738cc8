// What was read before, kept in this browser alone (IndexedDB), the newest first and no more than a few dozen.

import { $, announce, make, plural, show } from "./dom.js";

const MOST = 40;
let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const asking = indexedDB.open("foveate", 1);
    asking.onupgradeneeded = () => asking.result.createObjectStore("readings", { keyPath: "id" });
    asking.onsuccess = () => resolve(asking.result);
    asking.onerror = () => reject(asking.error);
    asking.onblocked = () => reject(new Error("blocked"));
  }).catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

async function store(mode, work) {
  const base = await database();
  return new Promise((resolve, reject) => {
    const transaction = base.transaction("readings", mode);
    const asked = work(transaction.objectStore("readings"));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

export async function records() {
  try {
    const all = await store("readonly", (readings) => readings.getAll());
    return all.sort((one, other) => other.when - one.when);
  } catch {
    return []; // a private window may have no storage: the page works without
  }
}

/** Keeps a reading; the oldest go when there are too many or the browser has no more room. */
export async function keep(record) {
  for (let most = MOST; most > 0; most = Math.floor(most / 2)) {
    const old = (await records()).filter((known) => known.id !== record.id).slice(most - 1);
    try {
      await store("readwrite", (readings) => {
        for (const known of old) readings.delete(known.id);
        return readings.put(record);
      });
      break;
    } catch (error) {
      if (error?.name !== "QuotaExceededError") break;
    }
  }
  await count();
}

export async function count() {
  const many = (await records()).length;
  $("history-count").textContent = many;
  show($("history-count"), many > 0);
}

/** Makes the dialogue work; `open` is called with the record that is chosen. */
export function setUpHistory(open) {
  const dialog = $("history");
  $("history-open").addEventListener("click", async () => {
    await list(open);
    dialog.showModal();
  });
  $("history-clear").addEventListener("click", async () => {
    await store("readwrite", (readings) => readings.clear()).catch(() => {});
    await list(open);
    await count();
    announce("History forgotten.");
  });
  count();
}

async function list(open) {
  const all = await records();
  show($("history-clear"), all.length > 0);
  const items = all.map((record) => item(record, open));
  $("records").replaceChildren(...(items.length ? items : [make("li", { textContent: "Nothing yet: what you read will be listed here." })]));
}

function item(record, open) {
  const picture = record.pages[0]?.picture;
  const when = new Date(record.when).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const label = `${record.name}, ${when}`;
  const element = make("li", {},
    picture ? make("img", { src: picture, alt: "" }) : make("span", { className: "no-picture" }),
    make("div", { className: "record-words" },
      make("strong", { textContent: record.name, title: record.name }),
      make("span", { textContent: `${plural(record.pages.length, "page")}, ${record.mode}, ${when}` })),
    make("button", { type: "button", className: "button quiet", textContent: "Open", "aria-label": `Open ${label}` }),
    make("button", { type: "button", className: "plain", textContent: "Forget", "aria-label": `Forget ${label}` }));
  const [opener, forgetter] = element.querySelectorAll("button");
  opener.addEventListener("click", () => {
    $("history").close();
    open(record);
  });
  forgetter.addEventListener("click", async () => {
    await store("readwrite", (readings) => readings.delete(record.id)).catch(() => {});
    element.remove();
    await count();
    $("history").querySelector("button").focus();
  });
  return element;
}
