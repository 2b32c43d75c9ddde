// Pictures of the app for docs/screenshots, from a fresh server and the Understudy: every page once in the dark, the main ones in
// the light, on a phone, in German and from right to left. The rows of scenes.js say which.
//
//   node tests/browser/screenshots.js [folder] [name, name-look, ...]
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PASSWORD, serve } from "../api/harness.js";
import { launch, openPage, setUp } from "./browser.js";
import { startFake } from "../fakes/endpoint.js";
import { furnish, scenes } from "./scenes.js";
import { turnAround } from "./turned.js";

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const looks = {
  dark: { colorScheme: "dark" },
  light: { colorScheme: "light" },
  phone: { colorScheme: "dark", ...phone },
  "phone-light": { colorScheme: "light", ...phone },
  german: { colorScheme: "dark", locale: "de-DE" },
  turned: { colorScheme: "dark", locale: "de-DE", serviceWorkers: "block", isTurned: true },
  "phone-turned": { colorScheme: "light", locale: "de-DE", serviceWorkers: "block", isTurned: true, ...phone },
};

const folder = process.argv[2] ?? fileURLToPath(new URL("../../docs/screenshots", import.meta.url));
const wanted = process.argv.slice(3);
const isWanted = (name, look) => wanted.length === 0 || wanted.includes(name) || wanted.includes(look) || wanted.includes(`${name}-${look}`);
mkdirSync(folder, { recursive: true });

/** A picture of what is shown once it rests; fewer colours where the machine has a tool for it, for the repository keeps them all. */
async function shoot(page, name) {
  await page.waitForLoadState("networkidle", { timeout: 5000 }).catch(() => {}); // some pages go on asking
  await page.evaluate(() => document.fonts.ready);
  await page.evaluate(() => { // the last movement comes to rest
    const ends = document.getAnimations().filter((row) => row.effect?.getComputedTiming().iterations !== Infinity);
    return Promise.all(ends.map((row) => row.finished.catch(() => {})));
  });
  const path = `${folder}/${name}.png`;
  await page.screenshot({ path });
  try {
    execFileSync("pngquant", ["--force", "--skip-if-larger", "--quality=80-98", "--strip", "--output", path, path], { stdio: "ignore" });
  } catch {
    // not installed, or no smaller: the picture stays as it is
  }
}

async function enter(page, server) {
  await page.goto(`${server.url}/sign-in`);
  await page.locator("input[type=email]").fill("olive@example.com");
  await page.locator("input[type=password]").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.locator("article").first().waitFor();
}

async function take(page, server, places, look, scene) {
  await page.goto(server.url + (places[scene.at] ?? scene.at));
  await scene.see(page);
  await page.waitForLoadState("networkidle", { timeout: 5000 }).catch(() => {});
  await scene.act?.(page, look);
  await shoot(page, `${scene.name}-${look}`);
  await scene.after?.(page, places.api);
}

const server = await serve({ settings: { "understudy.tokens_per_second": 0, "accounts.registration": "invite" } });
const model = await startFake({ script: [{ reply: "Good evening." }] });
const browser = await launch();
let failed = 0;

const first = await openPage(browser, server, looks.dark);
const chat = await setUp(first.page, server, { shot: (name) => isWanted(name, "dark") && shoot(first.page, `${name}-dark`) });
const places = await furnish(server, first.page, chat, model.url);
places.edit = `${places.character}/edit`;
await first.context.close();

for (const [look, { isTurned, ...options }] of Object.entries(looks)) {
  const rows = scenes.filter((scene) => scene.looks.includes(look) && isWanted(scene.name, look));
  if (rows.length === 0) continue;
  const { page, context } = await openPage(browser, server, options);
  page.setDefaultTimeout(15000);
  if (isTurned) await turnAround(page);
  for (const isOut of [true, false]) {
    const here = rows.filter((scene) => Boolean(scene.out) === isOut);
    if (!isOut && here.length > 0) await enter(page, server);
    for (const scene of here) {
      await take(page, server, places, look, scene).catch((error) => {
        failed += 1;
        process.stderr.write(`${scene.name}-${look}: ${error.message}\n`);
      });
    }
  }
  await context.close();
}

await browser.close();
await server.stop();
await model.close();
process.exitCode = failed ? 1 : 0;
