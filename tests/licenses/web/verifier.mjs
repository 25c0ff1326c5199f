// Judges what it reads from standard input with static/js/verifier.js: the tests compare the answers
// with those of the portal. Takes the path of the script.

import fs from "node:fs";
import vm from "node:vm";

vm.runInThisContext(fs.readFileSync(process.argv[2], "utf8"));
const { Refused, importKeys, judge, readBundle, readPresented, textOf } = globalThis.licenseVerifier;
const { jwks, now, rounds, presented, bundles } = JSON.parse(fs.readFileSync(0, "utf8"));
const keys = await importKeys(jwks);

async function answer(act) {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refused) return { refused: error.message };
    throw error;
  }
}

process.stdout.write(
  JSON.stringify({
    rounds: await Promise.all(
      rounds.map(({ texts, lists, now }) =>
        Promise.all(
          texts.map((text) =>
            answer(async () => {
              const fetchList = async (uri) => {
                if (!(uri in lists)) throw new TypeError("Failed to fetch");
                return lists[uri];
              };
              const { steps, ...told } = await judge(text, { keys, fetchList, now });
              return { ...told, steps: steps.map(([, outcome]) => outcome) };
            }),
          ),
        ),
      ),
    ),
    presented: await Promise.all(presented.map((text) => answer(() => readPresented(text).key))),
    bundles: await Promise.all(
      bundles.map((packed) =>
        answer(async () => {
          const bytes = new Uint8Array(Buffer.from(packed, "base64"));
          const bundle = await readBundle(bytes, keys, now);
          const { lists, licenses, madeAt, keys: known } = bundle;
          const results = licenses.map(async ([name, file]) => [
            name,
            (await judge(textOf(file), { keys: known, lists, now })).result,
          ]);
          return { madeAt, results: Object.fromEntries(await Promise.all(results)) };
        }),
      ),
    ),
  }),
);
