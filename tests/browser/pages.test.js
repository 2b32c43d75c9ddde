// Every page in every light: no console error, no serious finding of axe, nothing wider than the screen, all by keyboard.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { serve } from "../api/harness.js";
import { axe, launch, newest, openPage, setUp, signIn } from "./browser.js";

const looks = [
  { name: "dark", options: { colorScheme: "dark" } },
  { name: "light", options: { colorScheme: "light" } },
  { name: "phone", options: { colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } },
  { name: "phone light", options: { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } },
];

describe("every page in every light", () => {
  let server, browser, chat, character;

  before(async () => {
    server = await serve();
    browser = await launch();
    const { page, context } = await openPage(browser, server);
    chat = new URL(await setUp(page, server)).pathname;
    await page.goto(server.url);
    await page.getByRole("article").first().waitFor();
    character = await page.locator("article a").first().getAttribute("href");
    await context.close();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const places = () => ["/", "/discover", chat, character, `${character}/edit`, `${character}/history`, "/character/new", "/profile", "/profile/personas", "/profile/sessions",
    "/profile/keys", "/profile/data", "/chats", "/admin", "/admin/people", "/admin/models", "/admin/memory", "/admin/invites", "/admin/settings", "/admin/outbox", "/admin/jobs", "/admin/audit", "/admin/doctor", "/forgotten", "/reset", "/verify", "/setup?step=2", "/setup?step=3", "/nowhere"];

  it("pages: no page of the table, no section of the house or of a person is left out", () => {
    const source = (name) => readFileSync(new URL(`../../assets/web/src/${name}`, import.meta.url), "utf8");
    const names = (text, pattern) => [...text.matchAll(pattern)].map((found) => found[1]);
    const wanted = [
      ...names(source("routes.ts"), /\{ path: '(\/[^']*)'/g),
      ...names(source("pages/Admin.svelte"), /\{ name: '(\w+)'/g).map((name) => `/admin/${name}`),
      ...names(source("pages/Profile.svelte"), /\{ name: '(\w+)'/g).map((name) => `/profile/${name}`),
    ];
    assert.ok(wanted.length > 24, `the table was read: ${wanted}`);
    const seen = [...places(), "/sign-in", "/register"].map((place) => place.split("?")[0]);
    const isSeen = (path) => seen.some((place) => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`).test(place));
    assert.deepEqual(wanted.filter((path) => !isSeen(path)), []);
  });

  for (const look of looks) {
    it(`pages: clean in ${look.name}`, async () => {
      const { page, context, faults } = await openPage(browser, server, look.options);
      await page.goto(`${server.url}/sign-in`);
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      const found = await axe(page, "sign-in");
      await page.goto(`${server.url}/register`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      found.push(...(await axe(page, "register")));
      await signIn(page, server);
      for (const place of places()) {
        await page.goto(server.url + place);
        await page.getByRole("heading", { level: 1 }).first().waitFor({ state: "attached" });
        await page.waitForLoadState("networkidle");
        found.push(...(await axe(page, place)));
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wider > 0) found.push(`${place}: ${wider} px wider than the screen`);
      }
      await context.close();
      assert.deepEqual(found, []);
      assert.deepEqual(faults, []);
    });
  }

  it("pages: the theme follows the system until one is chosen, and the choice is kept", async () => {
    const { page, context, faults } = await openPage(browser, server, { colorScheme: "light" });
    const shows = (theme) => page.waitForFunction((wanted) => document.documentElement.dataset.theme === wanted, theme);
    await signIn(page, server);
    await shows("light");
    await page.emulateMedia({ colorScheme: "dark" });
    await shows("dark");
    await page.goto(`${server.url}/profile`);
    const kept = page.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.request().method() === "PATCH");
    await page.getByRole("radio", { name: "Light" }).check({ force: true });
    await kept;
    await shows("light");
    await page.reload();
    await shows("light");
    await page.getByRole("group", { name: "Theme" }).getByRole("radio", { name: "As the system" }).check({ force: true });
    await shows("dark");
    await context.close();
    assert.deepEqual(faults, []);
  });

  it("pages: the way from the stage into a conversation needs no mouse", async () => {
    const { page, context, faults } = await openPage(browser, server);
    await signIn(page, server);
    const focus = async (test) => {
      for (let presses = 0; presses < 80; presses += 1) {
        await page.keyboard.press("Tab");
        const seen = await page.evaluate(() => {
          const it = document.activeElement;
          const style = getComputedStyle(it);
          const box = it.getBoundingClientRect();
          return { text: `${it.getAttribute("aria-label") ?? ""} ${it.innerText ?? ""}`, href: it.getAttribute("href") ?? "",
            ring: style.outlineStyle !== "none" || getComputedStyle(it.closest("label") ?? it).outlineStyle !== "none", width: box.width };
        });
        assert.ok(seen.ring || seen.width === 0, `what has the focus shows it: ${JSON.stringify(seen)}`);
        if (test(seen)) return;
      }
      assert.fail("not reached by Tab");
    };
    await focus((seen) => seen.href.startsWith("/character/") && seen.href !== "/character/new");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Start a conversation" }).waitFor();
    await focus((seen) => seen.text.includes("Start a conversation"));
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/chat\//);
    await newest(page).waitFor();
    await page.keyboard.type("Hello from the keyboard");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("and a second line");
    await page.keyboard.press("Enter");
    await page.locator("li.message.mine", { hasText: "a second line" }).waitFor();
    await context.close();
    assert.deepEqual(faults, []);
  });

  it("pages: a stranger is sent to the door, and back to where they wanted to go", async () => {
    const { page, context, faults } = await openPage(browser, server);
    await page.goto(`${server.url}/profile/sessions`);
    await page.waitForURL(/\/sign-in\?to=/);
    await page.getByLabel("E-mail").fill("olive@example.com");
    await page.getByLabel("Password").fill("a long enough pass phrase");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(/\/profile\/sessions$/);
    await page.getByRole("heading", { name: "Sessions" }).waitFor();
    await context.close();
    assert.deepEqual(faults, []);
  });

  it("pages: no access token is ever in storage", async () => {
    const { page, context } = await openPage(browser, server);
    await signIn(page, server);
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie);
    assert.doesNotMatch(kept, /eyJ|[\w-]{40,}/);
    await context.close();
  });
});
