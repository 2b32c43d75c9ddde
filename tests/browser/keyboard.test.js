// One person, one keyboard, no mouse: from the sign-in to a finished chat, with an answer that is stopped, a line that is
// edited, another reply, and the way out. Nothing here clicks, and every thing that has the focus shows it.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PASSWORD, serve } from "../api/harness.js";
import { launch, messages, newest, openPage, setUp, spoken, textOf, underWay } from "./browser.js";

describe("by keyboard alone", () => {
  let server, browser;

  before(async () => {
    server = await serve({ settings: { "understudy.tokens_per_second": 10 } }); // slowly enough to be stopped on a busy machine
    browser = await launch();
    const { page, context } = await openPage(browser, server);
    await setUp(page, server);
    await context.close();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("keyboard: from the sign-in to a finished chat, and out again", async () => {
    const { page, context, faults } = await openPage(browser, server);
    for (const gesture of ["click", "hover", "tap"]) page[gesture] = () => assert.fail("no mouse");
    const press = (key) => page.keyboard.press(key);
    const here = () => page.evaluate(() => {
      const it = document.activeElement;
      const isRinged = (element) => element && getComputedStyle(element).outlineStyle !== "none" && parseFloat(getComputedStyle(element).outlineWidth) > 0;
      const shown = isRinged(it) || isRinged(it.closest("label, .box, .find, .field"));
      return { tag: it.tagName, name: it.getAttribute("aria-label") ?? it.labels?.[0]?.textContent.trim() ?? it.textContent.trim(), shown };
    });
    /** Tab (or another key) until what has the focus answers to the name. */
    const reach = async (name, { key = "Tab", most = 60 } = {}) => {
      for (let presses = 0; presses <= most; presses += 1) {
        const now = await here();
        if (name.test(now.name)) {
          assert.ok(now.shown, `the focus is seen on ${now.tag} ${now.name}`);
          return;
        }
        await press(key);
      }
      assert.fail(`${name} was not reached; the focus is on ${JSON.stringify(await here())}`);
    };

    await page.goto(`${server.url}/sign-in`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await reach(/^E-mail/);
    await page.keyboard.type("olive@example.com");
    await press("Tab");
    await page.keyboard.type(PASSWORD);
    await press("Enter");
    await page.getByRole("article").first().waitFor();

    // The palette leads to a character, whose page gives the focus to its name.
    await press("Control+k");
    await page.getByRole("combobox").waitFor();
    await page.keyboard.type("otar");
    await page.getByRole("option", { name: /^Otar/ }).waitFor();
    for (let at = 0; at < 12 && !/^Otar/.test(await page.locator("[role=option][aria-selected=true]").innerText()); at += 1) await press("ArrowDown");
    await press("Enter");
    await page.waitForURL(/\/character\//);
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    await reach(/^Start a conversation/);
    await press("Enter");
    await page.waitForURL(/\/chat\//);
    await newest(page).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");

    // Said, stopped in the middle, and asked for again.
    await page.keyboard.type("Tell me everything about the soup.");
    await press("Enter");
    await underWay(page);
    await press("Escape");
    await page.waitForFunction(() => [...document.querySelectorAll("li.message")].at(-1)?.dataset.state === "stopped");
    await reach(/^Continue/, { key: "Shift+Tab" });
    const half = await textOf(newest(page));
    await press("Enter");
    await page.waitForFunction(() => [...document.querySelectorAll("li.message")].at(-1)?.dataset.state === "complete", undefined, { timeout: 60000 });
    assert.ok((await textOf(newest(page))).length > half.length);

    // The last line is edited with the arrow key and saved with Ctrl+Enter.
    await reach(/^Your message to/, { most: 80 });
    await press("ArrowUp");
    await page.waitForFunction(() => document.activeElement?.getAttribute("aria-label") === "Text of the message");
    await page.keyboard.type(" And the bread.");
    await press("Control+Enter");
    await page.locator("li.message.mine", { hasText: "And the bread." }).waitFor();
    await page.waitForFunction(() => document.activeElement?.getAttribute("aria-label")?.startsWith("Your message to"));

    // A second exchange is finished, and its reply announced politely.
    await page.keyboard.type("Good night.");
    await press("Enter");
    await page.locator("li.message.mine", { hasText: "Good night." }).waitFor();
    await spoken(page);
    assert.equal(await messages(page).count(), 5);
    const reply = await textOf(newest(page));
    await page.waitForFunction((start) => [...document.querySelectorAll("[aria-live=polite]")].some((row) => row.textContent.includes(start)), reply.slice(0, 20).split("\n")[0]);

    // And out, by the palette.
    await press("Control+k");
    await page.getByRole("combobox").waitFor();
    await page.keyboard.type("sign out");
    await page.getByRole("option", { name: /^Sign out/ }).waitFor();
    await press("Enter");
    await page.waitForURL(/\/sign-in/);
    await context.close();
    assert.deepEqual(faults, []);
  });

  it("keyboard: a dialog holds the focus and gives it back; the skip link skips", async () => {
    const { page, context, faults } = await openPage(browser, server);
    await page.goto(`${server.url}/sign-in`);
    await page.getByLabel("E-mail").fill("olive@example.com");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.keyboard.press("Enter");
    await page.getByRole("article").first().waitFor();
    await page.goto(`${server.url}/profile/personas`);
    await page.getByRole("heading", { level: 1, name: "Personas" }).waitFor();
    await page.keyboard.press("Tab");
    assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip to the page/);
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.getByRole("button", { name: "New persona" }).focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    for (let presses = 0; presses < 24; presses += 1) {
      await page.keyboard.press("Tab");
      assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null), "the page behind stays out of reach");
    }
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.match(await page.evaluate(() => document.activeElement.textContent), /New persona/);
    await context.close();
    assert.deepEqual(faults, []);
  });
});
