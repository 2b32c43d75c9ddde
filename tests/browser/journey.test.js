// The whole first evening in Chromium: set up, talk with the Understudy, stop, reload in mid-reply, swipe, edit, branch,
// delete and undo, import cards by drop, sign out and come back. One server, one person, in the order it happens.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { serve } from "../api/harness.js";
import { axe, composer, drop, launch, messages, newest, openPage, pick, say, setUp, signIn, spoken, textOf, underWay } from "./browser.js";

const card = (name) => ({
  spec: "chara_card_v3", spec_version: "3.0",
  data: {
    name, description: `{{char}} keeps the ferry.`, personality: "dry", scenario: "a river", first_mes: `*${name} nods.* "Aboard?"`, mes_example: "",
    creator_notes: "", system_prompt: "", post_history_instructions: "", alternate_greetings: ["*Fog.*"], group_only_greetings: [], tags: ["ferry"],
    creator: "test", character_version: "1", extensions: { other_program: { kept: true } },
  },
});
const file = (name, text) => ({ name, type: "application/json", bytes: Buffer.from(text) });

describe("the first evening", () => {
  let server, browser, page, faults, chat;

  before(async () => {
    server = await serve({ settings: { "understudy.tokens_per_second": 8 } }); // slowly enough to be stopped on a busy machine
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("journey: a wrong set-up code is explained, and the right one still works", async () => {
    await page.goto(`${server.url}/`);
    await page.waitForURL(/\/setup/);
    await page.getByLabel("Set-up code").fill("WRONG");
    await page.getByLabel("Your name").fill("Olive");
    await page.getByLabel("E-mail").fill("olive@example.com");
    await page.getByLabel("Password").fill("a long enough pass phrase");
    await page.getByRole("button", { name: "Create the owner's account" }).click();
    await page.getByText("That set-up code is not the right one").waitFor();
    // the browser itself writes a refused request to the console; nothing else may be there
    assert.deepEqual(faults.filter((line) => !/status of 4\d\d/.test(line)), []);
    faults.length = 0;
  });

  it("journey: from the printed link to the first conversation", async () => {
    const started = Date.now();
    chat = await setUp(page, server);
    assert.ok(Date.now() - started < 60000, "under a minute");
    assert.ok((await textOf(newest(page))).length > 20, "the character greets");
    assert.equal(await newest(page).getAttribute("data-state"), "complete");
  });

  it("journey: a reply streams in and is kept whole", async () => {
    await say(page, "Good evening. What are you working on?");
    await underWay(page);
    const early = await textOf(newest(page));
    await spoken(page);
    const whole = await textOf(newest(page));
    assert.ok(whole.length > early.length, "it grew while it was spoken");
    assert.equal(await messages(page).count(), 3);
    assert.equal(await newest(page).getAttribute("data-state"), "complete");
  });

  it("journey: Escape stops a reply, what was said stays and can be continued", async () => {
    await say(page, "Tell me a long story about it, please.");
    await underWay(page);
    await page.keyboard.press("Escape");
    await page.getByText("Stopped here.").waitFor();
    const kept = await textOf(newest(page));
    assert.ok(kept.length > 0);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByText("Stopped here.").waitFor({ state: "detached" });
    await spoken(page);
    const longer = await textOf(newest(page));
    const words = (text) => text.replaceAll("*", "").trim(); // an action that was cut off shows its mark
    assert.ok(words(longer).startsWith(words(kept).slice(0, 20)) && words(longer).length > words(kept).length, "the text goes on where it stopped");
  });

  it("journey: a reload in mid-reply shows the text so far and goes on to the same end", async () => {
    await say(page, "And another long one, about the rain.");
    await underWay(page, 30);
    const before = await textOf(newest(page));
    await page.reload();
    await page.waitForFunction((text) => [...document.querySelectorAll("li.message")].at(-1)?.querySelector(".prose")?.innerText.startsWith(text), before.slice(0, 20));
    await spoken(page);
    const shown = await textOf(newest(page));
    assert.ok(shown.length >= before.length);
    await page.reload();
    await newest(page).waitFor();
    await page.waitForFunction((text) => [...document.querySelectorAll("li.message")].at(-1)?.querySelector(".prose")?.innerText === text, shown);
  });

  it("journey: the newest words stay in sight, unless the reader has moved up", async () => {
    const below = () => page.getByRole("region", { name: "Messages" }).evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight);
    await say(page, "Once more, and slowly.");
    await underWay(page, 30);
    assert.ok((await below()) < 64, "it follows");
    await page.getByRole("region", { name: "Messages" }).hover();
    await page.mouse.wheel(0, -600);
    await page.getByRole("button", { name: "Newest" }).waitFor();
    await spoken(page);
    assert.ok((await below()) > 200, "it stays where the reader is");
    await page.getByRole("button", { name: "Newest" }).click();
    assert.ok((await below()) < 64);
  });

  it("journey: another reply is a swipe; arrows and keys walk through them", async () => {
    const first = await textOf(newest(page));
    await newest(page).getByRole("button", { name: "Another reply" }).click();
    await newest(page).getByText("2/2").waitFor({ timeout: 60000 });
    await spoken(page);
    await newest(page).getByRole("button", { name: "Previous reply" }).click();
    await newest(page).getByText("1/2").waitFor();
    assert.equal(await textOf(newest(page)), first, "the first variant is there unchanged");
    await composer(page).focus();
    await page.keyboard.press("ArrowRight");
    await newest(page).getByText("2/2").waitFor();
    await page.keyboard.press("ArrowLeft");
    await newest(page).getByText("1/2").waitFor();
  });

  it("journey: any message can be edited", async () => {
    const mine = page.locator("li.message.mine").first();
    await mine.hover();
    await mine.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Text of the message").fill("Good evening, **detective**.");
    await page.keyboard.press("Control+Enter");
    await page.locator("li.message.mine strong", { hasText: "detective" }).waitFor();
    await page.reload();
    await page.locator("li.message.mine strong", { hasText: "detective" }).waitFor();
  });

  it("journey: the inspector shows the prompt that was sent, in parts", async () => {
    await pick(page, newest(page), "What was sent");
    await page.getByRole("heading", { name: "What was sent for this reply" }).waitFor();
    await page.locator("dialog details").first().waitFor();
    assert.ok((await page.locator("dialog details").count()) >= 2);
    assert.match(await page.locator("dialog").innerText(), /[\d,]+ of [\d,]+ tokens/);
    await page.locator("dialog summary").first().click();
    assert.deepEqual(await axe(page, "inspector"), []);
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
  });

  it("journey: deleting takes away, undo brings back", async () => {
    const count = await messages(page).count();
    const before = await page.locator("aside li.current .line").innerText();
    await pick(page, messages(page).nth(count - 2), "Delete from here on");
    await page.waitForFunction((n) => document.querySelectorAll("li.message").length === n, count - 2);
    await page.waitForFunction((old) => document.querySelector("aside li.current .line").innerText !== old, before);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.waitForFunction((n) => document.querySelectorAll("li.message").length === n, count);
    await page.waitForFunction((old) => document.querySelector("aside li.current .line").innerText === old, before);
  });

  it("journey: a branch is a conversation of its own", async () => {
    await pick(page, messages(page).nth(2), "Branch from here");
    await page.waitForURL((url) => url.href !== chat && url.pathname.startsWith("/chat/"));
    await page.waitForFunction(() => document.querySelectorAll("li.message").length === 3);
    assert.ok((await page.getByRole("navigation", { name: "Conversations" }).getByRole("listitem").count()) >= 2);
  });

  it("journey: the author's note is kept with the conversation", async () => {
    await page.getByRole("button", { name: "Settings of this conversation" }).click();
    await page.getByLabel("Author's note").fill("It is raining.");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).last().click();
    await page.getByText("Saved for this conversation.").waitFor();
    await page.reload();
    await newest(page).waitFor();
    await page.getByRole("button", { name: "Settings of this conversation" }).click();
    assert.equal(await page.getByLabel("Author's note").inputValue(), "It is raining.");
    await page.keyboard.press("Escape");
  });

  it("journey: a draft survives a reload", async () => {
    await composer(page).fill("not sent yet");
    await page.reload();
    await newest(page).waitFor();
    assert.equal(await composer(page).inputValue(), "not sent yet");
    await composer(page).fill("");
  });

  it("journey: cards dropped anywhere join the cast, with a report for each file", async () => {
    await drop(page, [file("charon.json", JSON.stringify(card("Charon"))), file("broken.json", "{ no card")]);
    await page.getByRole("heading", { name: "1 of 2 cards joined the cast" }).waitFor();
    assert.equal(await page.locator("dialog li.bad").count(), 1);
    assert.deepEqual(await axe(page, "import report"), []);
    await page.getByRole("link", { name: "Charon" }).click();
    await page.getByRole("heading", { name: "Charon" }).waitFor();
    await page.getByText("Aboard?").waitFor();
  });

  it("journey: search answers as one types", async () => {
    await page.getByRole("link", { name: "Stage" }).click();
    await page.getByRole("link", { name: "See the whole cast" }).click();
    await page.getByLabel("Search the cast").fill("Charo");
    await page.waitForFunction(() => document.querySelectorAll("article").length === 1);
    await page.getByRole("article").getByText("Charon").waitFor();
    await page.getByLabel("Search the cast").fill("");
    await page.waitForFunction(() => document.querySelectorAll("article").length > 3);
  });

  it("journey: a character is deleted, and undo brings it back", async () => {
    await page.getByRole("article").filter({ hasText: "Charon" }).getByRole("link").click();
    await page.getByRole("button", { name: "More for Charon" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByText("Charon left the stage.").waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("article").filter({ hasText: "Charon" }).waitFor();
  });

  it("journey: sign out, and in again, and all is there", async () => {
    await page.getByRole("link", { name: /profile/ }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/sign-in/);
    assert.equal(await page.evaluate(() => Object.keys(localStorage).filter((key) => /draft|was-here/.test(key)).length), 0);
    assert.deepEqual(faults, [], "no console error on the whole way");
    await signIn(page, server);
    await page.goto(chat);
    await newest(page).waitFor();
    assert.ok((await messages(page).count()) >= 5);
    assert.deepEqual(faults, []);
  });
});
