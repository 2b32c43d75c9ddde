// Writes the word lists that the binary embeds into build/rules: the passwords that everybody tries first (ASVS 6.2.4), the most common first, at least eight
// letters, because shorter ones are refused for their length.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const COUNT = 5000; // ASVS asks for the 3,000 most common; the list is sorted by frequency
const out = fileURLToPath(new URL("../../build/rules", import.meta.url));
const { dictionary } = createRequire(import.meta.url)("@zxcvbn-ts/language-common");
const list = (Array.isArray(dictionary) ? dictionary : dictionary.passwords).filter((word) => word.length >= 8).slice(0, COUNT);
if (list.length < 3000 || !list.includes("password123")) throw new Error(`the password list looks wrong: ${list.length} words`);
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "passwords.txt"), list.join("\n") + "\n");
