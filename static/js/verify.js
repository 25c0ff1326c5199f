// The page that verifies license keys: what was given goes to verifier.js, its answer onto the page.
"use strict";
{
  const { MAX_BUNDLE, Refused, importKeys, isZip, judge, readBundle, textOf } =
    globalThis.licenseVerifier;
  const form = document.getElementById("verify-form");
  const result = document.getElementById("verify-result");
  const trusted = JSON.parse(form.dataset.jwks);
  const now = () => Date.now() / 1000;

  const copyOf = (selector) => document.querySelector(selector).content.cloneNode(true);

  function moment(seconds) {
    const date = new Date(seconds * 1000);
    const time = document.createElement("time");
    time.dateTime = date.toISOString();
    time.textContent = `${date.toLocaleString("en-GB", {
      dateStyle: "medium",
      timeStyle: "short",
      timeZone: "UTC",
    })} UTC`;
    return time;
  }

  function age(seconds) {
    for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      const number = Math.floor(seconds / length);
      if (number >= 1) return `${number} ${unit}${number === 1 ? "" : "s"}`;
    }
    return "less than a minute";
  }

  // The list of a key is fetched from this portal alone. The address names the list and not the key.
  async function fetchList(uri) {
    const { lists } = form.dataset;
    const number = uri.startsWith(lists) ? uri.slice(lists.length) : "";
    if (!/^[1-9][0-9]{0,8}$/.test(number)) return null;
    const isSaved = location.protocol === "file:";
    const answer = await fetch(isSaved ? uri : `/public/status/${number}`, {
      cache: "no-cache",
      credentials: "omit",
      headers: { Accept: "application/statuslist+jwt" },
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(10_000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.text();
  }

  function heading(text) {
    const title = document.createElement("h3");
    const name = document.createElement("strong");
    name.textContent = text;
    title.append(name);
    return title;
  }

  function paragraph(...parts) {
    const text = document.createElement("p");
    text.append(...parts);
    return text;
  }

  function refusal(sentence) {
    const shown = copyOf('template[data-verdict="refused"]');
    shown.querySelector("[data-sentence]").textContent = sentence;
    return shown;
  }

  const UNKNOWN = {
    unasked: "Its status list was not asked for: the key is refused without it.",
    unnamed: "It names no status list.",
    elsewhere: "It names a status list of another portal, which this page does not fetch.",
    unreachable: "Its status list could not be fetched from the portal. Try again once it is back.",
    outdated: "The status list that came is too old: something between may have kept it.",
    forged: "What came in place of its status list is not signed by this portal: do not trust it.",
    missing: "The bundle does not have its status list. Download one of its own subscription.",
    "no entry": "Its status list has no entry for it.",
  };

  function news({ claims, unknown }, bundle) {
    if (claims === null) return [];
    if (unknown !== null) return [UNKNOWN[unknown]];
    if (bundle) return ["As of ", moment(bundle.madeAt), `, ${age(now() - bundle.madeAt)} ago.`];
    return ["By its status list, fetched just now from the portal."];
  }

  function wordOf({ result, mayBe, unknown }) {
    if (mayBe.length) return `${result} by list`;
    return result === "valid" && unknown !== null ? "valid, revocation unknown" : result;
  }

  function verdict(judged, bundle) {
    const word = wordOf(judged);
    const shown = copyOf(`template[data-verdict="${word}"]`);
    shown.querySelector("[data-news]").append(...news(judged, bundle));
    if (judged.claims) shown.append(facts(judged.claims));
    shown.append(steps(judged.steps));
    return shown;
  }

  function facts(claims) {
    const shown = copyOf("#verify-facts");
    for (const place of shown.querySelectorAll("[data-claim]")) {
      const name = place.dataset.claim;
      const value = claims[name];
      place.append(name === "iat" || name === "exp" ? moment(value) : String(value ?? ""));
    }
    return shown;
  }

  function steps(outcomes) {
    const shown = copyOf("#verify-steps");
    for (const [step, outcome] of outcomes) {
      const item = shown.querySelector(`[data-step="${step}"]`);
      item.dataset.outcome = outcome.replace(" ", "-");
      item.querySelector("[data-outcome-text]").textContent = outcome;
      const icon = ["not reached", "unknown"].includes(outcome) ? "skipped" : outcome;
      for (const other of item.querySelectorAll("[data-for]")) {
        if (other.dataset.for !== icon) other.remove();
      }
    }
    return shown;
  }

  async function outcomeOf(act) {
    try {
      return await act();
    } catch (error) {
      if (error instanceof Refused) return refusal(error.message);
      throw error;
    }
  }

  // Returns what was given: [name, bytes or text] of each.
  async function givenThings() {
    const things = [];
    const text = document.getElementById("verify-text").value;
    if (text.trim()) things.push(["The pasted key", text]);
    for (const file of document.getElementById("verify-files").files) {
      if (file.size > MAX_BUNDLE) {
        throw new Refused(`${file.name} has more than 1 MiB: not a license file or a bundle.`);
      }
      const content = await file.arrayBuffer().catch(() => {
        throw new Refused(`${file.name} cannot be read. Choose it again.`);
      });
      things.push([file.name, new Uint8Array(content)]);
    }
    return things;
  }

  async function verified() {
    const things = await givenThings();
    if (!things.length) throw new Refused("Paste a license key or choose a file.");
    const keys = await importKeys(trusted);
    const bundles = things.filter(([, content]) => isZip(content));
    if (bundles.length > 1) throw new Refused("Choose one offline bundle at a time.");
    let others = things.filter(([, content]) => !isZip(content));
    let bundle = null;
    const shown = [];
    if (bundles.length) {
      bundle = await readBundle(bundles[0][1], keys, now());
      shown.push(
        paragraph(
          "The portal signed this bundle, of subscription ",
          bundle.subscription,
          ", at ",
          moment(bundle.madeAt),
          `. The bundle is ${age(now() - bundle.madeAt)} old: what has happened since is not in it.`,
        ),
      );
      if (!others.length) others = bundle.licenses;
    }
    for (const [name, content] of others) {
      if (things.length > 1 || bundle) shown.push(heading(name));
      shown.push(
        await outcomeOf(async () => {
          const text = typeof content === "string" ? content : textOf(content);
          const with_ = bundle ? { keys: bundle.keys, lists: bundle.lists } : { keys, fetchList };
          return verdict(await judge(text, { ...with_, now: now() }), bundle);
        }),
      );
    }
    return shown;
  }

  async function show() {
    const button = form.querySelector("button");
    button.disabled = true;
    result.setAttribute("aria-busy", "true");
    result.replaceChildren();
    try {
      result.replaceChildren(...[await outcomeOf(verified)].flat());
    } catch (error) {
      result.replaceChildren(
        refusal("This page failed before it had a result. Reload it, and try again."),
      );
      throw error;
    } finally {
      button.disabled = false;
      result.removeAttribute("aria-busy");
    }
  }

  // Anywhere on the page: a file that is dropped beside the field would replace the page.
  const files = document.getElementById("verify-files");
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    files.files = event.dataTransfer.files;
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });

  const isAble = globalThis.crypto?.subtle && "DecompressionStream" in globalThis;
  document.getElementById("verify-without-script").hidden = true;
  document.getElementById(isAble ? "verify-card" : "verify-unable").hidden = false;
}
