// A language that is none: the English sentences in letters that run from right to left, and a third longer, in place of German.
// It shows what a page does when the words are long and the reading turns round.
import { readFileSync } from "node:fs";

const english = (area) => JSON.parse(readFileSync(new URL(`../../assets/locales/en/${area}.json`, import.meta.url), "utf8"));

// Letters that run from right to left, one for each letter of ours, and a third more of them: real languages are longer.
const LETTERS = "ابجدهوزحطيكلمنسعفصقرشتثخذضظغ";
const pseudo = (text) => text.replace(/\{\w+\}|`[^`]*`|[a-z]+/gi, (word) => {
  if (/^[{`]/.test(word)) return word;
  const letters = [...word.toLowerCase()].map((letter) => LETTERS[letter.charCodeAt(0) % LETTERS.length]).join("");
  return letters + letters.slice(0, Math.ceil(letters.length / 3));
});

/** Every sentence of the language that stands in for German comes out of here. */
export async function turnAround(page) {
  await page.route(/\/assets\/words-de-\w+-[\w-]+\.js$/, (route) => {
    const words = english(/words-de-(\w+?)-/.exec(route.request().url())[1]);
    const turned = Object.fromEntries(Object.entries(words).map(([key, text]) => [key, pseudo(text)]));
    if ("direction" in turned) turned.direction = "rtl";
    return route.fulfill({ contentType: "text/javascript", body: `export default ${JSON.stringify(turned)}` });
  });
}
