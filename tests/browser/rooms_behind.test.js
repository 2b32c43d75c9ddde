// What stands behind the stage: writing a character, personas, keys, invitations, a model by hand.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { serve } from "../api/harness.js";
import { axe, launch, newest, openPage, say, setUp, spoken, textOf } from "./browser.js";

// The smallest PNG with colour: one pixel.
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==", "base64");

/** An endpoint that speaks like OpenAI and says one sentence. */
function fakeModel() {
  const server = createServer((request, answer) => {
    if (request.url.endsWith("/models")) {
      answer.writeHead(200, { "content-type": "application/json" });
      answer.end(JSON.stringify({ object: "list", data: [{ id: "small-talk", object: "model" }] }));
      return;
    }
    request.resume();
    request.on("end", () => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      for (const content of ["From the ", "fake model."]) {
        answer.write(`data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`);
      }
      answer.write(`data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`);
      answer.end("data: [DONE]\n\n");
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

describe("behind the stage", () => {
  let server, browser, page, faults, chat, model;

  before(async () => {
    model = await fakeModel();
    server = await serve({ settings: { "accounts.registration": "invite" } });
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    chat = await setUp(page, server);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    model?.closeAllConnections();
    model?.close();
  });

  it("behind: a character is written, gets a portrait, is changed and exported", async () => {
    await page.goto(`${server.url}/character/new`);
    await page.getByLabel("Name", { exact: true }).fill("Wren");
    await page.getByLabel("Tagline").fill("Counts the stairs.");
    await page.getByLabel("Tags").fill("quiet, counting");
    await page.getByLabel("Description").fill("{{char}} counts stairs.");
    await page.getByLabel("Greeting", { exact: true }).fill('*looks up* "Forty-one."');
    await page.getByRole("button", { name: "Another greeting" }).click();
    await page.getByLabel("Another greeting, 2").fill('"Forty-two."');
    await page.locator("input[type=file]").setInputFiles({ name: "wren.png", mimeType: "image/png", buffer: PIXEL });
    await page.getByRole("button", { name: "Use it like this" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Wren" }).waitFor();
    await page.getByText("Wren counts stairs.").waitFor();
    await page.waitForFunction(() => document.querySelector(".picture img")?.naturalWidth > 0);
    await page.getByRole("button", { name: "Next greeting" }).click();
    await page.getByText("Forty-two.").waitFor();
    await page.getByRole("link", { name: "Edit" }).click();
    await page.getByLabel("Tagline").fill("Counts everything.");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Counts everything.").waitFor();
    await page.getByRole("button", { name: "Export the card" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: "Text only" }).click()]);
    const card = JSON.parse(readFileSync(await download.path(), "utf8"));
    assert.equal(card.spec, "chara_card_v3");
    assert.equal(card.data.name, "Wren");
    assert.deepEqual(card.data.alternate_greetings, ['"Forty-two."']);
    assert.equal(download.suggestedFilename(), "Wren.json");
    assert.deepEqual(faults, []);
  });

  it("behind: the greeting that was picked opens the conversation", async () => {
    await page.getByRole("button", { name: "Next greeting" }).click();
    await page.getByRole("button", { name: "Start a conversation" }).click();
    await page.waitForURL(/\/chat\//);
    await newest(page).waitFor();
    assert.match(await textOf(newest(page)), /Forty-two/);
    assert.deepEqual(faults, []);
  });

  it("behind: a persona is made and chosen for one conversation", async () => {
    await page.goto(`${server.url}/profile/personas`);
    await page.getByRole("button", { name: "New persona" }).click();
    await page.getByLabel("Name").fill("Captain Reed");
    await page.getByLabel("Description").fill("Retired, of the harbour guard.");
    assert.deepEqual(await axe(page, "persona dialog"), []);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: /Captain Reed/ }).waitFor();
    await page.goto(chat);
    await page.getByRole("button", { name: "Settings of this conversation" }).click();
    await page.locator("option", { hasText: "Captain Reed" }).waitFor({ state: "attached" });
    await page.getByLabel("Who you are here").selectOption({ label: "Captain Reed" });
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).last().click();
    await page.getByText("Saved for this conversation.").waitFor();
    await say(page, "Good evening from the harbour.");
    await spoken(page);
    assert.equal(await page.locator("li.message.mine .name").last().innerText(), "Captain Reed");
    assert.deepEqual(faults, []);
  });

  it("behind: a key is shown once and can be revoked", async () => {
    await page.goto(`${server.url}/profile/keys`);
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByLabel("What it is for").fill("my bot");
    await page.getByRole("button", { name: "Create" }).click();
    const key = await page.getByLabel("The key").inputValue();
    const me = await server.api("GET", "/users/me", undefined, { token: key });
    assert.equal(me.status, 200);
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "Revoke my bot" }).click();
    await page.getByText("No key yet.").waitFor();
    assert.equal((await server.api("GET", "/users/me", undefined, { token: key })).status, 401);
    assert.deepEqual(faults, []);
  });

  it("behind: an invitation brings somebody in, who sees only their own", async () => {
    await page.goto(`${server.url}/admin/invites`);
    await page.getByRole("button", { name: "New invitation" }).click();
    await page.getByLabel("For whom").fill("Mia");
    await page.getByRole("button", { name: "Create the link" }).click();
    const link = await page.getByLabel("Link of the invitation Mia").inputValue();
    const guest = await openPage(browser, server);
    await guest.page.goto(link);
    await guest.page.getByLabel("Your name").fill("Mia");
    await guest.page.getByLabel("E-mail").fill("mia@example.com");
    await guest.page.getByLabel("Password").fill("a long enough pass phrase");
    assert.deepEqual(await axe(guest.page, "register"), []);
    await guest.page.getByRole("button", { name: "Create the account" }).click();
    await guest.page.getByRole("heading", { name: "The cast" }).waitFor();
    await guest.page.getByRole("article").first().waitFor();
    assert.equal(await guest.page.getByText("Wren").count(), 0, "a private character of somebody else");
    assert.equal(await guest.page.getByText("Where you left off").count(), 0);
    await guest.page.goto(`${server.url}/profile`);
    await guest.page.getByRole("link", { name: "Personas" }).waitFor();
    assert.equal(await guest.page.getByRole("link", { name: "Models" }).count(), 0);
    assert.deepEqual(guest.faults, []);
    await guest.context.close();
    assert.deepEqual(faults, []);
  });

  it("behind: a model by hand is tried, and speaks next", async () => {
    await page.goto(`${server.url}/admin/models`);
    await page.getByRole("button", { name: "Add a model" }).click();
    await page.getByLabel("Address").fill(`http://127.0.0.1:${model.address().port}/v1`);
    await page.getByLabel("Model", { exact: true }).fill("small-talk");
    assert.deepEqual(await axe(page, "model dialog"), []);
    await page.getByRole("button", { name: "Try it and use it" }).click();
    await page.getByText("The model answered and is now asked first.").waitFor();
    await page.getByRole("heading", { name: "small-talk" }).waitFor();
    await page.getByRole("button", { name: "Try small-talk" }).click();
    await page.getByText(/It answered/).waitFor();
    await page.goto(chat);
    await newest(page).waitFor();
    await say(page, "Who speaks now?");
    await spoken(page);
    assert.equal(await textOf(newest(page)), "From the fake model.");
    assert.deepEqual(faults, []);
  });

  it("behind: when the model goes away the reply says why, and can be tried again", async () => {
    model.closeAllConnections();
    await new Promise((resolve) => model.close(resolve));
    await say(page, "And now?");
    await page.waitForFunction(() => {
      const last = [...document.querySelectorAll("li.message")].at(-1);
      return last && !last.classList.contains("mine") && last.dataset.state !== "streaming";
    }, undefined, { timeout: 60000 });
    assert.equal(await newest(page).getAttribute("data-state"), "failed");
    await newest(page).getByText("The reply failed. small-talk: The endpoint cannot be reached").waitFor();
    await newest(page).getByRole("button", { name: "Try again" }).waitFor();
    assert.deepEqual(faults, []);
  });
});
