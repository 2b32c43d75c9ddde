// What a talk was: its branches as a tree, the variants and earlier texts of a message, words that are quoted.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { serve } from "../api/harness.js";
import { axe, composer, launch, newest, openPage, pick, say, setUp, spoken, textOf } from "./browser.js";

describe("what a talk was", () => {
  let server, browser, page, faults;

  before(async () => {
    server = await serve({ settings: { "understudy.tokens_per_second": 0 } });
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    await setUp(page, server);
    await say(page, "Good evening.");
    await spoken(page);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("history: an earlier text of a message is brought back", async () => {
    const mine = page.locator("li.message.mine").first();
    await mine.hover();
    await mine.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Text of the message").fill("Good morning.");
    await page.keyboard.press("Control+Enter");
    await page.locator("li.message.mine", { hasText: "Good morning." }).waitFor();
    await pick(page, mine, "What this message was");
    await page.getByRole("heading", { name: "Earlier texts" }).waitFor();
    assert.deepEqual(await axe(page, "history"), []);
    await page.getByRole("button", { name: "Bring this text back" }).click();
    await page.locator("li.message.mine", { hasText: "Good evening." }).waitFor();
  });

  it("history: every variant is listed with its model, and any can be shown", async () => {
    const first = await textOf(newest(page));
    await newest(page).getByRole("button", { name: "Another reply" }).click();
    await newest(page).getByText("2/2").waitFor();
    await spoken(page);
    await pick(page, newest(page), "What this message was");
    await page.locator("dialog li").first().waitFor();
    assert.match(await page.locator("dialog").innerText(), /Understudy/);
    await page.getByRole("button", { name: "Show this one" }).click();
    await newest(page).getByText("1/2").waitFor();
    assert.equal(await textOf(newest(page)), first);
  });

  it("history: the branches stand as a tree, and a press shows another", async () => {
    await say(page, "After the first reply.");
    await spoken(page);
    const reply = page.locator("li.message").nth(2);
    await reply.hover();
    await reply.getByRole("button", { name: "Next reply" }).click();
    await page.locator("li.message.mine", { hasText: "After the first reply." }).waitFor({ state: "detached" });
    await say(page, "After the second reply.");
    await spoken(page);
    await page.getByRole("button", { name: "Branches of this talk" }).click();
    await page.locator("dialog .tree li").nth(1).waitFor();
    assert.deepEqual(await axe(page, "branches"), []);
    await page.locator("dialog .leaf:not([aria-current])").first().click();
    await page.locator("li.message.mine", { hasText: "After the first reply." }).waitFor();
    assert.equal(await page.locator("li.message.mine", { hasText: "After the second reply." }).count(), 0);
  });

  it("history: the keys that people know: another reply, going on, editing what was said last", async () => {
    await composer(page).press("Control+Enter");
    await newest(page).getByText("2/2").waitFor();
    await spoken(page);
    const before = await textOf(newest(page));
    await composer(page).press("Alt+Enter");
    await page.waitForFunction((old) => [...document.querySelectorAll("li.message")].at(-1).querySelector(".prose")?.innerText.length > old.length, before);
    await spoken(page);
    await composer(page).press("Control+ArrowUp");
    await page.getByLabel("Text of the message").waitFor();
    await page.keyboard.press("Escape");
    await page.getByLabel("Text of the message").waitFor({ state: "detached" });
  });

  it("history: a quotation goes before one's own words", async () => {
    await pick(page, page.locator("li.message.mine").first(), "Quote");
    assert.match(await composer(page).inputValue(), /^> Good evening\.\n\n$/);
    await composer(page).fill("");
    assert.deepEqual(faults, []);
  });
});
