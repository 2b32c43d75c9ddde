// What belongs to every page: the palette and the help, the look and whose it is, errors and dead ends, the app on a home
// screen, without a network, and a new version of it.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, describe, it } from "node:test";
import { readFileSync } from "node:fs";
import { serve } from "../api/harness.js";
import { axe, composer, launch, messages, newest, openPage, say, setUp, signIn, spoken } from "./browser.js";

/** Without a network the browser itself writes its failed requests to the console; anything else is a fault. */
const ours = (faults) => faults.filter((line) => !/ERR_INTERNET_DISCONNECTED|ERR_FAILED|ERR_CONNECTION|WebSocket connection to/.test(line));
/** What is read is kept a moment later; a page that is left before that keeps nothing. */
async function isKept(page, url, text) {
  await page.waitForFunction(async ([url, text]) => {
    for (const name of (await caches.keys()).filter((name) => name.startsWith("troupe-kept"))) {
      const cache = await caches.open(name);
      for (const key of await cache.keys())
        if (new RegExp(url).test(key.url) && (await (await cache.match(key)).text()).includes(text)) return true;
    }
    return false;
  }, [url.source, text], { timeout: 20000, polling: 100 });
}

/** Until the worker has the page. Seldom a page is loaded past it, which harms nobody who has a network; the next load is not. */
async function controlled(page) {
  for (let loads = 0; loads < 4; loads += 1) {
    const is = await page.waitForFunction(() => navigator.serviceWorker.controller !== null, undefined, { timeout: 5000 }).catch(() => null);
    if (is) return;
    await page.reload();
  }
  assert.fail("the worker does not take the page");
}

const active = (page) => page.evaluate(() => {
  const it = document.activeElement;
  return `${it.tagName} ${it.getAttribute("aria-label") ?? it.textContent.trim().slice(0, 40)}`;
});

