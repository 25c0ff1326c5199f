// What several modules need: making elements, and showing messages.

export const dialog = document.getElementById("dialog");

// The sprite's address carries a hash in production; the header always
// shows an icon that has it.
const sprite = document.querySelector("svg.icon use").getAttribute("href").split("#")[0];

export const iconAddress = (name) => `${sprite}#${name}`;

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", iconAddress(name));
  svg.append(use);
  return svg;
}

export function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A modal dialog makes the rest of the page inert, its live region too: the
// dialog therefore has one of its own.
export function announce(text) {
  const own = dialog.open && dialog.querySelector("[data-live]");
  const region = own || document.getElementById("live");
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

export function notify(text, { reload = false, within = null } = {}) {
  const body = element("div", {}, element("p", {}, text));
  if (reload) {
    const again = element("a", { class: "link", href: location.href }, "Reload the page");
    again.addEventListener("click", (event) => {
      event.preventDefault();
      location.reload();
    });
    body.append(element("p", {}, again));
  }
  const attributes = { class: "notice", "data-tone": "bad", role: "alert", "data-notify": "" };
  const notice = element("div", attributes, icon("circle-x"), body);
  const place = within ?? document.getElementById("messages");
  place.querySelector(":scope > [data-notify]")?.remove();
  const header = within?.querySelector(":scope > header");
  if (header) header.after(notice);
  else place.append(notice);
  notice.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-dismiss]")) return;
  const notice = event.target.closest(".notice");
  const next = notice.nextElementSibling ?? notice.previousElementSibling;
  notice.remove();
  (next?.querySelector("[data-dismiss]") ?? document.getElementById("main")).focus();
});
