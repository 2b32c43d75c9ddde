// What a model, a card or a person may write is hostile: none of it runs, loads or leads anywhere by itself. The corpus is
// shown as messages, as a character's fields, as names and titles, and the browser is asked what came of it.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { serve } from "../api/harness.js";
import { PASSWORD } from "../api/harness.js";
import { launch, messages, newest, openPage, setUp } from "./browser.js";

const boom = "window.boom=1";
const corpus = [
  `<script>${boom}</script>`, `<img src=x onerror="${boom}">`, `<svg/onload=${boom}>`, `<svg><script>${boom}</script></svg>`, `<iframe src="javascript:${boom}"></iframe>`,
  `<iframe srcdoc="<script>parent.${boom}</script>"></iframe>`, `<object data="data:text/html,<script>${boom}</script>"></object>`, `<embed src=//evil.example/x>`,
  `<base href=//evil.example/>`, `<meta http-equiv=refresh content="0;url=//evil.example">`, `<link rel=stylesheet href=//evil.example/x.css>`, `<style>@import '//evil.example/x.css';</style>`,
  `<form action=//evil.example><input name=x><button autofocus onfocus=${boom}>go</button></form>`, `<a href="javascript:${boom}">a</a>`, `<math><mtext></mtext><mglyph><style><img src=x onerror=${boom}></style></mglyph></math>`,
  `<details open ontoggle=${boom}>`, `<video src=//evil.example/v onerror=${boom}></video>`, `<body onload=${boom}>`, `<template><img src=x onerror=${boom}></template>`, `<noscript><p title="</noscript><img src=x onerror=${boom}>">`,
  `[a](javascript:${boom})`, `[a](JaVaScRiPt:${boom})`, `[a](java\tscript:${boom})`, `[a](&#106;avascript:${boom})`, `[a](data:text/html,<script>${boom}</script>)`, `[a](vbscript:x)`,
  `[a](file:///etc/passwd)`, `[a](//evil.example)`, `[a](/\\evil.example)`, `[a](https://evil.example@good.example/)`, `[a](https://evil.example "t\\" onclick=${boom}")`, `[a](<javascript:${boom}>)`, `[a]: javascript:${boom}\n[a]`,
  "![p](https://evil.example/p.png)", "![p](//evil.example/p.png)", "![p](/\\evil.example/p.png)", `![p](data:image/svg+xml,<svg onload=${boom}>)`, `![p](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9d2luZG93LmJvb209MT4=)`, `![p](x" onerror="${boom})`,
  `![p](javascript:${boom})`, "![p](blob:https://evil.example/1)", "https://evil.example/auto", "<https://evil.example/angle>", "www.evil.example", "```html\n<script>window.boom=1</script>\n```", "`<img src=x onerror=window.boom=1>`",
  "||<img src=x onerror=window.boom=1>||", "*<b onmouseover=window.boom=1>x</b>*", "> <script>window.boom=1</script>", "# <script>window.boom=1</script>", "- <img src=x onerror=window.boom=1>", "1. ![p](https://evil.example/p.png)",
  "{{constructor.constructor('window.boom=1')()}}", "${window.boom=1}", "{@html '<img src=x onerror=window.boom=1>'}", "<!--><script>window.boom=1</script>-->", "]]><script>window.boom=1</script>", "\u202Egnp.exe", "<scr<script>ipt>window.boom=1</script>",
  "<plaintext>", "<xmp><script>window.boom=1</script></xmp>", "<a href=x style=position:fixed;inset:0;z-index:99999>over everything</a>", "<div id=app></div>", "<input name=body><input name=documentElement>",
];