describe("the shell", () => {
  let server, browser, page, context, faults, chat;

  before(async () => {
    server = await serve();
    browser = await launch();
    ({ page, context, faults } = await openPage(browser, server));
    chat = await setUp(page, server);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("shell: the palette finds pages, conversations, characters and commands, by keyboard alone", async () => {
    await page.goto(server.url);
    await page.getByRole("heading", { name: "The cast" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type("stag"); // the palette itself is fetched only now: no letter is lost
    const box = page.getByRole("combobox", { name: "Where to?" });
    await box.waitFor();
    assert.match(await active(page), /^INPUT/);
    assert.equal(await box.inputValue(), "stag");
    await box.fill("");
    await page.getByRole("option", { name: "Stage", exact: false }).first().waitFor();
    assert.deepEqual(await axe(page, "palette"), []);
    await page.keyboard.type("ibid");
    await page.getByRole("option", { name: /^Ibid/ }).waitFor();
    for (let presses = 0; presses < 12 && !/^Ibid/.test(await page.locator("[role=option][aria-selected=true]").innerText()); presses += 1) {
      await page.keyboard.press("ArrowDown");
    }
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/character\//);
    await page.getByRole("heading", { level: 1, name: /^Ibid/ }).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    await page.keyboard.press("Control+k");
    await box.waitFor();
    await page.keyboard.type("nothing is called so");
    await page.getByText("Nothing answers to that.").waitFor();
    await page.keyboard.press("Escape");
    await box.waitFor({ state: "detached" });
    assert.match(await active(page), /^H1/, "the focus is back where it was");
    await page.keyboard.press("Control+k");
    await box.waitFor();
    await page.keyboard.type("chats");
    await page.getByRole("option", { name: /^Chats/, selected: true }).waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/chats$/);
    await page.waitForFunction(() => document.title === "Chats · Troupe");
    assert.deepEqual(faults, []);
  });

  it("shell: the help lists the shortcuts, opens by ? and F1, and ? stays a letter where one writes", async () => {
    await page.goto(chat);
    await newest(page).waitFor();
    await composer(page).focus();
    await page.keyboard.type("why?");
    assert.equal(await composer(page).inputValue(), "why?");
    await page.keyboard.press("F1");
    const dialog = page.getByRole("dialog", { name: "Keyboard" });
    await dialog.waitFor();
    assert.deepEqual(await axe(page, "help"), []);
    for (const words of ["Find pages, conversations, characters and commands", "Stop the reply", "A new line"]) {
      await dialog.getByText(words).waitFor();
    }
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.match(await active(page), /^TEXTAREA/, "the focus is back in the message");
    await composer(page).fill("");
    await page.goto(`${server.url}/chats`);
    await page.getByRole("heading", { level: 1, name: "Chats" }).waitFor();
    await page.keyboard.press("Shift+?");
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    assert.deepEqual(faults, []);
  });

  it("shell: the look is this person's: theme, contrast and size hold before the app has run, and go with them", async () => {
    await page.goto(`${server.url}/profile`);
    const choose = async (name, group) => {
      const kept = page.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.request().method() === "PATCH");
      await page.getByRole("group", { name: group }).getByRole("radio", { name, exact: true }).check({ force: true });
      await kept;
    };
    await choose("Light", "Theme");
    await choose("More", "Contrast");
    await choose("130%", "Size of text");
    assert.deepEqual(await axe(page, "profile with more contrast"), []);
    const bare = await context.newPage();
    await bare.route(/\/assets\/index-.*\.js$/, (route) => route.abort());
    await bare.goto(server.url);
    const look = () => bare.evaluate(() => ({ ...document.documentElement.dataset, size: document.documentElement.style.fontSize }));
    assert.deepEqual(await look(), { theme: "light", contrast: "more", size: "130%" }, "painted right without the app");
    await bare.close();
    const other = await openPage(browser, server);
    await signIn(other.page, server);
    await other.page.waitForFunction(() => document.documentElement.dataset.contrast === "more" && document.documentElement.style.fontSize === "130%");
    await other.context.close();
    await choose("As the system", "Contrast");
    await choose("100%", "Size of text");
    await choose("As the system", "Theme");
    assert.deepEqual(faults, []);
  });

  it("shell: a style sheet of one's own is worn, loads nothing, and can be left out", async () => {
    await page.goto(`${server.url}/profile`);
    await page.getByText("A style sheet of your own").click();
    const field = page.getByLabel("CSS", { exact: true });
    const save = page.locator("details").getByRole("button", { name: "Save" });
    const accent = () => page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent").trim());
    const usual = await accent();
    for (const [text, what] of [
      ["body { background: url(/api/v1/users/me) }", "url()"],
      ["@im/**/port 'x'; @import '//example.com/x.css';", "@import"],
      ["body { background: u\\72l(//example.com/x) }", "\\"],
      ["body { background: image-set('x.png' 1x) }", "image-set()"],
      ["@font-face { font-family: x }", "@font-face"],
    ]) {
      await field.fill(text);
      await save.click();
      await page.getByText(`“${what}” is not taken`).waitFor();
      assert.equal(await accent(), usual);
    }
    await field.fill(`a { color: red } ${" ".repeat(20000)}`);
    await save.click();
    await page.getByText("20,000 is the most").waitFor();
    await field.fill(":root:root:root { --accent: oklch(70% 0.2 200); }");
    await save.click();
    await page.waitForFunction(() => getComputedStyle(document.documentElement).getPropertyValue("--accent").includes("200"));
    await page.reload();
    await page.waitForFunction(() => getComputedStyle(document.documentElement).getPropertyValue("--accent").includes("200"));
    await page.goto(`${server.url}/profile?safe=1`);
    await page.getByRole("heading", { level: 1, name: "You" }).waitFor();
    assert.equal(await accent(), usual, "the safe link leaves it out");
    await page.locator("details").getByRole("button", { name: "Remove" }).click();
    await page.goto(`${server.url}/profile`);
    await page.getByRole("heading", { level: 1, name: "You" }).waitFor();
    assert.equal(await accent(), usual);
    assert.deepEqual(faults, []);
  });

  it("shell: a page that is not there, one that cannot be loaded and one that breaks say so and lead on", async () => {
    await page.goto(`${server.url}/behind/the/mirror`);
    await page.getByText("There is nothing behind this door.").waitFor();
    assert.deepEqual(await axe(page, "not found"), []);
    await page.getByRole("link", { name: "To the stage" }).click();
    await page.getByRole("heading", { name: "The cast" }).waitFor();
    assert.deepEqual(faults, []);

    const bare = await openPage(browser, server, { serviceWorkers: "block" });
    await signIn(bare.page, server);
    await bare.page.route(/\/assets\/Chats-.*\.js$/, (route) => route.abort());
    await bare.page.getByRole("link", { name: "Chats" }).click();
    await bare.page.getByText("This page could not be loaded.").first().waitFor();
    assert.deepEqual(await axe(bare.page, "not loaded"), []);
    await bare.page.unroute(/\/assets\/Chats-.*\.js$/);
    await bare.page.getByRole("button", { name: "Load again" }).click();
    await bare.page.getByRole("heading", { level: 1, name: "Chats" }).waitFor();
    await bare.page.route(/\/assets\/Chats-.*\.js$/, (route) => route.fulfill({ contentType: "text/javascript", body: "export default () => { throw new Error('a plank broke'); };" }));
    await bare.page.reload();
    await bare.page.getByText("Something on this page broke.").first().waitFor();
    await bare.page.getByRole("link", { name: "Stage" }).click();
    await bare.page.getByRole("heading", { name: "The cast" }).waitFor();
    await bare.context.close();
  });

  it("shell: the app can be put on a home screen: manifest, icons and worker satisfy the browser", async () => {
    await page.goto(server.url);
    await controlled(page);
    const devtools = await context.newCDPSession(page);
    const { url, errors, data } = await devtools.send("Page.getAppManifest");
    assert.equal(url, `${server.url}/manifest.webmanifest`);
    assert.deepEqual(errors, []);
    const manifest = JSON.parse(data);
    const { installabilityErrors } = await devtools.send("Page.getInstallabilityErrors");
    assert.deepEqual(installabilityErrors.filter((row) => row.errorId !== "in-incognito"), []);
    for (const icon of manifest.icons) {
      const answer = await fetch(server.url + icon.src);
      assert.equal(answer.headers.get("content-type"), icon.type);
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (icon.type === "image/png") {
        assert.equal(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, icon.sizes, icon.src);
      }
    }
    const script = await fetch(`${server.url}/sw.js`);
    assert.match(script.headers.get("content-type"), /^text\/javascript/);
    assert.equal(script.headers.get("cache-control"), "no-cache");
    assert.deepEqual(faults, []);
  });

  it("shell: without a network the app opens, recent chats can be read, a draft is kept; with it, all goes on", async () => {
    await page.goto(server.url);
    await controlled(page);
    await page.goto(chat);
    await say(page, "Is the light on when nobody looks?");
    await spoken(page);
    await page.reload();
    await newest(page).waitFor();
    const seen = await messages(page).count();
    await isKept(page, /\/messages\?/, "Is the light on");
    await page.goto(server.url);
    await page.getByRole("heading", { name: "The cast" }).waitFor();
    await isKept(page, /\/characters\?/, "Fenella");
    await isKept(page, /\/conversations\?/, "Is the light on");
    await context.setOffline(true);
    await page.goto(chat);
    await page.getByText("You are offline.").waitFor();
    await newest(page).waitFor();
    assert.equal(await messages(page).count(), seen);
    await page.waitForFunction(() => [...document.querySelectorAll("img")].every((img) => !img.complete || img.naturalWidth > 0), undefined);
    assert.deepEqual(await axe(page, "offline chat"), []);
    await composer(page).fill("I will say this later");
    await composer(page).press("Enter");
    await page.getByText(/^Not sent\./).waitFor({ timeout: 30000 });
    await page.goto(server.url);
    await page.getByRole("heading", { name: "The cast" }).waitFor();
    await page.getByRole("article").first().waitFor();
    await page.goto(`${server.url}/chats`);
    await page.getByRole("link", { name: /Is the light|Fenella|./ }).first().waitFor();
    await context.setOffline(false);
    await page.getByText("You are offline.").waitFor({ state: "detached", timeout: 20000 });
    await page.goto(chat);
    assert.equal(await composer(page).inputValue(), "I will say this later");
    await composer(page).press("Enter");
    await page.locator("li.message.mine", { hasText: "I will say this later" }).waitFor();
    await spoken(page);
    assert.equal(await messages(page).count(), seen + 2);
    assert.deepEqual(ours(faults), []);
    faults.length = 0;
  });

  it("shell: nothing of /auth and no token is kept in any cache, and signing out empties them", async () => {
    const kept = await page.evaluate(async () => {
      const rows = [];
      for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const key of await cache.keys()) rows.push({ name, url: key.url, headers: JSON.stringify([...key.headers]), text: name.startsWith("troupe-kept") ? await (await cache.match(key)).text() : "" });
      }
      return rows;
    });
    assert.ok(kept.some((row) => /\/messages\?/.test(row.url)));
    assert.deepEqual(kept.filter((row) => /\/auth\/|access_token|Bearer|eyJ/.test(row.url + row.headers + row.text)), []);
    await page.goto(`${server.url}/profile`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/sign-in/);
    const left = await page.evaluate(async () => (await caches.keys()).filter((name) => !name.startsWith("troupe-shell-")));
    assert.deepEqual(left, []);
    assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), []);
    await signIn(page, server);
    assert.deepEqual(faults, []);
  });

  it("shell: what another app shares is asked about, then imported", async () => {
    await page.goto(server.url);
    await controlled(page);
    const card = readFileSync(new URL("../../assets/characters/ibid/card.json", import.meta.url), "utf8").replaceAll("Ibid", "Opcit");
    await page.evaluate((text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], "opcit.json", { type: "application/json" }));
      const form = Object.assign(document.createElement("form"), { method: "post", action: "/share", enctype: "multipart/form-data" });
      const input = Object.assign(document.createElement("input"), { type: "file", name: "cards", files: data.files });
      form.append(input);
      document.body.append(form);
      form.submit();
    }, card);
    const dialog = page.getByRole("dialog", { name: "1 file was shared with Troupe" });
    await dialog.waitFor();
    await dialog.getByText("opcit.json").waitFor();
    assert.equal(await page.getByRole("article").filter({ hasText: "Opcit" }).count(), 0, "nothing is imported unasked");
    await dialog.getByRole("button", { name: "Import" }).click();
    await page.getByRole("dialog", { name: "1 of 1 card joined the cast" }).waitFor();
    assert.deepEqual(faults, []);
  });
});

