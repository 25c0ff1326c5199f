// The one dialog of a page: htmx fills it, and the answers of its forms close it.

import { dialog, element } from "./page.js";

const state = {
  opener: null, // the element that opened the dialog, which gets the focus back
  closedByServer: false, // the current response has closed it: its content is not shown
  homeless: false, // focus went back to an element that htmx may replace
  outdated: false, // the server refused: the page behind may be out of date
};

const FOCUSABLE = ["input:not([type=hidden])", "select", "textarea"]
  .map((field) => `${field}:not(:disabled)`)
  .join(", ");

function firstField() {
  const first = dialog.querySelector(FOCUSABLE);
  const checked = dialog.querySelector("input[type=radio]:checked");
  return first?.type === "radio" && checked?.name === first.name ? checked : first;
}

function show() {
  if (!dialog.querySelector("[data-live]")) {
    dialog.append(element("div", { class: "sr-only", role: "status", "data-live": "" }));
  }
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  const title = dialog.querySelector("#dialog-title");
  title?.setAttribute("tabindex", "-1");
  const wrong = dialog.querySelector('[aria-invalid="true"]');
  (wrong ?? dialog.querySelector("[autofocus]") ?? firstField() ?? title)?.focus();
}

const busy = () => dialog.querySelector(".htmx-request") !== null;

function focusBack() {
  const { opener } = state;
  const again = opener?.isConnected ? opener : opener?.id && document.getElementById(opener.id);
  (again || document.getElementById("main")).focus();
}

// An answer below the form means that the form was accepted.
function forgetErrors() {
  for (const error of dialog.querySelectorAll(".field > .error, [role=alert]")) error.remove();
  for (const field of dialog.querySelectorAll("[aria-invalid]")) {
    const described = (field.getAttribute("aria-describedby") ?? "").split(" ");
    const present = described.filter((id) => document.getElementById(id));
    field.removeAttribute("aria-invalid");
    field.setAttribute("aria-describedby", present.join(" "));
  }
}

dialog.addEventListener("close", () => {
  if (dialog.open) return; // it was opened again before the event came
  // While a request is under way its form stays: events of the answer reach
  // the page through it, and the outcome is shown when it comes.
  if (!busy()) dialog.replaceChildren();
  focusBack();
  state.homeless = true;
  if (state.outdated) htmx.trigger(document.body, "subscription-changed");
  state.outdated = false;
});

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-close]");
  if (closer && dialog.contains(closer)) {
    event.preventDefault();
    dialog.close();
  }
});

document.addEventListener("close-dialog", () => {
  state.closedByServer = true;
  if (dialog.open) dialog.close();
});

document.addEventListener("htmx:beforeRequest", (event) => {
  state.closedByServer = false;
  state.homeless = false;
  const { elt, target } = event.detail;
  if (target === dialog && !dialog.contains(elt)) state.opener = elt;
});

document.addEventListener("htmx:afterSwap", (event) => {
  const { target } = event.detail;
  if (target !== dialog && dialog.contains(target)) forgetErrors();
  if (target !== dialog && !dialog.contains(target) && target?.isConnected) return;
  if (state.closedByServer) dialog.replaceChildren();
  else if (dialog.firstElementChild && (target === dialog || dialog.open)) show();
});

document.addEventListener("htmx:afterSettle", () => {
  if (state.homeless && !dialog.open && document.activeElement === document.body) focusBack();
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, target, xhr } = event.detail;
  if (dialog.contains(elt) || target === dialog) state.outdated ||= xhr.status >= 400;
  if (!dialog.open && !busy()) dialog.replaceChildren();
});
