// What a conversation survives: a server that is killed in mid-reply, a second page, a network without WebSockets, two
// people editing one line, an access token that ran out.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { serve, until } from "../api/harness.js";
import { launch, messages, newest, openPage, say, setUp, signIn, spoken, textOf, underWay, watch } from "./browser.js";

/** While the server is away the browser itself writes its failed attempts to the console; anything else is a fault. */
const ours = (faults) => faults.filter((line) => !/ERR_CONNECTION|WebSocket connection to|Failed to load resource/.test(line));

// The stand-in speaks slowly enough here to be interrupted.
const slow = { "understudy.tokens_per_second": 9 };

describe("what a conversation survives", () => {
  let server, browser, page, context, faults, chat, token;

  before(async () => {
    server = await serve({ settings: slow });
    browser = await launch();
    ({ page, context, faults } = await openPage(browser, server));
    chat = await setUp(page, server);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** The newest message as the server has stored it. */
  const lastStored = async () => {
    token ??= (await server.login("olive@example.com")).token;
    return (await server.api("GET", `/conversations/${chat.split("/").pop()}/messages?limit=5`, undefined, { token })).json.items.at(-1);
  };

  it("resume: two pages hear the same reply, and a third that comes late hears all of it", async () => {
    const other = await context.newPage();
    const otherFaults = watch(other, server);
    await other.goto(chat);
    await newest(other).waitFor();
    await say(page, "A long story, please: what happened at the harbour?");
    await underWay(other);
    const late = await context.newPage();
    await late.goto(chat);
    await underWay(late);
    await Promise.all([spoken(page), spoken(other), spoken(late)]);
    const whole = await textOf(newest(page));
    assert.equal(await textOf(newest(other)), whole);
    assert.equal(await textOf(newest(late)), whole);
    assert.equal(await messages(other).count(), 3);
    await other.close();
    await late.close();
    assert.deepEqual(otherFaults, []);
    assert.deepEqual(faults, []);
  });

  it("resume: with every page closed the reply is finished and kept", async () => {
    await say(page, "Another long one, and I will not wait for it.");
    await underWay(page);
    const early = await textOf(newest(page));
    await page.goto("about:blank");
    await until(async () => (await lastStored())?.state === "complete", "the reply is finished with nobody there", 60000);
    await page.goto(chat);
    await spoken(page);
    const whole = await textOf(newest(page));
    assert.ok(whole.length > early.length);
    assert.equal(await newest(page).getAttribute("data-state"), "complete");
  });

  it("resume: a reply that the death of the server cut off is marked, and can be continued", async () => {
    await say(page, "One more long story, about the fire this time.");
    await underWay(page);
    await until(async () => (await lastStored())?.content.length > 0, "its first words are stored");
    const port = new URL(server.url).port;
    await server.kill("SIGKILL");
    await page.getByText("Connection lost. Trying again.").waitFor({ timeout: 45000 });
    server = await serve({ dir: server.dir, port, settings: slow });
    await page.getByText("Connection lost. Trying again.").waitFor({ state: "detached", timeout: 45000 });
    await page.getByText("Cut off: the server stopped").waitFor({ timeout: 45000 });
    const kept = await textOf(newest(page));
    assert.ok(kept.length > 0);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByText("Cut off: the server stopped").waitFor({ state: "detached" });
    await spoken(page);
    assert.ok((await textOf(newest(page))).length > kept.length);
    assert.deepEqual(ours(faults), []);
  });

  it("resume: where WebSockets are barred the words come by SSE", async () => {
    const other = await context.newPage();
    await other.addInitScript(() => {
      window.WebSocket = class {
        constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 5); }
        close() {}
        send() {}
      };
    });
    const listening = other.waitForResponse((answer) => answer.url().endsWith("/events"), { timeout: 60000 });
    await other.goto(chat);
    await newest(other).waitFor();
    await listening;
    await say(other, "Do you hear me without a socket?");
    await underWay(other);
    await spoken(other);
    assert.equal(await newest(other).getAttribute("data-state"), "complete");
    await other.close();
  });

  it("resume: two edits of one message: the later one is told, and both texts remain", async () => {
    const other = await context.newPage();
    await other.goto(chat);
    await page.goto(chat);
    const open = async (where) => {
      const mine = where.locator("li.message.mine").first();
      await mine.waitFor();
      await mine.hover();
      const read = where.waitForResponse((answer) => /\/messages\/\w+$/.test(answer.url()) && answer.request().method() === "GET");
      await mine.getByRole("button", { name: "Edit" }).click();
      await read;
    };
    await open(page);
    await open(other);
    await page.getByLabel("Text of the message").fill("Edited here first.");
    await page.keyboard.press("Control+Enter");
    await page.locator("li.message.mine", { hasText: "Edited here first." }).waitFor();
    await other.getByLabel("Text of the message").fill("Edited there, without knowing.");
    await other.keyboard.press("Control+Enter");
    await other.getByText("This message was changed somewhere else").waitFor();
    assert.match(await other.locator("blockquote").first().innerText(), /Edited here first\./);
    assert.equal(await other.getByLabel("Text of the message").inputValue(), "Edited there, without knowing.");
    await other.getByRole("button", { name: "Save mine" }).click();
    await other.locator("li.message.mine", { hasText: "Edited there, without knowing." }).waitFor();
    await page.locator("li.message.mine", { hasText: "Edited there, without knowing." }).waitFor();
    await other.close();
  });

  it("resume: a session outlives its access token without a word", async () => {
    const fresh = await openPage(browser, server);
    await signIn(fresh.page, server);
    server.moveClock(3 * 3600 * 1000);
    await fresh.page.getByRole("link", { name: /profile/ }).click();
    await fresh.page.getByRole("link", { name: "Sessions" }).click();
    await fresh.page.getByText("This one").waitFor();
    assert.deepEqual(ours(fresh.faults), []);
    await fresh.context.close();
  });
});
