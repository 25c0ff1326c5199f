/* A license key that is typed into a search box must not become part of an address. */
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
