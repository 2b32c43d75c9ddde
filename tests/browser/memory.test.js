// What a character remembers: said, seen, corrected, pinned, followed to its message, approved, shared, searched, forgotten; a talk from a
// file; the encoder's page. In every light, with axe, and no word in the console.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { PASSWORD, serve, until } from "../api/harness.js";
import { startEmbedder } from "../fakes/embedder.js";
import { axe, launch, messages, openPage, pick, newest, say, setUp, signIn, spoken } from "./browser.js";

const panel = (page) => page.getByRole("dialog", { name: /^What .* remembers$/ });
const tab = (page, name) => panel(page).getByRole("tab", { name });
const row = (page, text) => panel(page).locator("li[data-fact]", { hasText: text });

async function open(page) {
  await page.getByRole("button", { name: /^What .* remembers$/ }).click();
  await panel(page).getByRole("tablist").waitFor();
}
const close = async (page) => {
  await panel(page).getByRole("button", { name: "Close" }).click();
  await panel(page).waitFor({ state: "detached" });
};
/** Saves the sentence of a form that lies above the panel, and waits until it is gone. */
async function save(page, name) {
  const form = page.getByRole("dialog", { name });
  await form.getByRole("button", { name: "Save" }).last().click();
  await form.waitFor({ state: "detached" });
}
async function choose(page, text, item) {
  await row(page, text).getByRole("button", { name: `More for ${text}` }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}

// Long enough that the beginning of the talk falls out of the prompt.
const LONG = "The harbour was quiet, the ships came and went, and nobody counted them. ".repeat(20);

describe("what a character remembers", () => {
  let server, browser, page, faults, address, token, conversation;
  const api = (method, path, body) => server.api(method, path, body, { token });
  const facts = async (state = "active") => (await api("GET", `/memory/${conversation}?state=${state}`)).json.facts;
  const told = (content) => api("POST", `/conversations/${conversation}/messages`, { content, reply: false });

  before(async () => {
    server = await serve({ settings: { "understudy.tokens_per_second": 0, "limits.requests_per_minute": 0, "limits.costly_per_minute": 0 } });
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    address = await setUp(page, server);
    conversation = address.split("/").at(-1);
    token = (await server.api("POST", "/auth/login", { email: "olive@example.com", password: PASSWORD }, { token: null })).json.access_token;
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("memory: what is said is remembered by rules, and shown while one looks", async () => {
    await say(page, "Remember that I live in Bristol and I work as a nurse.");
    await spoken(page);
    await open(page);
    const lives = row(page, "lives in Bristol");
    await lives.waitFor();
    assert.match(await lives.innerText(), /found by rules/);
    assert.match(await lives.innerText(), /since/);
    await told("Please remember that my cat's name is Luna.");
    await row(page, "Luna").waitFor();
    assert.deepEqual(await axe(page, "facts"), []);
    await close(page);
  });

  it("memory: a fact leads to the message where it was said, through pages that were not read yet", async () => {
    for (let i = 0; i < 90; i += 1) assert.equal((await told(`The tide stood at mark ${i}. ${LONG}`)).status, 201);
    await page.reload();
    await newest(page).waitFor();
    assert.equal(await messages(page).filter({ hasText: "live in Bristol" }).count(), 0, "it is on an older page");
    await open(page);
    await row(page, "lives in Bristol").getByRole("button", { name: "Where it was said" }).click();
    const said = messages(page).filter({ hasText: "live in Bristol" });
    await said.and(page.locator("[data-marked]")).waitFor();
    await panel(page).waitFor({ state: "detached" });
    const [box, height] = [await said.boundingBox(), page.viewportSize().height];
    assert.ok(box.y >= 0 && box.y + box.height <= height, `it is before the eyes: ${JSON.stringify(box)}`);
    assert.ok(await said.evaluate((element) => element === document.activeElement), "and has the focus");
  });

  it("memory: a person corrects, pins, closes and adds", async () => {
    await open(page);
    await choose(page, (await facts()).find((fact) => /Luna/.test(fact.text)).text, "Edit");
    await page.getByLabel("One plain sentence").fill("Olive has a cat called Luna Lovelace.");
    await page.getByRole("radio", { name: "in passing" }).check({ force: true });
    assert.deepEqual(await axe(page, "edit"), []);
    await save(page, "Correct a memory");
    await row(page, "Luna Lovelace").getByText("written by you").waitFor();
    await row(page, "Luna Lovelace").getByText("in passing").waitFor();
    await row(page, "Luna Lovelace").getByRole("button", { name: /^Keep in every prompt/ }).click();
    await until(async () => (await facts()).find((fact) => /Lovelace/.test(fact.text)).pinned, "pinned");
    await choose(page, (await facts()).find((fact) => /nurse/.test(fact.text)).text, "No longer so");
    await panel(page).getByText("1 thing that is over or was replaced").click();
    assert.match(await row(page, "nurse").innerText(), /until/);
    await panel(page).getByRole("button", { name: "Add something" }).click();
    await page.getByLabel("One plain sentence").fill("Olive keeps bees on the roof.");
    await page.getByLabel("What it is").selectOption("preference");
    await save(page, /should remember$/);
    await panel(page).getByRole("region", { name: "Likes and dislikes" }).getByText("keeps bees").waitFor();
    const bees = (await facts()).find((fact) => /bees/.test(fact.text));
    assert.deepEqual([bees.made_by, bees.kind], ["person", "preference"]);
    await close(page);
  });

  it("memory: what changed elsewhere meanwhile is not written over", async () => {
    await open(page);
    const bees = (await facts()).find((fact) => /bees/.test(fact.text));
    const read = page.waitForResponse((answer) => answer.url().endsWith(`/facts/${bees.id}`) && answer.request().method() === "GET");
    await choose(page, bees.text, "Edit");
    await read;
    await api("PATCH", `/memory/${conversation}/facts/${bees.id}`, { text: "Olive keeps bees in the yard." });
    await page.getByLabel("One plain sentence").fill("Olive keeps wasps.");
    await page.getByRole("dialog", { name: "Correct a memory" }).getByRole("button", { name: "Save" }).last().click();
    await page.getByRole("dialog", { name: "Correct a memory" }).getByRole("alert").waitFor();
    faults.splice(0, faults.length, ...faults.filter((line) => !/status of 412/.test(line))); // the refusal, which the browser writes down itself
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Correct a memory" }).waitFor({ state: "detached" });
    await row(page, "bees in the yard").waitFor();
    await close(page);
  });

  it("memory: what waits for approval is accepted or refused", async () => {
    await open(page);
    await tab(page, "Rules").click();
    await panel(page).getByRole("switch", { name: "Ask me before something is remembered" }).check();
    await until(async () => (await api("GET", `/memory/${conversation}`)).json.needs_approval, "approval");
    await told("Remember that I play the cello.");
    await told("Remember that I am allergic to peanuts.");
    await tab(page, "Facts").click();
    await panel(page).getByRole("heading", { name: "2 things wait for you" }).waitFor();
    assert.deepEqual(await axe(page, "proposed"), []);
    await row(page, "cello").getByRole("button", { name: /^That is right/ }).click();
    await panel(page).getByRole("heading", { name: "1 thing waits for you" }).waitFor();
    await row(page, "peanuts").getByRole("button", { name: /^Not this/ }).click();
    await row(page, "peanuts").waitFor({ state: "detached" });
    const all = await facts("all");
    assert.equal(all.find((fact) => /cello/.test(fact.text)).state, "active");
    assert.equal(all.some((fact) => /peanuts/.test(fact.text)), false);
    await tab(page, "Rules").click();
    await panel(page).getByRole("switch", { name: "Ask me before something is remembered" }).uncheck();
    await until(async () => !(await api("GET", `/memory/${conversation}`)).json.needs_approval, "no approval");
    await close(page);
  });

  it("memory: one fact is forgotten, and it is said that this is final", async () => {
    await open(page);
    const text = (await facts()).find((fact) => /cello/.test(fact.text)).text;
    await choose(page, text, "Forget");
    const question = page.getByRole("dialog", { name: "Forget this?" });
    assert.match(await question.innerText(), /Forgetting is final/);
    assert.match(await question.innerText(), /cello/);
    assert.deepEqual(await axe(page, "forget"), []);
    await question.getByRole("button", { name: "Keep it" }).click();
    await row(page, "cello").waitFor();
    await choose(page, text, "Forget");
    await question.getByRole("button", { name: "Forget it" }).click();
    await question.waitFor({ state: "detached" });
    await row(page, "cello").waitFor({ state: "detached" });
    assert.equal((await facts("all")).some((fact) => /cello/.test(fact.text)), false);
    await close(page);
  });

  it("memory: a topic is weighed first, then forgotten, messages and all", async () => {
    await open(page);
    await panel(page).getByRole("button", { name: "Forget a topic" }).click();
    const dialog = page.getByRole("dialog", { name: "Forget a topic" });
    await dialog.getByRole("textbox", { name: "Topic" }).fill("Luna");
    await dialog.getByRole("button", { name: "See what would go" }).click();
    await dialog.getByText("This would go:").waitFor();
    assert.match(await dialog.innerText(), /Luna Lovelace/);
    assert.match(await dialog.innerText(), /The memory of \d+ message/);
    assert.ok((await facts()).some((fact) => /Luna/.test(fact.text)), "nothing is gone yet");
    assert.deepEqual(await axe(page, "topic"), []);
    await dialog.getByRole("textbox", { name: "Topic" }).fill("Luna Lov");
    assert.equal(await dialog.getByRole("button", { name: "Forget it" }).count(), 0, "what was weighed is no longer what is asked");
    await dialog.getByRole("textbox", { name: "Topic" }).fill("Luna");
    await dialog.getByRole("button", { name: "Forget it" }).click();
    await dialog.waitFor({ state: "detached" });
    await row(page, "Luna").waitFor({ state: "detached" });
    assert.equal((await facts("all")).some((fact) => /Luna/.test(fact.text)), false);
    const found = (await api("GET", `/memory/${conversation}/search?q=${encodeURIComponent("What is the cat called?")}`)).json.items;
    assert.equal(found.some((item) => /Luna/.test(item.text)), false);
    await close(page);
  });

  it("memory: a search tells what was found, where it was said, and why", async () => {
    await open(page);
    await panel(page).getByLabel("Search the memory").fill("Where do I live?");
    await page.keyboard.press("Enter");
    const hit = panel(page).locator("li", { hasText: "Bristol" }).first();
    await hit.waitFor();
    await hit.locator("summary").click();
    assert.match(await hit.locator("dl").innerText(), /words|meaning/);
    assert.deepEqual(await axe(page, "search"), []);
    await panel(page).getByRole("button", { name: "End the search" }).click();
    await panel(page).getByRole("tablist").waitFor();
    await close(page);
  });

  it("memory: how the two stand, the story in words that can be rewritten, and what was recalled for the last reply", async () => {
    await open(page);
    await tab(page, "You two").click();
    await panel(page).getByText(/\d+ messages/).first().waitFor();
    assert.deepEqual(await axe(page, "you two"), []);
    await page.keyboard.press("ArrowRight");
    await panel(page).getByRole("button", { name: "Rewrite “You two”" }).waitFor({ state: "detached" });
    await tab(page, "Story").click();
    const summary = panel(page).getByRole("region", { name: "All of it" });
    await summary.getByRole("button", { name: "Rewrite “All of it”" }).click();
    await summary.getByLabel("Summary").fill("Olive told of the tides of Bristol.");
    await summary.getByRole("button", { name: "Save" }).click();
    await summary.getByText("Olive told of the tides of Bristol.").waitFor();
    await summary.getByText("edited", { exact: true }).waitFor();
    assert.deepEqual(await axe(page, "story"), []);
    await tab(page, "Last reply").click();
    await panel(page).getByText(/came to mind|Nothing was recalled/).first().waitFor();
    assert.deepEqual(await axe(page, "last reply"), []);
    await close(page);
  });

  it("memory: the prompt inspector shows what was recalled, with its reasons, and leads there", async () => {
    await say(page, "What do you know about where I live, in Bristol?");
    await spoken(page);
    await pick(page, newest(page), "What was sent");
    const inspector = page.getByRole("dialog", { name: "What was sent for this reply" });
    await inspector.getByRole("heading", { name: "What was recalled" }).waitFor();
    const hit = inspector.locator("li", { hasText: "Bristol" }).first();
    await hit.waitFor();
    await hit.locator("summary").click();
    assert.deepEqual(await axe(page, "inspector"), []);
    await page.keyboard.press("Escape");
  });

  it("memory: shared with the character's other talks when the person says so, and a fact from there leads there", async () => {
    const character = (await api("GET", `/conversations/${conversation}`)).json.characters[0].id;
    const other = (await api("POST", "/conversations", { character_ids: [character], title: "Another evening" })).json.id;
    await page.goto(`${server.url}/chat/${other}`);
    await messages(page).first().waitFor();
    await open(page);
    assert.equal(await row(page, "lives in Bristol").count(), 0);
    await tab(page, "Rules").click();
    await panel(page).getByRole("radio", { name: /^All talks with/ }).check({ force: true });
    await panel(page).getByText(/also knows what was said in your other talks/).waitFor();
    assert.deepEqual(await axe(page, "rules"), []);
    await tab(page, "Facts").click();
    await row(page, "lives in Bristol").getByRole("link", { name: "In another talk" }).click();
    await page.waitForURL(new RegExp(`/chat/${conversation}`));
    await messages(page).filter({ hasText: "Remember that I live in Bristol" }).and(page.locator("[data-marked]")).waitFor();
    await page.goto(`${server.url}/chat/${other}`);
    await messages(page).first().waitFor();
    await say(page, "Where do I live? In Bristol, was it?");
    await spoken(page);
    await pick(page, newest(page), "What was sent");
    const inspector = page.getByRole("dialog", { name: "What was sent for this reply" });
    await inspector.locator("li", { hasText: "Bristol" }).getByRole("link", { name: "In another talk" }).first().click();
    await page.waitForURL(new RegExp(`/chat/${conversation}`));
    await messages(page).filter({ hasText: "Remember that I live in Bristol" }).and(page.locator("[data-marked]")).waitFor();
    await page.goto(`${server.url}/chat/${other}`);
    await messages(page).first().waitFor();
    await open(page);
    await tab(page, "Rules").click();
    await panel(page).getByRole("radio", { name: "This talk" }).check({ force: true });
    await panel(page).getByText(/knows only what was said here/).waitFor();
    await tab(page, "Facts").click();
    await row(page, "lives in Bristol").waitFor({ state: "detached" });
    await close(page);
  });

  it("memory: a talk comes in from a file, and its whole is read on request", async () => {
    await page.goto(`${server.url}/chats`);
    const lines = ["I live in Tromsø now.", "How is the dark?", "My dog's name is Biscuit.", "A fine name."];
    const talk = { format: "troupe", title: "Spring", character_name: "Greta", persona_name: "Nils",
      messages: lines.map((content, at) => ({ role: at % 2 ? "assistant" : "user", name: at % 2 ? "Greta" : "Nils", content, created_at: `2023-03-04T10:0${at}:00.000Z` })) };
    const file = (name, value) => ({ name, mimeType: "application/json", buffer: Buffer.from(typeof value === "string" ? value : JSON.stringify(value)) });
    await page.locator("input[type=file]").setInputFiles([file("spring.json", talk), file("broken.json", "{"),
      file("timeless.json", { ...talk, messages: [{ role: "user", content: "When?" }] })]);
    const dialog = page.getByRole("dialog", { name: "Talks from files" });
    await dialog.getByText("With Greta").waitFor();
    await dialog.getByText("This file is no talk in JSON.").waitFor();
    await dialog.getByText(/^Message 1 lacks/).waitFor();
    assert.deepEqual(await axe(page, "import"), []);
    await dialog.getByRole("button", { name: "Import 1 talk" }).click();
    await dialog.getByText("4 messages are here, with their times.").waitFor();
    await dialog.getByText("All of it can be found.").waitFor({ timeout: 30000 });
    await dialog.getByRole("link", { name: "Open it: Spring" }).click();
    await messages(page).filter({ hasText: "Biscuit" }).waitFor();
    await open(page);
    await tab(page, "Rules").click();
    await panel(page).getByRole("button", { name: "Learn from the whole talk" }).click();
    await page.getByText("The whole talk has been read.").waitFor({ timeout: 30000 });
    await tab(page, "Facts").click();
    await row(page, "Biscuit").waitFor();
    await tab(page, "Rules").click();
    await panel(page).getByRole("button", { name: "Forget all that was learnt here" }).click();
    const question = page.getByRole("dialog", { name: "Forget all that was learnt here" });
    await question.getByRole("button", { name: "Forget it" }).click();
    await question.waitFor({ state: "detached" });
    await page.getByText("All that was learnt here is forgotten.").waitFor();
    await tab(page, "Facts").click();
    await panel(page).getByText(/does not know anything about you yet/).waitFor();
    await close(page);
  });

  it("memory: a long import tells how far it is and can be stopped; one that is there can be taken back, and brought back", async () => {
    const titles = async () => (await api("GET", "/conversations?limit=100")).json.items.map((row) => row.title);
    const talk = (title, count) => ({ format: "troupe", title, character_name: "Greta", persona_name: "Nils",
      messages: Array.from({ length: count }, (_, n) => ({ role: n % 2 ? "assistant" : "user", content: `Line ${n} about the weather, which was much as it had been on the day before.`, created_at: new Date(Date.UTC(2022, 0, 1) + n * 60000).toISOString() })) });
    const choose = async (name, value) => {
      await page.locator("input[type=file]").setInputFiles([{ name, mimeType: "application/json", buffer: Buffer.from(JSON.stringify(value)) }]);
      const dialog = page.getByRole("dialog", { name: "Talks from files" });
      await dialog.getByRole("button", { name: "Import 1 talk" }).click();
      return dialog;
    };
    await page.goto(`${server.url}/chats`);
    let dialog = await choose("long.json", talk("A long winter", 60000));
    const storing = dialog.getByRole("progressbar", { name: "Storing" });
    await storing.waitFor({ timeout: 30000 });
    await until(async () => Number(await storing.getAttribute("value")) > 0, "it tells how much is stored");
    assert.deepEqual(await axe(page, "import under way"), []);
    await dialog.getByRole("button", { name: "Stop the import: A long winter" }).click();
    await dialog.getByText("Stopped: nothing of it was kept.").waitFor();
    await dialog.getByRole("button", { name: "Import 1 talk" }).waitFor(); // it may be tried again
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    assert.ok(!(await titles()).includes("A long winter"));

    dialog = await choose("short.json", talk("A short winter", 4));
    await dialog.getByText("4 messages are here, with their times.").waitFor();
    await dialog.getByRole("button", { name: "Take it back: A short winter" }).click();
    await dialog.getByText("It lies in the trash, for 30 days.").waitFor();
    assert.deepEqual(await axe(page, "import taken back"), []);
    assert.ok(!(await titles()).includes("A short winter"));
    await dialog.getByRole("button", { name: "Bring it back" }).click();
    await dialog.getByRole("link", { name: "Open it: A short winter" }).waitFor();
    assert.ok((await titles()).includes("A short winter"));
    await dialog.getByRole("button", { name: "Done" }).click();
    await dialog.waitFor({ state: "detached" });
  });

  it("memory: the encoder is tried, changed and given up on its page", async () => {
    const fake = await startEmbedder({ behave: (_, number) => (number > 3 ? { wait_ms: 60000 } : undefined) });
    try {
      await page.goto(`${server.url}/admin/memory`);
      await page.getByRole("heading", { name: "Memory by meaning" }).waitFor();
      await page.getByRole("button", { name: "Choose another encoder" }).click();
      const form = page.getByRole("region", { name: "Choose another encoder" });
      await form.getByLabel("Encoder").selectOption("openai");
      await form.getByLabel("Address").fill(fake.url);
      await form.getByLabel("Model").fill("tiny");
      await form.getByRole("button", { name: "Try it", exact: true }).click();
      await form.getByText(/It embeds: 32 numbers/).waitFor();
      assert.deepEqual(await axe(page, "encoder"), []);
      await form.getByLabel("Model").fill("no such model");
      await form.getByRole("button", { name: "Try it", exact: true }).click();
      await form.getByText(/It failed/).waitFor();
      await form.getByLabel("Model").fill("tiny");
      await form.getByRole("button", { name: "Try it and use it" }).click();
      await page.getByRole("heading", { name: "The change under way" }).waitFor();
      assert.deepEqual(await axe(page, "encoder changes"), []);
      await page.getByRole("button", { name: "Give up the change" }).click();
      await page.getByRole("heading", { name: "The change under way" }).waitFor({ state: "detached" });
    } finally {
      await fake.close();
    }
  });

  it("memory: nothing was written to the console", () => {
    assert.deepEqual(faults, []);
  });

  for (const look of [
    { name: "light", options: { colorScheme: "light" } },
    { name: "phone", options: { colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } },
    { name: "phone light", options: { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } },
  ]) {
    it(`memory: every part is clean in ${look.name}`, async () => {
      const { page: seen, context, faults: theirs } = await openPage(browser, server, look.options);
      await signIn(seen, server);
      await seen.goto(address);
      await newest(seen).waitFor();
      await open(seen);
      const found = [];
      for (const name of ["Facts", "You two", "Story", "Last reply", "Rules"]) {
        await tab(seen, name).click();
        await seen.waitForLoadState("networkidle");
        found.push(...(await axe(seen, name)));
        const wider = await panel(seen).evaluate((element) => element.querySelector(".body").scrollWidth - element.querySelector(".body").clientWidth);
        if (wider > 0) found.push(`${name}: ${wider} px wider than the panel`);
      }
      await context.close();
      assert.deepEqual(found, []);
      assert.deepEqual(theirs, []);
    });
  }
});
