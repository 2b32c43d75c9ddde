// How a long talk opens: its messages are asked for before the page is there, the first frame draws what fills the window, the rest
// joins above it, and nothing that is being read moves by a pixel.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PASSWORD, start } from "../api/harness.js";
import { launch, messages, newest, openPage } from "./browser.js";

const MESSAGES = 130;
const PAGE = 40;
const STEP = 10;
const looks = [
  { name: "a phone", viewport: { width: 390, height: 844 } },
  { name: "a desk", viewport: { width: 1280, height: 860 } },
];

/**
 * Writes down what each frame shows: how many messages, and where the newest and the one that is followed stand. A size observer that
 * is made in a frame is asked after those of the page and before anything is painted. `window.move(frame)` may act as the reader.
 */
function watchFrames() {
  window.frames_seen = [];
  window.followed = null;
  const look = () => {
    const scroller = document.querySelector(".scroller");
    const rows = scroller ? [...scroller.querySelectorAll("li.message")] : [];
    if (rows.length === 0) return;
    const top = (row) => row?.getBoundingClientRect().top ?? null;
    const edge = top(scroller);
    const frame = {
      count: rows.length, top: scroller.scrollTop, below: scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight,
      spare: scroller.clientHeight - scroller.scrollHeight, newest: top(rows.at(-1)) - edge,
      followed: window.followed && top(scroller.querySelector(`li[data-id="${window.followed}"]`)) - edge,
    };
    window.frames_seen.push(frame);
    window.move?.(frame, scroller, rows);
  };
  const frame = () => {
    const observer = new ResizeObserver(() => {
      observer.disconnect();
      look();
    });
    observer.observe(document.documentElement);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

describe("how a long talk opens", () => {
  let server, browser, talk, ids;

  before(async () => {
    server = await start();
    browser = await launch();
    const [character] = (await server.api("GET", "/characters")).json.items;
    talk = (await server.api("POST", "/conversations", { character_ids: [character.id] })).json.id;
    ids = [];
    for (let at = 0; at < MESSAGES; at += 1) {
      const content = at % 3 ? `"Line ${at}," *she says*.` : `Line ${at}. ${"It goes on for a while and wraps where the window ends. ".repeat(at % 7)}`;
      const answer = await server.api("POST", `/conversations/${talk}/messages`, { content, reply: false });
      assert.equal(answer.status, 201);
      ids.push(answer.json.message.id);
    }
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  async function enter(look) {
    const opened = await openPage(browser, server, { viewport: look.viewport });
    await opened.page.goto(`${server.url}/sign-in`);
    await opened.page.getByLabel("E-mail").fill(server.owner.email);
    await opened.page.getByLabel("Password").fill(PASSWORD);
    await opened.page.getByRole("button", { name: "Sign in" }).click();
    await opened.page.getByRole("heading", { name: "The cast" }).waitFor();
    await opened.page.addInitScript(watchFrames);
    return opened;
  }
  const drawn = (page, count) => page.waitForFunction((wanted) => document.querySelectorAll("li.message").length === wanted, count);
  /** The frames until some have passed in which nothing changed. */
  async function frames(page) {
    await page.waitForFunction(() => {
      const last = window.frames_seen.slice(-12);
      return last.length === 12 && last.every((row) => row.count === last[0].count && row.top === last[0].top);
    });
    return page.evaluate(() => window.frames_seen);
  }
  const spread = (values) => Math.max(...values) - Math.min(...values);

  for (const look of looks) {
    it(`opening: ${look.name} draws what fills its window, then the rest, and the newest words stand still`, async () => {
      const { context, page, faults } = await enter(look);
      await page.goto(`${server.url}/chat/${talk}`);
      await drawn(page, PAGE);
      const seen = await frames(page);
      assert.ok(seen[0].count <= Math.ceil(look.viewport.height / 88), `the first frame drew ${seen[0].count}`);
      assert.ok(seen.every((row) => row.spare < 0), "and the window is full");
      const steps = seen.map((row, at) => row.count - (seen[at - 1]?.count ?? row.count));
      assert.ok(steps.every((more) => more >= 0 && more <= STEP), `then at most ${STEP} in a frame: ${steps.filter(Boolean)}`);
      assert.ok(seen.every((row) => Math.abs(row.below) < 1), "always at the end");
      assert.ok(spread(seen.map((row) => row.newest)) < 1, `the newest stands at ${[...new Set(seen.map((row) => row.newest))]}`);
      assert.equal(await newest(page).getAttribute("data-id"), ids.at(-1));
      assert.deepEqual(faults, []);
      await context.close();
    });

    it(`opening: on ${look.name} a reader who moves up at once keeps the place while the rest joins`, async () => {
      const { context, page, faults } = await enter(look);
      await page.addInitScript(() => {
        window.move = (frame, scroller, rows) => {
          scroller.scrollTop -= 260;
          scroller.dispatchEvent(new Event("scroll")); // a finger's comes in the frame that moves, a script's one later
          const edge = scroller.getBoundingClientRect().top;
          window.followed = rows.find((row) => row.getBoundingClientRect().bottom > edge + 40).dataset.id;
          window.begun = frame.count;
          window.move = null;
        };
      });
      await page.goto(`${server.url}/chat/${talk}`);
      await drawn(page, PAGE);
      const seen = (await frames(page)).filter((row) => row.followed !== null);
      assert.ok((await page.evaluate(() => window.begun)) < PAGE, "the reader moved before all was drawn");
      assert.ok(spread(seen.map((row) => row.followed)) <= 1, `what is read stands at ${[...new Set(seen.map((row) => row.followed))]}`);
      assert.ok(seen.at(-1).below > 200, "and is not taken to the end");
      assert.deepEqual(faults, []);
      await context.close();
    });
  }

  it("opening: an older page joins without moving what is read", async () => {
    const { context, page, faults } = await enter(looks[0]);
    await page.goto(`${server.url}/chat/${talk}`);
    await drawn(page, PAGE);
    await frames(page);
    await page.evaluate(() => {
      const scroller = document.querySelector(".scroller");
      scroller.scrollTop = 300;
      const edge = scroller.getBoundingClientRect().top;
      window.followed = [...scroller.querySelectorAll("li.message")].find((row) => row.getBoundingClientRect().top > edge).dataset.id;
      window.frames_seen = [];
    });
    await drawn(page, 2 * PAGE);
    const seen = (await frames(page)).filter((row) => row.count === 2 * PAGE);
    assert.ok(spread(seen.map((row) => row.followed)) <= 1, `it stands at ${[...new Set(seen.map((row) => row.followed))]}`);
    assert.deepEqual(faults, []);
    await context.close();
  });

  it("opening: a link to a message that the first frame does not draw leads to it", async () => {
    const { context, page, faults } = await enter(looks[0]);
    const wanted = ids.at(-30);
    await page.goto(`${server.url}/chat/${talk}?message=${wanted}`);
    const row = page.locator(`li[data-id="${wanted}"][data-marked]`);
    await row.waitFor();
    await frames(page);
    const box = await row.boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= looks[0].viewport.height, JSON.stringify(box));
    assert.ok(await row.evaluate((element) => element === document.activeElement));
    assert.equal(await messages(page).count(), PAGE);
    assert.deepEqual(faults, []);
    await context.close();
  });

  it("opening: who is here is asked once, and the messages next, before anything else", async () => {
    const { context, page, faults } = await enter(looks[0]);
    const asked = [];
    page.on("request", (request) => {
      const { pathname, search } = new URL(request.url());
      if (pathname.startsWith("/api/v1/")) asked.push(pathname.slice("/api/v1".length) + search);
    });
    await page.goto(`${server.url}/chat/${talk}`);
    await drawn(page, PAGE);
    asked.splice(0, asked.indexOf("/auth/refresh")); // of the page before
    assert.deepEqual(asked.slice(0, 3), ["/auth/refresh", `/conversations/${talk}`, `/conversations/${talk}/messages?limit=${PAGE}`]);
    assert.ok(!asked.includes("/users/me"));
    assert.deepEqual(faults, []);
    await context.close();
  });
});