describe("a new version", () => {
  let server, browser, front, newer;

  /** A proxy that begins to serve another build's worker when `newer` is set. */
  before(async () => {
    server = await serve();
    browser = await launch();
    front = createServer((asked, answer) => {
      const { "if-none-match": _, ...headers } = asked.headers;
      const onward = request({ port: new URL(server.url).port, host: "127.0.0.1", path: asked.url, method: asked.method, headers: { ...headers, "accept-encoding": "identity" } }, (told) => {
        if (asked.url !== "/sw.js" || !newer) {
          answer.writeHead(told.statusCode, told.headers);
          told.pipe(answer);
          return;
        }
        const parts = [];
        told.on("data", (part) => parts.push(part));
        told.on("end", () => {
          const text = Buffer.concat(parts).toString().replace(/"version":"\w+"/, `"version":"${newer}"`).replace(/"\/assets\/index-[\w-]+\.js",/, "");
          answer.writeHead(200, { ...told.headers, "content-length": Buffer.byteLength(text) });
          answer.end(text);
        });
      });
      onward.on("error", () => answer.destroy());
      asked.pipe(onward);
    });
    await new Promise((resolve) => front.listen(0, "127.0.0.1", resolve));
  });
  after(async () => {
    await browser?.close();
    front?.closeAllConnections();
    front?.close();
    await server?.stop();
  });

  it("shell: a page that stayed open is told of a newer Troupe and loads it when asked to, not before", async () => {
    const url = `http://127.0.0.1:${front.address().port}`;
    const { page, context, faults } = await openPage(browser, { url });
    await page.goto(`${url}/setup`);
    await controlled(page);
    await page.evaluate(() => (window.staysTheSame = true));
    newer = "0123456789abcdef";
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await page.getByText("A newer Troupe is here.").waitFor({ timeout: 20000 });
    assert.equal(await page.evaluate(() => window.staysTheSame), true);
    assert.deepEqual(await axe(page, "update prompt"), []);
    await Promise.all([page.waitForEvent("load"), page.getByRole("button", { name: "Load it" }).click()]);
    await page.waitForFunction(() => window.staysTheSame === undefined);
    await page.waitForFunction(async () => (await caches.keys()).join() === "troupe-shell-0123456789abcdef");
    await context.close();
    assert.deepEqual(faults.filter((line) => !/WebSocket connection to/.test(line)), []);
  });
});
