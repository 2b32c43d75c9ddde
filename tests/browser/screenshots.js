// Pictures of the app for docs/screenshots, from a fresh server and the Understudy: dark, light and phone.
//
//   node tests/browser/screenshots.js [folder]
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { serve } from "../api/harness.js";
import { launch, messages, newest, openPage, pick, say, setUp, signIn, spoken } from "./browser.js";

const folder = process.argv[2] ?? fileURLToPath(new URL("../../docs/screenshots", import.meta.url));
mkdirSync(folder, { recursive: true });

const server = await serve();
const browser = await launch();
const shotOf = (page, look) => async (name) => {
  await page.waitForLoadState("networkidle");
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(500); // the last movement comes to rest
  await page.screenshot({ path: `${folder}/${name}-${look}.png` });
};

const { page, context } = await openPage(browser, server);
let shot = shotOf(page, "dark");
const chat = await setUp(page, server, { shot });
await say(page, "Good evening. I was told that you find things. *I put the brass key on the desk.*");
await spoken(page);
await say(page, "It belonged to my grandmother. What does it open?");
await spoken(page);
await shot("chat");
await pick(page, newest(page), "What was sent");
await page.locator("dialog summary").first().click();
await shot("inspector");
await page.keyboard.press("Escape");

const stage = async () => {
  await page.goto(server.url);
  await page.getByRole("article").first().waitFor();
};
await stage();
await page.locator("article").nth(2).hover();
await shot("stage");
await page.locator("article a").nth(1).click();
await page.getByRole("button", { name: "Start a conversation" }).waitFor();
await shot("character");
await page.getByRole("link", { name: "Edit" }).click();
await page.getByRole("heading", { name: "Who it is" }).waitFor();
await shot("editor");
await page.goto(`${server.url}/profile`);
await page.getByRole("heading", { name: "You", exact: true }).waitFor();
await shot("profile");
await context.close();

const looks = [
  ["light", { colorScheme: "light" }],
  ["phone", { colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
  ["phone-light", { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
];
for (const [look, options] of looks) {
  const { page, context } = await openPage(browser, server, options);
  shot = shotOf(page, look);
  await signIn(page, server);
  await page.getByRole("article").first().waitFor();
  await shot("stage");
  await page.goto(chat);
  await messages(page).nth(4).waitFor();
  await shot("chat");
  await context.close();
}

await browser.close();
await server.stop();
