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

// The suggestions of the email field offer passkeys (WebAuthn Level 3, 5.1.4: conditional
// mediation). Whoever presses the button instead is asked by it alone.
async function suggest(form) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const asked = new AbortController();
  const ask = async () => {
    const { signal } = asked;
    const response = await fetch(form.action, { headers: { Accept: "application/json" }, signal });
    if (!response.ok) return;
    const { request_options: options } = await response.json();
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
    const passkey = await navigator.credentials.get({
      publicKey,
      mediation: "conditional",
      signal,
    });
    form.elements.credential.value = JSON.stringify(passkey);
    form.submit();
  };
  const button = document.getElementById("passkey_login");
  button.addEventListener("click", () => asked.abort(), { capture: true, once: true });
  ask().catch(() => {}); // nothing was chosen: the page goes on as if it had not asked
}

const signIn = document.getElementById("mfa_login");
if (signIn) suggest(signIn);
