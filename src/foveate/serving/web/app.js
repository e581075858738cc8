// The page's start: what the server is, the tabs, the theme, the key. Then the two tabs have the word.

import { about as askAbout, key, Problem, setKey } from "./api.js";
import { Desk } from "./desk.js";
import { $, make, show } from "./dom.js";
import { Fading } from "./fading.js";
import { setUpHistory } from "./history.js";

const THEMES = ["system", "light", "dark"];

function setUpTheme() {
  const draw = (theme) => ($("theme").textContent = `Theme: ${theme}`);
  let theme = document.documentElement.dataset.theme ?? "system";
  draw(theme);
  $("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("foveate.theme", theme);
    } catch {
      // Then it holds until the page is closed.
    }
    draw(theme);
    dispatchEvent(new Event("resize")); // what is drawn on a canvas takes its colours anew
  });
}

/** Two tabs, moved between by the arrow keys; the address remembers which. */
function setUpTabs(opened) {
  const tabs = [$("tab-read"), $("tab-fade")];
  const choose = (tab, focus = false) => {
    for (const other of tabs) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      show($(other.getAttribute("aria-controls")), chosen);
    }
    if (focus) tab.focus();
    history.replaceState(null, "", tab === tabs[0] ? location.pathname : "#fade");
    opened(tab.id);
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      choose(tabs[(steps[event.key] + tabs.length) % tabs.length], true);
    });
  });
  if (location.hash === "#fade") choose(tabs[1]);
}

function setUpKey() {
  $("key-open").addEventListener("click", () => askForKey());
  $("key-form").addEventListener("submit", () => setKey($("key-value").value.trim()));
  $("key-forget").addEventListener("click", () => {
    setKey("");
    $("key-value").value = "";
    $("key").close();
  });
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}

function askForKey(words = "") {
  $("key-problem").textContent = words;
  $("key-value").value = key();
  show($("key-forget"), Boolean(key()));
  if (!$("key").open) $("key").showModal();
  $("key-value").focus();
}

async function start() {
  setUpTheme();
  setUpKey();
  const about = await askAbout();
  $("model").textContent = about.model;
  show($("key-open"), about.keys);
  $("welcome-note").textContent = about.note;
  const desk = new Desk(about);
  const fading = new Fading(about);
  setUpHistory((record) => {
    $("tab-read").click();
    desk.open(record);
  });
  setUpTabs((tab) => tab === "tab-fade" && fading.open());
  addEventListener("foveate:key", (event) => askForKey(event.detail));
  if (about.keys && !key()) askForKey();
}

start().catch((error) => {
  if (!(error instanceof Problem)) console.error(error);
  const words = error instanceof Problem ? error.message : "This page could not start: load it again.";
  $("problem").append(make("p", {}, make("strong", { textContent: "That did not work" }), words));
  $("read").disabled = true;
});
