// Loaded before the first paint: without a choice in the cookie the system's
// preference decides, and the page must not flash in the other colours.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const cookie = /(?:^|; )(?:__Host-)?theme=(light|dark)(?:;|$)/;
  const choice = () => cookie.exec(document.cookie)?.[1] ?? "system";
  const apply = () => {
    const chosen = choice();
    root.classList.toggle("dark", chosen === "dark" || (chosen === "system" && system.matches));
    root.dataset.theme = chosen;
  };
  apply();
  system.addEventListener("change", apply);
  // Another tab may have changed the cookie while this page was in the
  // back-forward cache.
  addEventListener("pageshow", apply);
  addEventListener("theme:change", apply);
})();
