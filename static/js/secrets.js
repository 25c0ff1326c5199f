// Secrets that are shown once leave the page with the person: Back does not show them again.

addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-secret]")) element.remove();
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
