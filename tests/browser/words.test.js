// The words on the screen: a language is chosen, kept and left; and every page holds when the words are long and run from
// right to left, in a language that is none (turned.js).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { serve } from "../api/harness.js";
import { axe, launch, messages, newest, openPage, say, setUp, signIn, spoken } from "./browser.js";
import { turnAround } from "./turned.js";

/** What a reader of this page would trip over: things beyond the edge, and controls that lie under others. */
const trouble = (page) => page.evaluate(() => {
  const found = [];
  const seen = (box) => box.width > 1 && box.height > 1;
  const scrolls = (element) => {
    for (let up = element.parentElement; up; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (/auto|scroll|hidden|clip/.test(style.overflowX) && up !== document.body && up !== document.documentElement) return true;
    }
    return false;
  };
  const name = (element) => `${element.tagName.toLowerCase()}.${element.className.baseVal ?? element.className} "${element.textContent.trim().slice(0, 30)}"`;
  const wider = document.documentElement.scrollWidth - innerWidth;
  if (wider > 0) found.push(`${wider} px wider than the screen`);
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (seen(box) && (box.left < -1 || box.right > innerWidth + 1) && !scrolls(element) && !element.closest(".sr-only, .skip, svg")) {
      found.push(`beyond the edge: ${name(element)} ${Math.round(box.left)}..${Math.round(box.right)}`);
    }
  }
  const within = document.querySelector("dialog[open]") ?? document;
  for (const element of within.querySelectorAll("button, a, input, select, textarea")) {
    if (!element.checkVisibility()) continue;
    element.scrollIntoView({ block: "center", inline: "center" });
    const box = element.getBoundingClientRect();
    if (!seen(box) || element.closest(".sr-only, .skip, [inert]") || getComputedStyle(element).opacity === "0") continue;
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const same = top && (element.contains(top) || top.contains(element) || top.closest("label")?.contains(element) || element.closest("label")?.contains(top));
    if (!same) found.push(`covered: ${name(element)} by ${top ? name(top) : "nothing"}`);
  }
  scrollTo(0, 0);
  return found;
});

describe("the words on the screen", () => {
  let server, browser, chat, character;

  before(async () => {
    server = await serve();
    browser = await launch();
    const { page, context } = await openPage(browser, server);
    chat = new URL(await setUp(page, server)).pathname;
    await say(page, "Good evening");
    await spoken(page);
    await page.goto(server.url);
    await page.getByRole("article").first().waitFor();
    character = await page.locator("article a").first().getAttribute("href");
    await context.close();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("words: the door speaks as the browser does, and the house as the person chose", async () => {
    const { page, context, faults } = await openPage(browser, server, { locale: "de-AT" });
    await page.goto(`${server.url}/sign-in`);
    await page.getByRole("heading", { name: "Schön, dass du wieder da bist" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    await page.getByLabel("E-Mail").fill("olive@example.com");
    await page.getByLabel("Passwort").fill("wrong but long enough");
    await page.getByLabel("Passwort").fill("a long enough pass phrase");
    await page.getByRole("button", { name: "Anmelden" }).click();
    await page.getByRole("heading", { name: "Das Ensemble" }).waitFor();
    await page.waitForFunction(() => document.title === "Die Bühne · Troupe");
    assert.deepEqual(await axe(page, "home in German"), []);
    await page.goto(`${server.url}/profile`);
    const pick = async (name) => {
      const kept = page.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.request().method() === "PATCH");
      await page.getByRole("radio", { name, exact: true }).click({ force: true });
      await kept;
    };
    await page.getByLabel("Anzeigename").fill("Olive, unsaved");
    await pick("English");
    await page.getByRole("heading", { level: 1, name: "You" }).waitFor();
    assert.equal(await page.getByLabel("Display name").inputValue(), "Olive, unsaved", "what was begun outlives the change");
    await page.waitForFunction(() => document.title === "Settings · Troupe");
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "You" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
    await pick("As the browser");
    await page.getByRole("heading", { level: 1, name: "Du" }).waitFor();
    await page.getByRole("button", { name: "Abmelden" }).click();
    await page.getByRole("heading", { name: "Schön, dass du wieder da bist" }).waitFor();
    await context.close();
    assert.deepEqual(faults, []);
  });

  it("words: dates and numbers follow the language", async () => {
    const { page, context, faults } = await openPage(browser, server, { locale: "de-DE" });
    await page.goto(`${server.url}/sign-in`);
    await page.getByLabel("E-Mail").fill("olive@example.com");
    await page.getByLabel("Passwort").fill("a long enough pass phrase");
    await page.getByRole("button", { name: "Anmelden" }).click();
    await page.getByRole("heading", { name: "Das Ensemble" }).waitFor();
    await page.goto(server.url + chat);
    await newest(page).waitFor();
    const exact = await messages(page).first().locator("time").first().getAttribute("title");
    assert.match(exact, /^\d{1,2}\. \p{L}+ \d{4}/u, "21. November 2026 um 08:00");
    await page.getByRole("textbox", { name: /^Deine Nachricht an / }).waitFor();
    await context.close();
    assert.deepEqual(faults, []);
  });

  for (const [name, viewport] of [["a wide screen", { width: 1280, height: 860 }], ["a phone", { width: 390, height: 844 }]]) {
    it(`words: from right to left and longer, every page holds on ${name}`, async () => {
      const { page, context, faults } = await openPage(browser, server, { locale: "de-DE", viewport, serviceWorkers: "block" });
      await turnAround(page);
      const found = [];
      const look = async (place) => {
        await page.waitForLoadState("networkidle", { timeout: 5000 }).catch(() => {}); // some pages go on asking
        assert.equal(await page.evaluate(() => document.documentElement.dir), "rtl");
        found.push(...(await trouble(page)).map((line) => `${place}: ${line}`));
      };
      for (const place of ["/sign-in", "/register"]) {
        await page.goto(server.url + place);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await look(place);
      }
      await page.goto(`${server.url}/sign-in`);
      await page.locator("input[type=email]").fill("olive@example.com");
      await page.locator("input[type=password]").fill("a long enough pass phrase");
      await page.keyboard.press("Enter");
      await page.getByRole("article").first().waitFor();
      const places = ["/", "/discover", "/chats", chat, character, `${character}/edit`, `${character}/history`, "/character/new", "/profile", "/profile/personas", "/profile/sessions", "/profile/keys", "/profile/data",
        "/admin", "/admin/people", "/admin/models", "/admin/memory", "/admin/invites", "/admin/settings", "/admin/jobs", "/admin/audit", "/admin/doctor", "/setup?step=2", "/setup?step=3", "/nowhere"];
      for (const place of places) {
        await page.goto(server.url + place);
        await page.getByRole("heading", { level: 1 }).first().waitFor({ state: "attached" });
        await look(place);
        const words = await page.evaluate(() => (document.querySelector("main")?.innerText ?? "").length);
        assert.ok(words > 0, `${place} shows something`);
      }
      await page.goto(server.url);
      await page.getByRole("article").first().waitFor();
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").waitFor();
      await look("palette");
      await page.keyboard.press("Escape");
      await page.keyboard.press("F1");
      await page.getByRole("dialog").waitFor();
      await look("help");
      await context.close();
      assert.deepEqual(found, []);
      assert.deepEqual(faults.filter((line) => !/registration blocked by Playwright/.test(line)), []);
    });
  }
});
