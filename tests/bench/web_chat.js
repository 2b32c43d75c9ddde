// The chat page under a slow processor: how soon a talk of 500 messages is on the screen (loaded anew, and in a browser that has nothing
// of the app yet but is signed in; the middle of some), how soon it answers a key, what a streaming reply costs, and whether memory grows
// with what is said: while the talk grows to 1,000 messages, and when it is left and opened again. Prints one JSON line.
//
// Chromium is slowed down four times (Emulation.setCPUThrottlingRate); the shares are of that slowed core, in time of the processor and
// not of the clock, so that other work on the machine does not count.
//   node tests/bench/web_chat.js
import { launch, openPage, composer } from "../browser/browser.js";
import { PASSWORD, start } from "../api/harness.js";
import { startFake } from "../fakes/endpoint.js";

const MESSAGES = 500;
const OPENINGS = 7; // each in a browser of its own: what it has compiled it keeps
const OPEN_MS = 4000; // after which a page has long been painted. Nothing is asked of it before: to look is work for it too
const IN_THE_END = 1000;
const VISITS = 5; // of the whole talk, one after the other
const THROTTLE = 4;
const TOKENS = 600; // of a reply, at 100 a second
const STREAM_MS = 5000; // of its middle

const paragraph = "The *grey* water rose and fell, and **nobody** on the pier said a word about it; \"We wait,\" she said, and so we did. ";
const fake = await startFake({ script: [{ reply: `${paragraph.repeat(2)}\n\n`.repeat(13).match(/\s*\S+/g).slice(0, TOKENS), token_ms: 9 }] });
const server = await start();
const browser = await launch();
try {
  await server.api("POST", "/admin/models", { name: "Fake", provider: "openai", base_url: `${fake.url}/v1`, model: fake.models[0], route: "default" });
  const conversation = await talk(MESSAGES);
  const opened = await openings(conversation);
  console.log(JSON.stringify({ ...opened, ...(await measure(conversation)) }));
} finally {
  await browser.close();
  await server.stop();
  await fake.close();
}

/** A conversation with so many messages, one side speaking: what is drawn is the same for both. */
async function talk(count) {
  const character = (await server.api("GET", "/characters")).json.items[0];
  const made = (await server.api("POST", "/conversations", { character_ids: [character.id] })).json;
  await grow(made.id, 0, count);
  return made.id;
}

async function grow(id, from, to) {
  for (let at = from; at < to; at += 1) {
    const content = `*She turns page ${at}.* "There is **more** of it," she says, and reads on: ${"a line of some length that wraps on a phone. ".repeat(1 + (at % 4))}`;
    const answer = await server.api("POST", `/conversations/${id}/messages`, { content, reply: false });
    if (answer.status >= 300) throw new Error(answer.text);
  }
}

/** Up, page by page, until so many messages are there. */
function readToTheStart(page, least) {
  return page.waitForFunction((wanted) => {
    document.querySelector(".scroller").scrollTop = 0;
    return document.querySelectorAll("li.message").length >= wanted;
  }, least, { polling: 100, timeout: 120000 });
}

/** A browser that keeps nothing but what it is given, and writes down what it paints. */
async function fresh(given = {}) {
  const { context, page } = await openPage(browser, server, { viewport: { width: 390, height: 844 }, ...given });
  await page.addInitScript(() => {
    window.paints = [];
    window.slow = [];
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.paints.push(entry.startTime))).observe({ type: "largest-contentful-paint", buffered: true });
    // From the key to the end of the frame that shows it. (Event timing counts until the picture is on a screen; there is none here.)
    addEventListener("input", ({ timeStamp }) => requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.slow.push(performance.now() - timeStamp);
      port2.postMessage(null);
    }), true);
  });
  return { context, page };
}

async function slowDown(context, page) {
  const devtools = await context.newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: THROTTLE });
  return devtools;
}