/** What on this page could run, load or lead away without being asked. */
const alive = (page) => page.evaluate(() => {
  const found = [];
  if (window.boom) found.push("it ran");
  const bad = "script:not([src^='/']), iframe, object, embed, base, meta[http-equiv], link:not([href^='/']), style, form[action*='evil'], video, audio, template, math, svg script, [style*='fixed']";
  for (const element of document.querySelectorAll(bad)) found.push(element.outerHTML.slice(0, 90));
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      if (/^on/.test(name)) found.push(`${name} on ${element.tagName}`);
      if (/^(href|src|srcset|action|formaction|poster|data|xlink:href)$/.test(name) && (!/^(\/(?![/\\])|data:image\/(png|jpeg|webp|gif)|blob:|#)/.test(value) && !value.startsWith(location.origin))) found.push(`${name}=${value.slice(0, 60)}`);
    }
  }
  return found;
});

describe("hostile words", () => {
  let server, browser, page, context, faults, chat, token;

  before(async () => {
    server = await serve();
    browser = await launch();
    ({ page, context, faults } = await openPage(browser, server));
    await page.addInitScript(() => {
      window.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    chat = await setUp(page, server);
    token = (await server.api("POST", "/auth/login", { email: "olive@example.com", password: PASSWORD }, { token: null })).json.access_token;
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  const post = async (path, body) => {
    const answer = await server.api("POST", path, body, { token });
    assert.ok(answer.status < 300, `${path}: ${answer.status} ${JSON.stringify(answer.json)}`);
    return answer.json;
  };

  it("hostile: as messages they stay words", async () => {
    const id = chat.split("/").pop();
    for (const content of corpus) await post(`/conversations/${id}/messages`, { content, reply: false });
    await page.goto(chat);
    await newest(page).waitFor();
    await page.locator("[role=region]").first().evaluate((scroller) => { scroller.scrollTop = 0; });
    await page.waitForFunction((least) => document.querySelectorAll("li.message").length > least, corpus.length);
    assert.deepEqual(await alive(page), []);
    assert.deepEqual(await page.evaluate(() => window.violations), [], "the policy had nothing to refuse");
    assert.deepEqual(faults, []);
  });

  it("hostile: as a character's fields, names and titles they stay words", async () => {
    const all = corpus.join("\n\n");
    const made = await post("/characters", { name: corpus[1], tagline: corpus[2], description: all, first_mes: all, creator_notes: all, alternate_greetings: [all], tags: [corpus[0], corpus[1]].map((text) => text.slice(0, 40)), personality: all });
    const talk = await post("/conversations", { character_ids: [made.id], title: corpus[0] });
    for (const place of ["/", "/discover", "/chats", `/character/${made.id}`, `/character/${made.id}/edit`, `/chat/${talk.id}`, "/profile"]) {
      await page.goto(server.url + place);
      await page.getByRole("heading", { level: 1 }).first().waitFor({ state: "attached" });
      await page.waitForLoadState("networkidle");
      assert.deepEqual(await alive(page), [], place);
      assert.deepEqual(await page.evaluate(() => window.violations), [], place);
    }
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").waitFor();
    const found = page.waitForResponse((answer) => /\/characters\/search\?.*q=script/.test(answer.url()));
    await page.keyboard.type("script");
    await found;
    await page.getByRole("option", { name: /script/ }).first().waitFor();
    assert.deepEqual(await alive(page), [], "palette");
    await page.keyboard.press("Escape");
    assert.deepEqual(faults, []);
  });

  it("hostile: a link and a picture from elsewhere wait until they are asked for, and say where they lead", async () => {
    const id = chat.split("/").pop();
    await post(`/conversations/${id}/messages`, { content: "Look: [harmless words](https://evil.example/path?q=1) and ![a cat](https://evil.example/cat.png)", reply: false });
    await page.goto(chat);
    await newest(page).waitFor();
    let popups = 0;
    context.on("page", () => (popups += 1));
    await newest(page).getByRole("button", { name: "harmless words" }).click();
    const dialog = page.getByRole("dialog", { name: "Leave for evil.example?" });
    await dialog.getByText("https://evil.example/path?q=1").waitFor();
    await dialog.getByRole("button", { name: "Stay" }).click();
    await newest(page).getByRole("button", { name: "Picture on evil.example: a cat" }).click();
    await dialog.getByText("https://evil.example/cat.png").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal(popups, 0);
    assert.deepEqual(faults, []);
  });

  it("hostile: the policy is strict, and Trusted Types refuse what would make markup or scripts from text", async () => {
    const policy = (await fetch(`${server.url}/`, { headers: { accept: "text/html" } })).headers.get("content-security-policy");
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    const refused = await page.evaluate(() => {
      const tries = {
        innerHTML: () => { document.createElement("div").innerHTML = "<b>x</b>"; },
        "script src": () => { document.createElement("script").src = "https://evil.example/x.js"; },
        "a policy of another name": () => trustedTypes.createPolicy("mine", { createHTML: (text) => text }),
        "a second policy of ours": () => trustedTypes.createPolicy("troupe-worker", { createScriptURL: (text) => text }),
      };
      return Object.entries(tries).filter(([, attempt]) => {
        try {
          attempt();
          return true;
        } catch {
          return false;
        }
      }).map(([name]) => name);
    });
    assert.deepEqual(refused, [], "what was not refused");
  });
});
