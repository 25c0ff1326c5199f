// The button that changes the colours; theme.js applies them before the first paint.

import { announce } from "./page.js";

const themes = ["system", "light", "dark"];
const button = document.getElementById("theme-button");

function label() {
  const now = document.documentElement.dataset.theme ?? "system";
  const next = themes[(themes.indexOf(now) + 1) % themes.length];
  button.setAttribute("aria-label", `Colours: ${now}. Change to ${next}.`);
  button.title = `Colours: ${now}`;
  return next;
}

button?.addEventListener("click", () => {
  const next = label();
  const age = next === "system" ? 0 : 31536000;
  const [host, secure] = location.protocol === "https:" ? ["__Host-", "; secure"] : ["", ""];
  document.cookie = `${host}theme=${next}; path=/; max-age=${age}; samesite=lax${secure}`;
  dispatchEvent(new Event("theme:change"));
  label();
  announce(`Colours: ${next}`);
});
if (button) label();
