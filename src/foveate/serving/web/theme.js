// Runs before the first paint, so that a chosen theme does not flash. Not a module: modules wait.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("foveate.theme");
  } catch {
    // Storage may be forbidden; the page then follows the system.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
