// Buttons that copy a text, and say which.

import { announce, element, iconAddress } from "./page.js";

// The clipboard interface is missing on plain HTTP, so the older method is a fallback.
async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "sr-only", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    near.after(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    near.focus();
    return done;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const name = button.dataset.copyName ?? "Text";
  const done = await copy(source ? source.textContent.trim() : button.dataset.copy, button);
  if (!done) {
    announce(`${name} could not be copied. Select the text and copy it by hand.`);
    return;
  }
  const use = button.querySelector("use");
  use?.setAttribute("href", iconAddress("check"));
  clearTimeout(button.copyTimer);
  button.copyTimer = setTimeout(() => use?.setAttribute("href", iconAddress("copy")), 2000);
  announce(`${name.charAt(0).toUpperCase()}${name.slice(1)} copied`);
});
