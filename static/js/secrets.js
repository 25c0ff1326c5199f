// Secrets that are shown once are removed when the page is left: Back does not show them again.

addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-secret]")) element.remove();
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
