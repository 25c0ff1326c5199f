// Verifies license keys, license files and offline bundles with WebCrypto. It sends nothing: who
// calls it may give `fetchList`. A classic script, so that a saved page works from a disk too.
//
// The rules are those of licenses/tokens.py, licenses/checking/check.py and licenses/bundle/; a
// test gives both the same keys and bundles.
"use strict";
{
  const SKEW = 300; // seconds by which a clock may be wrong
  const MAX_KEY = 16 * 1024;
  const MAX_LIST_TOKEN = 128 * 1024;
  const MAX_LIST = 1 << 20;
  const MAX_BUNDLE = 1 << 20;
  const MAX_MEMBERS = 16;
  const MAX_MEMBER = 256 * 1024;
  const MAX_TIME = 253402300799;
  const MAX_DEPTH = 64;
  const MAX_DIGITS = 4300;
  const PROVIDER = "urn:oneimlx:lic:pvdr:pi";
  const RS256 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const MEMBER =
    /^(README\.txt|jwks\.json|SHA256SUMS|manifest\.jwt|license-(primary|secondary)\.json|status-[1-9][0-9]{0,8}\.jwt)$/;
  const BY_ENTRY = [
    ["valid", "superseded"],
    ["revoked", "deleted", "replaced", "subscription_ended"],
    ["subscription_suspended", "subscription_ended"],
  ];
  const STEPS = {
    malformed: "form",
    signing_key_unknown: "signature",
    signature_invalid: "signature",
    revoked: "key",
    subscription_suspended: "subscription",
    not_yet_valid: "time",
    expired: "time",
  };
  const ORDER = ["form", "signature", "request", "record", "slot", "key", "subscription", "time"];

  class Malformed extends Error {}
  class Refused extends Error {} // its message is a sentence for people

  // Tokens, read as strictly as the portal reads them

  function bytesOf(text) {
    const plain = text.replaceAll("-", "+").replaceAll("_", "/");
    let binary;
    try {
      binary = atob(plain);
    } catch {
      throw new Malformed();
    }
    if (btoa(binary).replace(/=+$/, "") !== plain) throw new Malformed();
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  }

  // What JSON.parse lets pass: two members of one name, deep nesting, numbers beyond all bounds.
  // Returns the numbers of the outermost object as they are written.
  function inspect(text) {
    const open = [];
    const written = {};
    let name = "";
    const parts = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]|-?\d[\d.eE+-]*/g;
    for (const [part, colon] of text.matchAll(parts)) {
      if (part === "{" || part === "[") open.push(new Set());
      else if (part === "}" || part === "]") open.pop();
      else if (colon) {
        name = JSON.parse(part.slice(0, -colon.length));
        if (open.at(-1).has(name)) throw new Malformed();
        open.at(-1).add(name);
      } else if (part[0] !== '"') {
        const isWhole = /^-?\d+$/.test(part);
        if (isWhole ? part.length > MAX_DIGITS : !Number.isFinite(Number(part))) {
          throw new Malformed();
        }
        if (open.length === 1) written[name] = part;
      }
      if (open.length > MAX_DEPTH) throw new Malformed();
    }
    return written;
  }

  function objectOf(bytes) {
    let text;
    let value;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      value = JSON.parse(text);
    } catch {
      throw new Malformed();
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Malformed();
    return { value, written: inspect(text) };
  }

  function parse(token, typ, max) {
    if (token.length > max) throw new Malformed();
    const parts = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(token);
    if (parts === null) throw new Malformed();
    const header = objectOf(bytesOf(parts[1])).value;
    const isOurs =
      Object.keys(header).every((name) => ["alg", "typ", "kid"].includes(name)) &&
      header.alg === "RS256" &&
      header.typ === typ &&
      typeof header.kid === "string" &&
      /^[A-Za-z0-9_-]{43}$/.test(header.kid);
    if (!isOurs) throw new Malformed();
    const { value: claims, written } = objectOf(bytesOf(parts[2]));
    return {
      kid: header.kid,
      claims,
      written,
      input: new TextEncoder().encode(`${parts[1]}.${parts[2]}`),
      signature: bytesOf(parts[3]),
    };
  }

  function time({ claims, written }, name) {
    const value = Object.hasOwn(claims, name) ? claims[name] : null;
    const isWhole = typeof value === "number" && /^-?\d+$/.test(written[name]);
    if (!isWhole || value < 0 || value > MAX_TIME) throw new Malformed();
    return value;
  }

  function parseKey(token) {
    const parsed = parse(token, "JWT", MAX_KEY);
    for (const name of ["iat", "nbf", "exp"]) parsed[name] = time(parsed, name);
    return parsed;
  }

  const signed = (key, { input, signature }) =>
    crypto.subtle.verify(RS256.name, key, signature, input);

  // The keys of a JWK Set that may verify, by `kid`.
  async function importKeys(jwks) {
    const keys = new Map();
    for (const jwk of jwks.keys) {
      const { kty, n, e, alg, use, kid } = jwk;
      if (kty !== "RSA" || use !== "sig" || alg !== "RS256" || e !== "AQAB") continue;
      if (bytesOf(n).length < 256) continue;
      keys.set(
        kid,
        await crypto.subtle.importKey("jwk", { kty, n, e, alg, ext: true }, RS256, false, [
          "verify",
        ]),
      );
    }
    return keys;
  }

  async function inflated(bytes, format, limit) {
    const packed = new Blob([bytes]).stream();
    const reader = packed.pipeThrough(new DecompressionStream(format)).getReader();
    const chunks = [];
    let size = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit) {
        reader.cancel().catch(() => {});
        throw new RangeError("larger than allowed");
      }
      chunks.push(value);
    }
    return new Uint8Array(await new Blob(chunks).arrayBuffer());
  }

  // Status lists: two bits an entry, the first in the lowest bits

  // Returns the list of a token that one of the keys has signed, whatever its age.
  async function openList(token, keys) {
    const parsed = parse(token, "statuslist+jwt", MAX_LIST_TOKEN);
    const key = keys.get(parsed.kid);
    if (!key || !(await signed(key, parsed))) throw new Malformed();
    const { sub, status_list: list } = parsed.claims;
    if (typeof sub !== "string" || list?.bits !== 2 || typeof list.lst !== "string") {
      throw new Malformed();
    }
    const goodUntil = ["iat", "exp"].map((name) => time(parsed, name))[1];
    const entries = await inflated(bytesOf(list.lst), "deflate", MAX_LIST);
    return { uri: sub, goodUntil, entries };
  }

  function entryOf({ entries }, index) {
    if (!Number.isInteger(index) || index < 0 || index >> 2 >= entries.length) return null;
    const entry = (entries[index >> 2] >> ((index & 3) * 2)) & 3;
    return entry < BY_ENTRY.length ? entry : null;
  }

  // What somebody pasted or uploaded

  const BLANKS = " \t\n\r\v\f";
  const QUOTES = `${BLANKS}"'\`,;<>\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a`;
  const WRAPS = `${QUOTES}\\=^+`;
  const HIDDEN =
    /[\p{Cf}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\u{e0000}-\u{e0fff}]/gu;
  const PREFIX =
    /^bearer[ \t\n\r\v\f]+|^(?:export[ \t\n\r\v\f]+|set[ \t\n\r\v\f]+|\$env:|\$)?(?!eyJ)[A-Za-z_][\w.-]*["'`]?[ \t\n\r\v\f]*[=:][ \t\n\r\v\f]*(?=[^ \t\n\r\v\f=])/i;

  function stripped(text, left, right = left) {
    let start = 0;
    let end = text.length;
    while (start < end && left.includes(text[start])) start += 1;
    while (end > start && right.includes(text[end - 1])) end -= 1;
    return text.slice(start, end);
  }

  function bare(given) {
    let text = stripped(given, `\ufeff${BLANKS}`);
    if (text.startsWith("{")) return text;
    text = text.replace(HIDDEN, "").trim();
    for (let layer = 0; layer < 4; layer += 1) {
      text = stripped(stripped(text, QUOTES).replace(PREFIX, ""), QUOTES);
    }
    if (text.startsWith("{")) return text;
    const lines = text.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/);
    const last = lines.pop();
    const wrapped = lines.map((line) => stripped(line, QUOTES, WRAPS));
    return [...wrapped, stripped(last, QUOTES, "")].join("").replace(/[\s\x1c-\x1f\x85]/g, "");
  }

  // Returns the key, and the members of the file that it came in.
  function readPresented(given) {
    const text = bare(given);
    if (!text.startsWith("{")) return { key: text, members: null };
    let members;
    try {
      members = JSON.parse(text);
    } catch {
      throw new Refused(
        "This is not a license file: it is not valid JSON. Choose the file as it was downloaded.",
      );
    }
    if (typeof members.key !== "string") {
      throw new Refused('This is not a license file: it has no text member "key".');
    }
    return { key: members.key, members };
  }

  function textOf(bytes) {
    const marks = { "255,254": "utf-16le", "254,255": "utf-16be" };
    const encoding = marks[bytes.slice(0, 2).join()] ?? "utf-8";
    try {
      return new TextDecoder(encoding, { fatal: true }).decode(bytes);
    } catch {
      throw new Refused("This is not a license file: it is not UTF-8 text.");
    }
  }

  // The verdict

  function judgeRequest(claims, members) {
    const text = (name) => (typeof members[name] === "string" ? members[name] : null);
    const differs = (name, claim) => text(name) === null || text(name) !== claims[claim];
    if (differs("consumer_tenant_id", "tid")) return "tenant_mismatch";
    if (differs("subject", "sub")) return "subject_mismatch";
    if (differs("authorized_party", "azp")) return "party_mismatch";
    const providers = [text("broker_id"), text("provider_id")].filter((given) => given !== null);
    if (!providers.length || providers.some((given) => given !== PROVIDER)) {
      return "provider_mismatch";
    }
    if (Object.hasOwn(members, "authorized_application_ids")) {
      const listed = members.authorized_application_ids;
      const first = Array.isArray(listed) ? listed[0] : null;
      if (typeof first !== "string" || first !== claims.auth_apps) {
        return "application_not_authorized";
      }
    }
    return null;
  }

  function judgeTime({ iat, nbf, exp }, now) {
    if (now < Math.max(iat, nbf) - SKEW) return "not_yet_valid";
    return now >= exp + SKEW ? "expired" : null;
  }

  // The outcome of each step; one that says nothing about the key for want of its list is
  // "unknown", where the portal's own check without a database says "skipped".
  function stepsOf(result, { members, entry }) {
    const failed = STEPS[result] ?? (result === "valid" ? null : "request");
    const skipped = ["record", "slot"];
    if (members === null) skipped.push("request");
    const unknown = entry === null ? ["key", "subscription"] : [];
    let reached = true;
    return ORDER.map((step) => {
      if (step === failed) {
        reached = false;
        return [step, "failed"];
      }
      if (!reached) return [step, "not reached"];
      if (unknown.includes(step)) return [step, "unknown"];
      return [step, skipped.includes(step) ? "skipped" : "passed"];
    });
  }

  // Judges a pasted key or the text of a license file. `keys` verify it. Its status list is in
  // `lists` (by URI), or is what `fetchList` returns for its URI: a token, or null for one that it
  // does not fetch. `unknown` of the answer says why no list speaks for the key ("unasked" where
  // another step had failed before), and is null where one does.
  async function judge(given, { keys, lists = new Map(), fetchList = null, now }) {
    const { key, members } = readPresented(given);
    let parsed;
    try {
      parsed = parseKey(key);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      const result = "malformed";
      const steps = stepsOf(result, { members });
      return { result, mayBe: [], claims: null, unknown: "unasked", steps };
    }
    const publicKey = keys.get(parsed.kid);
    let result = null;
    let entry = null;
    let unknown = "unasked";
    let mayBe = [];
    if (!publicKey) result = "signing_key_unknown";
    else if (!(await signed(publicKey, parsed))) result = "signature_invalid";
    const isTrusted = result === null;
    if (isTrusted && members !== null) result = judgeRequest(parsed.claims, members);
    if (result === null) {
      const place = parsed.claims.status?.status_list;
      const { list, why } = await listOf(place?.uri, { keys, lists, fetchList, now });
      entry = list ? entryOf(list, place.idx) : null;
      unknown = entry === null ? (why ?? "no entry") : null;
      mayBe = entry === null ? [] : BY_ENTRY[entry];
      result = mayBe[0] ?? "valid";
      const wrongTime = result === "valid" ? judgeTime(parsed, now) : null;
      if (wrongTime !== null) [result, mayBe] = [wrongTime, []]; // the time tells alone
    }
    const claims = isTrusted ? parsed.claims : null;
    const steps = stepsOf(result, { members, entry });
    return { result, mayBe, claims, unknown, steps };
  }

  // Returns the list of this URI, or why there is none.
  async function listOf(uri, { keys, lists, fetchList, now }) {
    if (typeof uri !== "string") return { why: "unnamed" };
    if (lists.has(uri)) return { list: lists.get(uri) };
    if (fetchList === null) return { why: "missing" };
    let token;
    try {
      token = await fetchList(uri);
    } catch {
      return { why: "unreachable" };
    }
    if (token === null) return { why: "elsewhere" };
    try {
      const list = await openList(token, keys);
      if (list.uri !== uri) return { why: "forged" };
      return now < list.goodUntil + SKEW ? { list } : { why: "outdated" };
    } catch {
      return { why: "forged" };
    }
  }

  // Offline bundles

  const isZip = (bytes) => bytes[0] === 0x50 && bytes[1] === 0x4b;

  async function unzipped(bytes) {
    if (bytes.length > MAX_BUNDLE) {
      throw new Refused("This file has more than 1 MiB: not an offline bundle.");
    }
    try {
      return await members(bytes);
    } catch (error) {
      if (error instanceof Refused) throw error;
      throw new Refused("This is not a zip file, or it is damaged. Download the bundle again.");
    }
  }

  async function members(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let end = bytes.length - 22;
    while (view.getUint32(end, true) !== 0x06054b50) end -= 1; // throws before the beginning
    const count = view.getUint16(end + 10, true);
    if (count > MAX_MEMBERS) {
      throw new Refused(`This zip has more than ${MAX_MEMBERS} members: not an offline bundle.`);
    }
    const files = new Map();
    let at = view.getUint32(end + 16, true);
    let first = count ? bytes.length : 0;
    for (let number = 0; number < count; number += 1) {
      if (view.getUint32(at, true) !== 0x02014b50) throw new RangeError("no member");
      const field = (place) => view.getUint16(at + place, true);
      const [packed, size] = [20, 24].map((place) => view.getUint32(at + place, true));
      const name = String.fromCharCode(...bytes.subarray(at + 46, at + 46 + field(28)));
      if (!MEMBER.test(name)) {
        throw new Refused("This zip has a member whose name no offline bundle has.");
      }
      if (files.has(name)) {
        throw new Refused(`This zip has two members named ${name}: not an offline bundle.`);
      }
      const method = field(10);
      if ((method !== 0 && method !== 8) || field(8) & 1) {
        throw new Refused(`${name} is encrypted, or packed in a way that no bundle uses.`);
      }
      const local = view.getUint32(at + 42, true);
      if (view.getUint32(local, true) !== 0x04034b50) throw new RangeError("no member");
      first = Math.min(first, local);
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      if (start + packed > bytes.length) throw new RangeError("cut");
      const content = bytes.subarray(start, start + packed);
      const tooLarge = new Refused(
        `${name} has more than ${MAX_MEMBER >> 10} KiB unpacked: not an offline bundle.`,
      );
      if (size > MAX_MEMBER) throw tooLarge;
      const file = method === 8 ? await inflated(content, "deflate-raw", MAX_MEMBER) : content;
      if (file.length !== size) throw new RangeError("another size than declared");
      files.set(name, file);
      at += 46 + field(28) + field(30) + field(32);
    }
    if (first !== 0) throw new RangeError("something before the first member");
    return files;
  }

  async function sha256(bytes) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // Reads a bundle that one of the trusted keys has signed; the keys in it only take trust away.
  async function readBundle(bytes, trusted, now) {
    const files = await unzipped(bytes);
    const token = files.get("manifest.jwt");
    if (!token) throw new Refused("This is not an offline bundle: it has no manifest.jwt.");
    files.delete("manifest.jwt");
    let parsed;
    let madeAt;
    try {
      parsed = parse(String.fromCharCode(...token), "license-bundle+jwt", MAX_KEY);
      madeAt = time(parsed, "iat");
    } catch {
      throw new Refused("The bundle's manifest.jwt is not a manifest. Download the bundle again.");
    }
    const key = trusted.get(parsed.kid);
    if (!key) {
      throw new Refused(
        "The bundle is signed by a key that this page does not have: it is not of this portal, " +
          "or newer than the page. Reload the page, and try again.",
      );
    }
    if (!(await signed(key, parsed))) {
      throw new Refused("The signature of the bundle is not valid. Download the bundle again.");
    }
    const listed = parsed.claims.files ?? {};
    const same = await Promise.all(
      [...files].map(
        async ([name, file]) => Object.hasOwn(listed, name) && listed[name] === (await sha256(file)),
      ),
    );
    if (!same.every(Boolean) || Object.keys(listed).length !== files.size) {
      throw new Refused(
        "The bundle does not hold exactly the files that were signed. Download it again.",
      );
    }
    if (madeAt > now + SKEW) {
      throw new Refused("The bundle was made later than the clock of this machine says. Set it.");
    }
    try {
      const published = objectOf(files.get("jwks.json")).value.keys.map((jwk) => jwk.kid);
      const keys = new Map([...trusted].filter(([kid]) => published.includes(kid)));
      const lists = new Map();
      for (const [name, file] of files) {
        if (!name.startsWith("status-")) continue;
        const list = await openList(String.fromCharCode(...file), keys);
        lists.set(list.uri, list);
      }
      const licenses = [...files].filter(([name]) => name.startsWith("license-"));
      return { subscription: parsed.claims.sub, madeAt, keys, lists, licenses };
    } catch {
      throw new Refused("The bundle's key set or a list in it is not right. Download it again.");
    }
  }

  globalThis.licenseVerifier = {
    MAX_BUNDLE,
    Refused,
    importKeys,
    isZip,
    judge,
    readBundle,
    readPresented,
    textOf,
  };
}
