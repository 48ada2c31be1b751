// SPDX-License-Identifier: ISC
// Light or dark: as the system has it, until the button says otherwise. Runs before the page is drawn, so that it
// never flashes in the wrong one; what was chosen is remembered by the browser.

(() => {
  const KEY = "dynapm-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // a browser that keeps nothing
    }
  }

  function remember(theme) {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // then for this page only
    }
  }

  function apply(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  apply(remembered());

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const tell = () => {
      button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
      button.title = button.getAttribute("aria-label");
    };
    button.addEventListener("click", () => {
      const wanted = isDark() ? "light" : "dark";
      const asSystem = (wanted === "dark") === system.matches;
      apply(asSystem ? null : wanted);
      remember(asSystem ? null : wanted);
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  });
})();
