// What the pages gain from a script. Everything here is an addition: without
// it the same links and forms lead to full pages.

const root = document.documentElement;
const dialog = document.getElementById("dialog");

// Building blocks ---------------------------------------------------------

// The sprite's address carries a hash in production; an icon that the header
// always shows tells where it lies.
const sprite = document.querySelector("svg.icon use").getAttribute("href").split("#")[0];

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A modal dialog makes the rest of the page inert, its live region too: the
// dialog therefore has one of its own.
function announce(text) {
  const region = (dialog.open && dialog.querySelector("[data-live]")) || document.getElementById("live");
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

function notify(text, { reload = false, within = null } = {}) {
  const body = element("div", {}, element("p", {}, text));
  if (reload) {
    const again = element("a", { class: "link", href: location.href }, "Reload the page");
    again.addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
    body.append(element("p", {}, again));
  }
  const notice = element("div", { class: "notice", "data-tone": "bad", role: "alert", "data-notify": "" }, icon("circle-x"), body);
  const place = within ?? document.getElementById("messages");
  place.querySelector(":scope > [data-notify]")?.remove();
  if (within?.querySelector(":scope > header")) within.querySelector(":scope > header").after(notice);
  else place.append(notice);
  notice.scrollIntoView({ block: "nearest" });
}

// Theme -------------------------------------------------------------------

const themes = ["system", "light", "dark"];
const themeButton = document.getElementById("theme-button");

function labelTheme() {
  const now = root.dataset.theme ?? "system";
  const next = themes[(themes.indexOf(now) + 1) % themes.length];
  themeButton.setAttribute("aria-label", `Colours: ${now}. Change to ${next}.`);
  themeButton.title = `Colours: ${now}`;
  return next;
}

themeButton?.addEventListener("click", () => {
  const next = labelTheme();
  const age = next === "system" ? 0 : 31536000;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${next}; path=/; max-age=${age}; samesite=lax${secure}`;
  dispatchEvent(new Event("theme:change"));
  labelTheme();
  announce(`Colours: ${next}`);
});
if (themeButton) labelTheme();

// Copy buttons ------------------------------------------------------------

// The clipboard interface is missing on plain HTTP, so the old way stays.
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
  use?.setAttribute("href", `${sprite}#check`);
  clearTimeout(button.copyTimer);
  button.copyTimer = setTimeout(() => use?.setAttribute("href", `${sprite}#copy`), 2000);
  announce(`${name.charAt(0).toUpperCase()}${name.slice(1)} copied`);
});

// Dialog ------------------------------------------------------------------

let opener = null;
let closedByServer = false;
let homeless = false; // focus was given back to something that may be swapped away
let outdated = false; // the server said no: the page behind may show what is no more

const focusable = "input:not([type=hidden]):not(:disabled), select:not(:disabled), textarea:not(:disabled)";

function showDialog() {
  if (!dialog.querySelector("[data-live]")) {
    dialog.append(element("div", { class: "sr-only", role: "status", "data-live": "" }));
  }
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  const title = dialog.querySelector("#dialog-title");
  title?.setAttribute("tabindex", "-1");
  const checked = dialog.querySelector("input[type=radio]:checked");
  const first = dialog.querySelector(focusable);
  const field = first?.type === "radio" && checked?.name === first.name ? checked : first;
  (dialog.querySelector('[aria-invalid="true"]') ?? dialog.querySelector("[autofocus]") ?? field ?? title)?.focus();
}

const busy = () => dialog.querySelector(".htmx-request") !== null;

function focusBack() {
  const again = opener?.isConnected ? opener : opener?.id && document.getElementById(opener.id);
  (again || document.getElementById("main")).focus();
}

dialog.addEventListener("close", () => {
  // While a request is under way its form stays: events of the answer reach
  // the page through it, and the outcome is shown when it comes.
  if (!busy()) dialog.replaceChildren();
  focusBack();
  homeless = true;
  if (outdated) htmx.trigger(document.body, "subscription-changed");
  outdated = false;
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
  if (event.target.closest("[data-dismiss]")) {
    const notice = event.target.closest(".notice");
    const next = notice.nextElementSibling ?? notice.previousElementSibling;
    notice.remove();
    (next?.querySelector("[data-dismiss]") ?? document.getElementById("main")).focus();
  }
});

document.addEventListener("close-dialog", () => {
  closedByServer = true;
  if (dialog.open) dialog.close();
});

// Requests by htmx --------------------------------------------------------

// htmx would open the dialog here instead of the new tab or window that was
// asked for.
document.addEventListener("click", (event) => {
  const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (elsewhere && event.target.closest("a[hx-get]")) event.stopImmediatePropagation();
}, true);

document.addEventListener("htmx:beforeRequest", (event) => {
  closedByServer = false;
  homeless = false;
  const { elt, target } = event.detail;
  if (target === dialog && !dialog.contains(elt)) opener = elt;
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig, serverResponse } = event.detail;
  // A whole page instead of a fragment is a redirect, most often to sign-in:
  // it is shown as the page that it is.
  if (/^\s*<!doctype/i.test(serverResponse ?? "") && !requestConfig.boosted && event.detail.shouldSwap) {
    event.detail.shouldSwap = false;
    const asked = new URL(requestConfig.path, location.href).pathname;
    const answered = new URL(xhr.responseURL || requestConfig.path, location.href);
    if (requestConfig.verb === "get" || answered.pathname !== asked) location.assign(answered);
    else location.reload();
  }
});

