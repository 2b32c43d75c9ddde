// Cards on their way in: how far each file is, a stop that keeps what joined, another try for the rest, an answer that was lost, a
// server that asks for patience. What becomes of each file is told by its row, and counted in the cast.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, describe, it } from "node:test";
import { PASSWORD, serve } from "../api/harness.js";
import { axe, drop, launch, openPage, setUp, signIn } from "./browser.js";

const card = (name) => ({ spec: "chara_card_v2", spec_version: "2.0", data: { name, description: "Waits in line.", first_mes: "Hello." } });
const file = (name) => ({ name: `${name}.json`, type: "application/json", bytes: Buffer.from(JSON.stringify(card(name))) });
const rows = (page, state = "") => page.getByRole("dialog").locator(`li${state && `[data-state=${state}]`}`);
const count = (page, state, n) => page.waitForFunction(([wanted, least]) => document.querySelectorAll(`dialog li[data-state=${wanted}]`).length === least, [state, n], { timeout: 30000 });

describe("cards on their way in", () => {
  let server, browser, page, context, faults, portrait, token;

  before(async () => {
    server = await serve();
    browser = await launch();
    ({ page, context, faults } = await openPage(browser, server, { serviceWorkers: "block" }));
    await setUp(page, server);
    token = (await server.api("POST", "/auth/login", { email: "olive@example.com", password: PASSWORD }, { token: null })).json.access_token;
    const first = (await server.api("GET", "/characters", undefined, { token })).json.items[0];
    portrait = (await server.api("GET", `/characters/${first.id}/export?format=v3_png`, undefined, { token })).bytes;
    await page.goto(server.url);
    await page.getByRole("article").first().waitFor();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  const named = async (name) => (await server.api("GET", `/characters/search?q=${encodeURIComponent(name)}&limit=100`, undefined, { token })).json.items.filter((row) => row.name.startsWith(name)).length;
  const ours = () => faults.filter((line) => !/registration blocked by Playwright/.test(line));

  it("cards: how far each file is can be seen; a stop keeps what joined, and the rest joins when it is asked again", async () => {
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    const line = (bytes) => devtools.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes });
    // The first fifty go together; then a large one and a small one over a line that is slow all of a sudden.
    const many = Array.from({ length: 50 }, (_, at) => file(`Queue ${String(at).padStart(2, "0")}`));
    const slow = { name: "portrait.png", type: "image/png", bytes: portrait };
    await line(Math.round(portrait.length / 30)); // it is on its way for longer than any machine takes to look
    await drop(page, [...many, slow, file("Queue last")]);
    await page.getByRole("heading", { name: "52 cards on their way" }).waitFor();
    await count(page, "joined", 50);
    await page.waitForFunction(() => {
      const bar = document.querySelector("dialog li[data-state=sending] progress");
      return bar && bar.value > 0 && bar.value < 1;
    }, undefined, { timeout: 30000 });
    assert.deepEqual(await axe(page, "cards under way"), []);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("heading", { name: "50 of 52 cards joined the cast" }).waitFor();
    await page.getByText("2 files were not sent. What joined before is kept.").waitFor();
    assert.equal(await rows(page, "stopped").count(), 2);
    assert.equal(await named("Queue"), 50, "what was called back did not join");
    await line(-1);
    await page.getByRole("button", { name: "Try 2 files again" }).click();
    await page.getByRole("heading", { name: "52 of 52 cards joined the cast" }).waitFor();
    assert.equal(await named("Queue"), 51);
    assert.equal(await rows(page).count(), 52, "a row for each file stays");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.deepEqual(ours(), []);
  });

  it("cards: the list can be closed while they are on their way, and is there again with one press", async () => {
    let free;
    const held = new Promise((resolve) => { free = resolve; });
    await page.route("**/characters/import", async (route) => { await held; await route.continue(); });
    await drop(page, [file("Patient one"), file("Patient two")]);
    await page.getByRole("heading", { name: "2 cards on their way" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Chats", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Chats" }).waitFor();
    free();
    const behind = page.getByRole("button", { name: /Show the cards that were brought/ });
    await behind.getByText("2 of 2 cards joined the cast").waitFor();
    await behind.click();
    await count(page, "joined", 2);
    await page.getByRole("link", { name: "Patient one" }).click();
    await page.getByRole("heading", { level: 1, name: "Patient one" }).waitFor();
    await behind.waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await behind.waitFor({ state: "detached" });
    await page.unroute("**/characters/import");
    assert.deepEqual(ours(), []);
  });

  it("cards: a server that asks for patience is given it; a file too large is told before it is sent", async () => {
    let asked = 0;
    await page.route("**/characters/import", (route) => {
      asked += 1;
      return asked === 1 ? route.fulfill({ status: 429, headers: { "retry-after": "2" }, contentType: "application/problem+json", body: '{"status":429,"title":"Too many requests"}' }) : route.continue();
    });
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(64 << 20)], "enormous.png", { type: "image/png" }));
      data.items.add(new File([JSON.stringify({ spec: "chara_card_v2", spec_version: "2.0", data: { name: "Calm", description: "", first_mes: "Hello." } })], "calm.json"));
      for (const type of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    await page.getByText("The server asks for a moment of patience.").waitFor();
    await page.getByRole("heading", { name: "1 of 2 cards joined the cast" }).waitFor({ timeout: 20000 });
    await page.getByText("This file is larger than a card may be.").waitFor();
    assert.equal(asked, 2);
    assert.equal(await named("Calm"), 1);
    await page.getByRole("button", { name: "Done" }).click();
    await drop(page, [{ name: "shopping.json", type: "application/json", bytes: Buffer.from('{"bread": 2}') }]);
    await page.getByRole("heading", { name: "0 of 1 card joined the cast" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /again/ }).count(), 0, "what is no card becomes none by trying again");
    await page.getByRole("button", { name: "Done" }).click();
    await page.unroute("**/characters/import");
    assert.deepEqual(ours().filter((row) => !/429/.test(row)), []);
    faults.length = 0;
  });

  it("cards: an answer that was lost on the way is asked for again, and no card joins twice", async () => {
    let lost = 0;
    const front = createServer((asked, answer) => {
      const onward = request({ port: new URL(server.url).port, host: "127.0.0.1", path: asked.url, method: asked.method, headers: asked.headers }, (told) => {
        if (asked.url.endsWith("/characters/import") && lost === 0) {
          lost += 1;
          told.resume();
          told.on("end", () => answer.destroy());
          return;
        }
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      });
      onward.on("error", () => answer.destroy());
      asked.pipe(onward);
    });
    await new Promise((resolve) => front.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${front.address().port}`;
    const other = await openPage(browser, { url }, { serviceWorkers: "block" });
    await signIn(other.page, { url });
    await drop(other.page, [file("Twice never"), file("Twice neither")]);
    await other.page.getByRole("heading", { name: "2 of 2 cards joined the cast" }).waitFor({ timeout: 20000 });
    assert.equal(lost, 1);
    assert.equal(await named("Twice"), 2);
    await other.context.close();
    front.closeAllConnections();
    front.close();
  });
});
