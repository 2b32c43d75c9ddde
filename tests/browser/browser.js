// Debian's Chromium, driven from outside, and what every page test shares: a page that writes down each console error and
// each failed rule of axe, the way through the set-up, and the words of a conversation.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { PASSWORD } from "../api/harness.js";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

export function launch() {
  return chromium.launch({ executablePath, headless: true, args: flags.split(" ") });
}

/** A page in a context of its own. `faults` collects what must not happen; a test ends with assert.deepEqual(faults, []). */
export async function openPage(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "dark", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
  const page = await context.newPage();
  return { context, page, faults: watch(page, server) };
}

export function watch(page, server) {
  const faults = [];
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) faults.push(`console ${line.type()}: ${line.text()} ${line.location().url}`);
  });
  page.on("pageerror", (error) => faults.push(`page error: ${error.stack}`));
  page.on("request", (request) => {
    if (!/^(blob:|data:)/.test(request.url()) && !request.url().startsWith(server.url)) faults.push(`asked elsewhere: ${request.url()}`);
  });
  return faults;
}

/** Serious findings of axe on what is shown now, as lines. */
export async function axe(page, where) {
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().iterations !== Infinity).map((a) => a.finished.catch(() => {}))));
  await page.evaluate(axeSource);
  const found = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return found.violations
    .filter((row) => ["serious", "critical"].includes(row.impact))
    .flatMap((row) => row.nodes.map((node) => `${where}: ${row.id}: ${node.target} ${node.failureSummary.replace(/\s+/g, " ")}`));
}

/** From the link in the terminal to the first conversation with the Understudy. Gives the conversation's address. */
export async function setUp(page, server, { name = "Olive", email = "olive@example.com", shot = async () => {} } = {}) {
  await page.goto(server.setupLink);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await shot("setup-owner");
  await page.getByRole("button", { name: "Create the owner's account" }).click();
  await page.getByRole("button", { name: "Look again" }).waitFor();
  await shot("setup-model");
  await page.getByRole("button", { name: "Go on with the Understudy" }).click();
  await page.getByRole("heading", { name: "Whom do you want to meet first?" }).waitFor();
  await page.locator("main ul button").first().waitFor();
  await shot("setup-meet");
  await page.locator("main ul button").first().click();
  await page.waitForURL(/\/chat\//);
  await page.locator(".message").first().waitFor();
  return page.url();
}

export async function signIn(page, server, email = "olive@example.com") {
  await page.goto(`${server.url}/sign-in`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "The cast" }).waitFor();
}

export const composer = (page) => page.getByRole("textbox", { name: /^Your message to/ });
export const messages = (page) => page.locator("li.message");
export const newest = (page) => messages(page).last();

export async function say(page, text) {
  const count = await page.locator("li.message.mine").count();
  await composer(page).fill(text);
  await composer(page).press("Enter");
  await page.locator("li.message.mine").nth(count).waitFor();
}

/** The reply after what was just said is being spoken; gives once `letters` of it are there. */
export async function underWay(page, letters = 20) {
  await page.waitForFunction((least) => {
    const last = [...document.querySelectorAll("li.message")].at(-1);
    return last && !last.classList.contains("mine") && last.dataset.state === "streaming" && last.querySelector(".prose")?.innerText.length > least;
  }, letters);
}

export async function spoken(page) {
  await page.waitForFunction(() => {
    const last = [...document.querySelectorAll("li.message")].at(-1);
    return last && !last.classList.contains("mine") && last.dataset.state !== "streaming" && last.querySelector(".prose")?.innerText.length > 0;
  }, undefined, { timeout: 60000 });
}

export const textOf = (message) => message.locator(".prose").innerText();

/** Opens the menu of a message and picks from it. */
export async function pick(page, message, item) {
  await message.hover();
  await message.getByRole("button", { name: "More for this message" }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}

/** Drops files onto the page as a file manager would. */
export async function drop(page, files) {
  const transfer = await page.evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const { name, type, bytes } of list) data.items.add(new File([new Uint8Array(bytes)], name, { type }));
    return data;
  }, files.map((file) => ({ ...file, bytes: [...file.bytes] })));
  for (const type of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("body", type, { dataTransfer: transfer });
}