/** Somebody signs in where nobody was before, and comes to the talk; then the processor is slowed down. */
async function enter(id) {
  const { context, page } = await fresh();
  await page.goto(`${server.url}/sign-in?to=/chat/${id}`);
  await page.getByLabel("E-mail").fill(server.owner.email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.locator("li.message").first().waitFor();
  return { context, page, devtools: await slowDown(context, page) };
}

function middle(values) {
  return Math.round([...values].sort((a, b) => a - b)[values.length >> 1]);
}

async function openings(id) {
  const [again, bare] = [[], []];
  for (let round = 0; round < OPENINGS; round += 1) {
    const known = await enter(id);
    again.push(await largestPaint(known.page, () => known.page.reload({ waitUntil: "commit" })));
    const storageState = await known.context.storageState();
    await known.context.close();
    const other = await fresh({ storageState });
    await slowDown(other.context, other.page);
    bare.push(await largestPaint(other.page, () => other.page.goto(`${server.url}/chat/${id}`, { waitUntil: "commit" })));
    await other.context.close();
  }
  return { largest_paint_ms: middle(again), largest_paint_each_ms: again.map(Math.round), largest_paint_bare_ms: middle(bare), largest_paint_bare_each_ms: bare.map(Math.round) };
}

async function largestPaint(page, open) {
  await open();
  await page.waitForTimeout(OPEN_MS);
  if ((await page.locator("li.message").count()) === 0) throw new Error(`nothing was drawn in ${OPEN_MS} ms`);
  return page.evaluate(() => Math.max(...window.paints));
}

async function measure(id) {
  const { context, page, devtools } = await enter(id);
  const metric = async (name) => (await devtools.send("Performance.getMetrics")).metrics.find((row) => row.name === name).value;
  await page.reload();
  await page.locator("li.message").first().waitFor();
  await readToTheStart(page, MESSAGES);
  await page.locator(".scroller").evaluate((scroller) => { scroller.scrollTop = scroller.scrollHeight; });
  await page.waitForTimeout(500);
  await page.evaluate(() => { window.slow = []; });
  await composer(page).click();
  await page.keyboard.type("Tell me everything that you know of the sea, at length.", { delay: 60 });
  await page.waitForTimeout(500);
  const typing = await page.evaluate(() => window.slow);

  const heap = async () => { await devtools.send("HeapProfiler.collectGarbage"); return metric("JSHeapUsedSize"); };
  const before = await heap();
  let busy = 0, over = 0;
  for (let round = 0; round < 3; round += 1) {
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("li.message[data-state=streaming] .prose").last().waitFor();
    const [from, at] = [await metric("TaskDuration"), performance.now()];
    await page.waitForTimeout(STREAM_MS); // asking again and again whether it has ended would cost more than the page does
    busy += (await metric("TaskDuration")) - from;
    over += (performance.now() - at) / 1000;
    await page.locator("li.message[data-state=streaming]").waitFor({ state: "detached" });
    await composer(page).fill("And more of it, please, as long as you can.");
  }
  const grown = (await heap()) - before;
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: 1 });

  // The talk grows under the eyes of the reader; then it is left and opened again, all of it, a few times.
  const count = () => page.locator("li.message").count();
  const half = { heap: await heap(), messages: await count() };
  await grow(id, half.messages, IN_THE_END);
  await page.waitForFunction((least) => document.querySelectorAll("li.message").length >= least, IN_THE_END);
  const whole = { heap: await heap(), messages: await count() };
  const left = [];
  for (let visit = 0; visit < VISITS; visit += 1) {
    await page.evaluate(() => document.querySelector('a[href="/"], a[href="/chats"]').click());
    await page.locator("li.message").first().waitFor({ state: "detached" });
    left.push(await heap());
    await page.goBack();
    await page.locator("li.message").first().waitFor();
    await readToTheStart(page, IN_THE_END);
  }
  const again = await heap();
  await context.close();
  const kb = (bytes) => Math.round(bytes / 1024);
  return {
    slowest_key_ms: Math.round(Math.max(...typing)), middle_key_ms: middle(typing),
    streaming_share: Number((busy / over).toFixed(3)), heap_grown_kb: kb(grown), heap_kb: kb(before),
    heap_1000_kb: kb(whole.heap), heap_message_kb: Number(((whole.heap - half.heap) / 1024 / (whole.messages - half.messages)).toFixed(1)),
    heap_opened_again_kb: kb(again), heap_left_kb: left.map(kb),
  };
}
