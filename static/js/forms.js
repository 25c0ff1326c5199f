// Forms that are sent only once, and labels that follow a choice.

// A second press while the first is under way would send the form twice.
// Forms that read (GET) or are answered by a file may be sent again at will.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "get" || form.method === "dialog") return;
  if (form.hasAttribute("data-download")) return;
  form.classList.add("htmx-request");
  const own = form.querySelectorAll("button[type=submit], button:not([type])");
  const buttons = [...own, event.submitter].filter(Boolean);
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
  for (const form of document.querySelectorAll("form.htmx-request")) {
    form.classList.remove("htmx-request");
  }
  for (const button of document.querySelectorAll("[data-sent]")) {
    button.disabled = false;
    delete button.dataset.sent;
  }
});

function syncLabel(radio) {
  const label = document.querySelector(`label[for="${CSS.escape(radio.dataset.labelFor)}"]`);
  if (label) label.textContent = radio.dataset.labelText;
}

function syncLabels() {
  document.querySelectorAll("input[data-label-for]:checked").forEach(syncLabel);
}

document.addEventListener("change", (event) => {
  const radio = event.target.closest("input[data-label-for]");
  if (!radio) return;
  syncLabel(radio);
  const field = document.getElementById(radio.dataset.labelFor);
  const group = (radio.form ?? document).querySelectorAll("input[data-label-for]");
  const suggestions = [...group].map((other) => other.dataset.value ?? "");
  // What a person typed is never replaced.
  if (field && (field.value === "" || suggestions.includes(field.value))) {
    field.value = radio.dataset.value ?? "";
  }
});
document.addEventListener("htmx:afterSwap", syncLabels);
syncLabels();
