// What went wrong with a passkey, in words: allauth's scripts only log it.

import { notify } from "./page.js";

const NOT_USED =
  "The passkey was not used: the browser stopped, or the time ran out." +
  " Try again, or choose another way.";
const REASONS = {
  NotAllowedError: NOT_USED,
  AbortError: NOT_USED,
  InvalidStateError: "This passkey or security key is already registered.",
};

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const unknown = "The passkey could not be used in this browser. Choose another way.";
  notify(REASONS[event.detail.exception?.name] ?? unknown);
});