// An answer below the form means that the form was accepted.
function forgetErrors() {
  for (const error of dialog.querySelectorAll(".field > .error, [role=alert]")) error.remove();
  for (const field of dialog.querySelectorAll("[aria-invalid]")) {
    const described = (field.getAttribute("aria-describedby") ?? "").split(" ");
    field.removeAttribute("aria-invalid");
    field.setAttribute("aria-describedby", described.filter((id) => document.getElementById(id)).join(" "));
  }
}

document.addEventListener("htmx:afterSwap", (event) => {
  const { target } = event.detail;
  syncLabels(document);
  if (target !== dialog && dialog.contains(target)) forgetErrors();
  if (target !== dialog && !dialog.contains(target) && target?.isConnected) return;
  if (closedByServer) dialog.replaceChildren();
  else if (dialog.firstElementChild && (target === dialog || dialog.open)) showDialog();
});

document.addEventListener("htmx:afterSettle", () => {
  if (homeless && !dialog.open && document.activeElement === document.body) focusBack();
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (dialog.contains(event.detail.elt) || event.detail.target === dialog) outdated ||= event.detail.xhr.status >= 400;
  if (!dialog.open && !busy()) dialog.replaceChildren();
});

function explain(event, silent) {
  const { xhr, requestConfig, elt } = event.detail;
  const status = silent ? 0 : xhr.status;
  const changes = requestConfig?.verb && requestConfig.verb !== "get";
  let text = "The portal did not answer.";
  if (status === 403) text = "The portal refused this: your role does not allow it, or this page is out of date.";
  else if (status === 404) text = "This does not exist any more.";
  else if (status === 429) text = "Too many requests. Wait a minute, then try again.";
  else if (status >= 400) text = "The portal could not do this because of an error.";
  if (changes && (status === 0 || status >= 500)) {
    text += " It is not certain whether your last action was carried out; reload the page to see the present state before you try again.";
  }
  const reference = silent ? null : xhr.getResponseHeader("X-Request-ID");
  if (reference && status >= 500) text += ` Reference: ${reference}.`;
  const within = dialog.open && dialog.contains(elt) ? dialog.querySelector(".dialog-body") : null;
  notify(text, { reload: status !== 429, within });
}

document.addEventListener("htmx:responseError", (event) => explain(event, false));
document.addEventListener("htmx:sendError", (event) => explain(event, true));
document.addEventListener("htmx:timeout", (event) => explain(event, true));

// Plain forms -------------------------------------------------------------

// A second press while the first is under way would ask twice. Forms that
// read (GET) may be pressed again at will.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "get" || form.method === "dialog") return;
  form.classList.add("htmx-request");
  const buttons = [...form.querySelectorAll("button[type=submit], button:not([type])"), event.submitter].filter(Boolean);
  // Later, because a disabled button's name and value would not be sent.
  setTimeout(() => {
    for (const button of buttons) {
      if (button.disabled) continue;
      button.disabled = true;
      button.dataset.sent = "";
    }
  });
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form.htmx-request")) form.classList.remove("htmx-request");
  for (const button of document.querySelectorAll("[data-sent]")) {
    button.disabled = false;
    delete button.dataset.sent;
  }
});

// Menus -------------------------------------------------------------------

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("focusout", (event) => {
  const menu = event.target.closest("details.menu[open]");
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    const inside = menu.contains(document.activeElement);
    menu.open = false;
    if (inside) menu.querySelector("summary").focus();
  }
});

// Labels that follow a choice ---------------------------------------------

function syncLabel(radio) {
  const label = document.querySelector(`label[for="${CSS.escape(radio.dataset.labelFor)}"]`);
  if (label) label.textContent = radio.dataset.labelText;
}

function syncLabels(scope) {
  for (const radio of scope.querySelectorAll("input[data-label-for]:checked")) syncLabel(radio);
}

document.addEventListener("change", (event) => {
  const radio = event.target.closest("input[data-label-for]");
  if (!radio) return;
  syncLabel(radio);
  const field = document.getElementById(radio.dataset.labelFor);
  const group = (radio.form ?? document).querySelectorAll("input[data-label-for]");
  const suggestions = [...group].map((other) => other.dataset.value ?? "");
  // What a person typed is never replaced.
  if (field && (field.value === "" || suggestions.includes(field.value))) field.value = radio.dataset.value ?? "";
});
syncLabels(document);

// Passkeys ----------------------------------------------------------------

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const name = event.detail.exception?.name;
  notify(
    name === "NotAllowedError" || name === "AbortError"
      ? "The passkey was not used: the browser stopped, or the time ran out. Try again, or choose another way."
      : name === "InvalidStateError"
        ? "This passkey or security key is already registered."
        : "The passkey could not be used in this browser. Choose another way.",
  );
});
