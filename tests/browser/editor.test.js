// Writing a character: what a model will read is counted as one types; examples are lines; earlier versions are compared and brought back.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { start } from "../api/harness.js";
import { axe, launch, openPage, signIn } from "./browser.js";

describe("writing a character", () => {
  let server, browser, page, faults, id;

  before(async () => {
    server = await start();
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    await signIn(page, server, server.owner.email);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("editor: the prompt stands beside the form and is counted as one types", async () => {
    await page.goto(`${server.url}/character/new`);
    await page.getByLabel("Name", { exact: true }).fill("Ada Byron");
    await page.getByLabel("Description").fill("{{char}} counts the stars over the harbour.");
    await page.locator("aside summary", { hasText: "description" }).click();
    await page.locator("aside pre", { hasText: "Ada Byron counts the stars over the harbour." }).waitFor();
    const counted = await page.locator("aside li", { hasText: "description" }).locator(".tokens").innerText();
    await page.getByLabel("Description").fill("{{char}} counts the stars over the harbour, every night, and writes their number into a book that nobody may read.");
    await page.waitForFunction((old) => [...document.querySelectorAll("aside li")].find((row) => row.textContent.includes("description"))?.querySelector(".tokens").innerText !== old, counted);
    assert.deepEqual(await axe(page, "editor"), []);
  });

  it("editor: example dialogue is written line by line and kept as the card has it", async () => {
    await page.getByRole("button", { name: "Another example" }).click();
    await page.getByLabel("Says").nth(0).fill("How many tonight?");
    await page.getByLabel("Says").nth(1).fill("Four thousand. *She blinks.* And one that moves.");
    await page.getByText("As text").click();
    assert.equal(await page.getByLabel("Example lines").last().inputValue(), "<START>\n{{user}}: How many tonight?\n{{char}}: Four thousand. *She blinks.* And one that moves.");
    await page.getByRole("button", { name: "Save" }).first().click();
    await page.waitForURL(/\/character\/[0-9A-Z]{13}$/);
    id = page.url().split("/").at(-1);
    assert.match((await server.api("GET", `/characters/${id}`)).json.mes_example, /^<START>\n\{\{user\}\}: How many/);
  });

  it("editor: an earlier version is compared word by word and brought back", async () => {
    await server.api("PATCH", `/characters/${id}`, { description: "{{char}} counts the boats in the harbour, every night." });
    await page.goto(`${server.url}/character/${id}/edit`);
    await page.getByRole("link", { name: "History" }).click();
    await page.locator("del", { hasText: "stars" }).waitFor();
    await page.locator("ins", { hasText: "boats" }).waitFor();
    assert.deepEqual(await axe(page, "history of a character"), []);
    await page.getByRole("button", { name: "Bring this version back" }).click();
    await page.waitForURL(new RegExp(`/character/${id}$`));
    assert.match((await server.api("GET", `/characters/${id}`)).json.description, /stars/);
    assert.deepEqual(faults, []);
  });

  it("editor: an entry of lore is written, and what other programs wrote into it stays", async () => {
    await server.api("PATCH", `/characters/${id}`, { character_book: { extensions: {}, entries: [{ keys: ["lens"], content: "It came from Murano.", enabled: true, insertion_order: 5, extensions: { other: 1 } }] } });
    await page.goto(`${server.url}/character/${id}/edit`);
    const first = page.locator("section[aria-labelledby=lore] fieldset").first();
    await first.getByLabel("Words that call it").fill("lens, glass");
    await page.getByRole("button", { name: "Another entry" }).click();
    const second = page.locator("section[aria-labelledby=lore] fieldset").nth(1);
    await second.getByLabel("Words that call it").fill("stairs");
    await second.getByLabel("What the model then reads").fill("There are ninety-one.");
    assert.deepEqual(await axe(page, "lore"), []);
    await page.getByRole("button", { name: "Save" }).first().click();
    await page.waitForURL(new RegExp(`/character/${id}$`));
    const { entries } = (await server.api("GET", `/characters/${id}`)).json.character_book;
    assert.deepEqual(entries.map((entry) => [entry.keys, entry.content]), [[["lens", "glass"], "It came from Murano."], [["stairs"], "There are ninety-one."]]);
    assert.equal(entries[0].extensions.other, 1);
  });

  it("editor: what was begun and not saved is there after leaving the page, can be thrown away, and had back", async () => {
    const kept = () => page.evaluate((name) => localStorage.getItem(`troupe.draft.form.character.${name}`) ?? "", id);
    const nickname = page.getByLabel("Tagline");
    await page.goto(`${server.url}/character/${id}/edit`);
    await nickname.fill("Begun on a train");
    await page.getByRole("link", { name: "Chats", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Chats" }).waitFor();
    assert.match(await kept(), /Begun on a train/);
    await page.goto(`${server.url}/character/${id}/edit`);
    await page.getByText("This is what you began and did not save.").waitFor();
    assert.equal(await nickname.inputValue(), "Begun on a train");
    assert.deepEqual(await axe(page, "begun"), []);
    await page.getByRole("link", { name: "Cancel" }).first().click();
    await page.getByText("Your changes were thrown away.").waitFor();
    await page.waitForURL(new RegExp(`/character/${id}$`));
    assert.equal(await kept(), "");
    await page.getByRole("button", { name: "Undo" }).click();
    await page.waitForURL(/\/edit$/);
    await page.waitForFunction(() => [...document.querySelectorAll("input")].some((input) => input.value === "Begun on a train"));
    await page.getByRole("button", { name: "Throw it away" }).click();
    assert.equal(await nickname.inputValue(), "");
    await nickname.fill("Kept for good");
    await page.getByRole("button", { name: "Save" }).first().click();
    await page.waitForURL(new RegExp(`/character/${id}$`));
    assert.equal(await kept(), "");
    assert.equal((await server.api("GET", `/characters/${id}`)).json.tagline, "Kept for good");
    assert.deepEqual(faults, []);
  });

  it("editor: a character is given a document, and it is taken away again", async () => {
    await page.goto(`${server.url}/character/${id}/edit`);
    await page.locator("section[aria-labelledby=knowledge] input[type=file]").setInputFiles({ name: "stars.md", mimeType: "text/markdown", buffer: Buffer.from("# Stars\n\nThere are four thousand.\n\n# Moons\n\nOne.") });
    await page.getByText("2 pieces").waitFor();
    assert.deepEqual((await server.api("GET", `/characters/${id}/knowledge`)).json.items.map((row) => row.name), ["stars.md"]);
    await page.getByRole("button", { name: "Remove stars.md" }).click();
    await page.getByText("stars.md and its 2 pieces are gone for good").waitFor();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByText("2 pieces").waitFor({ state: "detached" });
    assert.deepEqual((await server.api("GET", `/characters/${id}/knowledge`)).json.items, []);
    assert.deepEqual(faults, []);
  });
});
