// Requests by htmx: which links are not its own, answers that are whole pages, and failures.

import { dialog, notify } from "./page.js";

// htmx would open the dialog here instead of the new tab or window that was
// asked for.
document.addEventListener("click", (event) => {
  const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (elsewhere && event.target.closest("a[hx-get]")) event.stopImmediatePropagation();
}, true);

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig, serverResponse, shouldSwap } = event.detail;
  // A whole page instead of a fragment is a redirect, most often to sign-in:
  // it is shown as the page that it is.
  const isPage = /^\s*<!doctype/i.test(serverResponse ?? "");
  if (!isPage || requestConfig.boosted || !shouldSwap) return;
  event.detail.shouldSwap = false;
  const asked = new URL(requestConfig.path, location.href).pathname;
  const answered = new URL(xhr.responseURL || requestConfig.path, location.href);
  if (requestConfig.verb === "get" || answered.pathname !== asked) location.assign(answered);
  else location.reload();
});

function whatHappened(status) {
  if (status === 403) {
    return "The portal refused this: your role does not allow it, or this page is out of date.";
  }
  if (status === 404) return "This does not exist any more.";
  if (status === 429) return "Too many requests. Wait a minute, then try again.";
  if (status >= 400) return "The portal could not do this because of an error.";
  return "The portal did not answer.";
}

function explain(event, silent) {
  const { xhr, requestConfig, elt } = event.detail;
  const status = silent ? 0 : xhr.status;
  const changes = requestConfig?.verb && requestConfig.verb !== "get";
  let text = whatHappened(status);
  if (changes && (status === 0 || status >= 500)) {
    text +=
      " It is not certain whether your last action was carried out;" +
      " reload the page to see the present state before you try again.";
  }
  const reference = silent ? null : xhr.getResponseHeader("X-Request-ID");
  if (reference && status >= 500) text += ` Reference: ${reference}.`;
  const within = dialog.open && dialog.contains(elt) ? dialog.querySelector(".dialog-body") : null;
  notify(text, { reload: status !== 429, within });
}

document.addEventListener("htmx:responseError", (event) => explain(event, false));
document.addEventListener("htmx:sendError", (event) => explain(event, true));
document.addEventListener("htmx:timeout", (event) => explain(event, true));

// A download is no request of htmx, and changes what the page says of it.
document.addEventListener("click", (event) => {
  const changed = event.target.closest("a[data-changes]")?.dataset.changes;
  if (changed) setTimeout(() => htmx.trigger(document.body, `${changed}-changed`), 2000);
});
