// What scripts add to the pages of the admin.

// A license key that is typed into a search box must not become part of an address.
const LOOKS_LIKE_A_KEY = /\beyJ[\w-]{20,}|[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,}/;

document.addEventListener("submit", (event) => {
  const box = event.target.querySelector("#searchbar");
  if (!box || !LOOKS_LIKE_A_KEY.test(box.value)) return;
  event.preventDefault();
  box.setCustomValidity("That looks like a license key. Use “Find a license key” instead.");
  box.reportValidity();
});

document.addEventListener("input", (event) => {
  if (event.target.id === "searchbar") event.target.setCustomValidity("");
});

// Tick all rows of a page at once, and say how many are ticked.
const all = document.getElementById("action-toggle");
const boxes = [...document.querySelectorAll("input.action-select")];

function tell() {
  const ticked = boxes.filter((box) => box.checked).length;
  for (const box of boxes) box.closest("tr").classList.toggle("ticked", box.checked);
  all.checked = ticked === boxes.length;
  all.indeterminate = ticked > 0 && ticked < boxes.length;
  const rows = ticked === 1 ? "1 ticked row" : `${ticked || "the"} ticked rows`;
  document.querySelector("[data-ticked]").textContent = `With ${rows}:`;
}

if (all) {
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    tell();
  });
  for (const box of boxes) box.addEventListener("change", tell);
  addEventListener("pageshow", tell);
}

// Select2 names its box after what is chosen alone: add the label of the select behind it.
// jQuery calls this once Select2 has made the box, which may be after the page's load event.
window.django?.jQuery?.(() => {
  for (const select of document.querySelectorAll("select.admin-autocomplete")) {
    const label = document.querySelector(`label[for="${select.id}"]`);
    const box = select.nextElementSibling?.querySelector(".select2-selection");
    const value = box?.querySelector(".select2-selection__rendered");
    if (!label || !value) continue;
    label.id = `${select.id}-label`;
    box.setAttribute("aria-labelledby", `${label.id} ${value.id}`);
    value.setAttribute("aria-labelledby", label.id);
  }
});
