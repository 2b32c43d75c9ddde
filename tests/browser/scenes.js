// What the pictures show: a house that has been lived in for a while, and every page and dialog of it as one row: where it is, what
// is done there, and in which lights it is taken. The words that are pressed are English; a row for another language presses nothing.
import { readFileSync } from "node:fs";
import { PASSWORD, until } from "../api/harness.js";
import { drop, newest, pick, say, spoken } from "./browser.js";

const DAY_MS = 24 * 60 * 60 * 1000;
const card = (name, file) => readFileSync(new URL(`../../assets/characters/${name}/${file}`, import.meta.url));

/** A talk of some days ago, with things in it that are worth remembering. */
function olderTalk(character) {
  const lines = [
    ["user", "Good evening. Is there still hot water in the samovar?"],
    ["assistant", "*He lifts the lid and looks in as if into a well.* There is always water. What there is not is time. Sit."],
    ["user", "I live in Bristol now, and I work as a nurse on the night shift."],
    ["assistant", "Then you and I keep the same hours. *A cup, a saucer, no spoon.* Who looks after the ones at home?"],
    ["user", "My sister Ines. And my cat is called Luna."],
    ["assistant", "Luna. *He writes it on the back of a ticket.* A cat with a name like that is never in when one calls."],
    ["user", "I love blackberry jam, and I am allergic to walnuts."],
    ["assistant", "*The plate with the churchkhela moves to the far end of the table.* Noted. In ink."],
  ];
  const from = Date.now() - 9 * DAY_MS;
  return {
    format: "troupe", character_id: character, persona_name: "Olive", title: "Tea after the night shift",
    messages: lines.map(([role, content], at) => ({ role, content, created_at: new Date(from + at * 95_000).toISOString() })),
  };
}

/** Somebody else of the house, with a character on the stage that others talk with. */
async function settle(mia, api) {
  const brigid = (await mia("POST", "/characters", { name: "Brigid", first_mes: "The ferry is late. Sit down.", visibility: "private" })).json;
  const talk = (await mia("POST", "/conversations", { character_ids: [brigid.id] })).json;
  for (const content of ["I have all evening.", "Is there tea?", "My brother works on the boats."]) await mia("POST", `/conversations/${talk.id}/messages`, { content });
  await mia("POST", `/memory/${talk.id}/facts`, { text: "Mia's brother works on the boats." });
  await mia("POST", "/users/me/personas", { name: "The passenger", description: "Always early." });
  await mia("PATCH", `/characters/${brigid.id}`, { visibility: "unlisted" });
  await api("POST", "/conversations", { character_ids: [brigid.id], title: "The late ferry" });
}

/** Signs in as Mia, who may leave; and out again. */
const asMia = (act) => async (page) => {
  await page.locator("input[type=email]").fill("mia@example.com");
  await page.locator("input[type=password]").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.locator("article").first().waitFor();
  await page.goto(new URL("/profile/data", page.url()).href);
  await page.locator("main dl dd").first().waitFor();
  await act(page);
};
async function forget(page) {
  await page.context().clearCookies();
  await page.evaluate(() => localStorage.clear());
}

/** Fills a fresh house: people, a persona, a key, a model, talks, memories, a character with a past. Gives the addresses of them. */
export async function furnish(server, page, chat, model) {
  const { access_token: token } = (await server.api("POST", "/auth/login", { email: "olive@example.com", password: PASSWORD }, { token: null })).json;
  const api = async (method, path, body) => {
    const answer = await server.api(method, path, body, { token });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text ?? JSON.stringify(answer.json)}`);
    return answer.json;
  };
  const cast = (await api("GET", "/characters?limit=50")).items;
  const called = (name) => cast.find((row) => row.name.startsWith(name)).id;

  await say(page, "Good evening. I was told that you find things. *I put the brass key on the desk.*");
  await spoken(page);
  await say(page, "It belonged to my grandmother. What does it open?");
  await spoken(page);
  await newest(page).hover();
  await newest(page).getByRole("button", { name: "Another reply" }).click();
  await newest(page).getByText("2/2").waitFor();
  await spoken(page);
  const mine = page.locator("li.message.mine").last();
  await mine.hover();
  await mine.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Text of the message").fill("It belonged to my grandmother, who never locked a door. What does it open?");
  await page.keyboard.press("Control+Enter");
  await page.locator("li.message.mine", { hasText: "never locked a door" }).waitFor();

  const tea = (await api("POST", "/conversations/import", olderTalk(called("Otar")))).conversation.id;
  await api("POST", "/memory/extract", { conversation_id: tea });
  await until(async () => (await api("GET", `/memory/${tea}?state=active`)).facts.length >= 3, "the talk is learnt from");
  await api("POST", `/memory/${tea}/facts`, { text: "Olive brings back the cup that she borrowed on Sunday.", kind: "event" });
  await api("POST", "/conversations", { character_ids: [called("Ibid")], title: "A footnote on footnotes" });

  const tavita = called("Tavita");
  const { tagline, scenario } = await api("GET", `/characters/${tavita}`);
  await api("PATCH", `/characters/${tavita}`, { tagline: `${tagline} And answers only on Sundays.`, scenario: scenario.replace("Night shift", "The end of a night shift") });

  await api("POST", "/users/me/personas", { name: "Captain Reed", description: "Retired, of the harbour guard. Speaks little, sleeps less, and keeps a list." });
  await api("POST", "/users/me/personas", { name: "Olive", description: "A night nurse from Bristol with a key that fits nothing.", is_default: true });
  await api("POST", "/auth/api-keys", { name: "The bot in the kitchen", scopes: ["chat"] });
  for (const name of ["Mia", "Tomasz"]) {
    const { code } = await api("POST", "/admin/invites", { note: name });
    const { json } = await server.api("POST", "/auth/register", { display_name: name, email: `${name.toLowerCase()}@example.com`, password: PASSWORD, invite_code: code }, { token: null });
    if (name === "Mia") await settle((method, path, body) => server.api(method, path, body, { token: json.access_token }), api);
  }
  await api("POST", "/admin/models", { name: "The box in the next room", provider: "openai", base_url: `${model}/v1`, model: "small-talk" });
  await api("POST", "/auth/forgot-password", { email: "tomasz@example.com" });
  await until(async () => (await api("GET", "/admin/outbox?state=resting")).items.length > 0, "a mail rests in the outbox");
  await api("POST", "/admin/invites", { note: "Anouk" });
  const invite = await api("POST", "/admin/invites", { note: "Noor" });
  return { chat: new URL(chat).pathname, tea: `/chat/${tea}`, character: `/character/${called("Fenella")}`, history: `/character/${tavita}/history`,
    api, invite: `/register?invite=${invite.code}` };
}

const ALL = ["dark", "light", "phone", "phone-light"];
const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();
const some = (selector) => (page) => page.locator(selector).first().waitFor();
const open = (label, then) => async (page) => {
  await page.getByRole("button", { name: label }).first().click();
  await page.locator(then).first().waitFor();
};
const tab = (name) => async (page) => {
  await open(/^What .* remembers$/, "dialog [role=tab]")(page);
  await page.getByRole("tab", { name }).click();
};

async function importReport(page) {
  await drop(page, [
    { name: "opcit.json", type: "application/json", bytes: Buffer.from(card("ibid", "card.json").toString().replaceAll("Ibid", "Opcit")) },
    { name: "holiday.png", type: "image/png", bytes: card("ibid", "portrait.png") },
    { name: "shopping.json", type: "application/json", bytes: Buffer.from('{"bread": 2}') },
  ]);
  await page.locator("dialog .report li").nth(2).waitFor();
}

/** Every picture, in the order in which they are taken: `at` is a name of furnish() or an address. */
export const scenes = [
  { name: "sign-in", at: "/sign-in", out: true, looks: ["dark", "light", "phone"], see: some("form") },
  { name: "register", at: "invite", out: true, looks: ["dark"], see: some("form") },
  { name: "forgotten", at: "/forgotten", out: true, looks: ["dark", "phone-light"], see: some("form"), act: async (page) => {
    await page.locator("input[type=email]").fill("mia@example.com");
    await page.keyboard.press("Enter");
    await page.locator("main p[role=status]").waitFor();
  } },
  { name: "reset", at: "/reset#a-link-of-a-mail", out: true, looks: ["dark", "light"], see: some("form") },
  { name: "verify", at: "/verify#a-link-of-a-mail", out: true, looks: ["phone"], see: some("main button") },
  { name: "stage", at: "/", looks: ALL, see: some("article"), act: async (page, look) => { if (!look.startsWith("phone")) await page.locator("article").nth(2).hover(); } },
  { name: "discover", at: "/discover", looks: ALL, see: some("article") },
  { name: "discover-nobody", at: "/discover?q=somebody+else", looks: ["dark"], see: (page) => page.getByRole("button", { name: "Show all" }).or(page.locator(".empty")).first().waitFor() },
  { name: "chats", at: "/chats", looks: ["dark", "phone"], see: heading("Chats") },
  { name: "character", at: "character", looks: ALL, see: (page) => page.getByRole("button", { name: "Start a conversation" }).waitFor() },
  { name: "editor", at: "edit", looks: ["dark", "light", "phone"], see: some("aside li") },
  { name: "crop", at: "edit", looks: ["dark", "phone"], see: some("aside li"), act: async (page) => {
    await page.locator("input[type=file]").first().setInputFiles({ name: "portrait.png", mimeType: "image/png", buffer: card("tavita-faleafa", "portrait.png") });
    await page.locator("dialog canvas").waitFor();
  } },
  { name: "revisions", at: "history", looks: ["dark", "phone"], see: some("del, ins") },
  { name: "chat", at: "chat", looks: ALL, see: some("li.message >> nth=4") },
  { name: "inspector", at: "chat", looks: ["dark", "phone"], see: some("li.message >> nth=4"), act: async (page) => {
    await pick(page, newest(page), "What was sent");
    await page.locator("dialog summary").first().click();
  } },
  { name: "message-history", at: "chat", looks: ["dark"], see: some("li.message >> nth=4"), act: async (page) => {
    await pick(page, newest(page), "What this message was");
    await page.locator("dialog li").nth(1).waitFor();
  } },
  { name: "branches", at: "chat", looks: ["dark", "phone"], see: some("li.message >> nth=4"), act: open("Branches of this talk", "dialog .tree li") },
  { name: "chat-settings", at: "chat", looks: ["dark", "phone"], see: some("li.message >> nth=4"), act: open("Settings of this conversation", "dialog select") },
  { name: "memory", at: "tea", looks: ["dark", "light", "phone"], see: some("li.message >> nth=4"), act: open(/^What .* remembers$/, "dialog [data-fact]") },
  { name: "memory-story", at: "tea", looks: ["dark"], see: some("li.message >> nth=4"), act: tab("Story") },
  { name: "memory-rules", at: "tea", looks: ["dark"], see: some("li.message >> nth=4"), act: tab("Rules") },
  { name: "palette", at: "/", looks: ["dark", "light", "phone"], see: some("article"), act: async (page) => {
    await page.keyboard.press("Control+k");
    await page.getByRole("option").nth(3).waitFor();
  } },
  { name: "help", at: "/", looks: ["dark", "phone"], see: some("article"), act: async (page) => {
    await page.keyboard.press("F1");
    await page.getByRole("dialog").waitFor();
  } },
  { name: "import-report", at: "/", looks: ["dark"], see: some("article"), act: importReport, after: async (page, api) => {
    const made = (await api("GET", "/characters?limit=50")).items.find((row) => row.name.startsWith("Opcit"));
    await api("DELETE", `/characters/${made.id}`);
  } },
  { name: "profile", at: "/profile", looks: ALL, see: heading("You") },
  { name: "personas", at: "/profile/personas", looks: ["dark"], see: some("main h2") },
  { name: "sessions", at: "/profile/sessions", looks: ["dark"], see: some("main li") },
  { name: "keys", at: "/profile/keys", looks: ["dark"], see: some("main li") },
  { name: "data", at: "/profile/data", looks: ALL, see: some("main dl dd"), act: async (page) => {
    await page.getByRole("button", { name: /^Prepare/ }).click();
    await page.getByText(/^Ready: /).waitFor();
  } },
  { name: "leave", at: "/sign-in", out: true, looks: ALL, see: some("form"), act: asMia(open("Delete my account …", "dialog li")), after: forget },
  { name: "left", at: "/sign-in?left=2026-11-28T10:30:00.000Z", out: true, looks: ["dark", "phone"], see: some("form") },
  { name: "admin", at: "/admin", looks: ["dark", "light", "phone"], see: some("main dl dd") },
  { name: "admin-people", at: "/admin/people", looks: ["dark", "phone"], see: some("main li h2") },
  { name: "admin-invites", at: "/admin/invites", looks: ["dark"], see: some("main li input") },
  { name: "admin-models", at: "/admin/models", looks: ["dark"], see: some("main li h2") },
  { name: "admin-memory", at: "/admin/memory", looks: ["dark"], see: some("main h2") },
  { name: "admin-settings", at: "/admin/settings", looks: ["dark", "phone"], see: some("main input") },
  { name: "admin-outbox", at: "/admin/outbox", looks: ["dark", "light", "phone", "german"], see: some("main li h2") },
  { name: "admin-outbox-mail", at: "/admin/outbox", looks: ["dark", "phone-light"], see: some("main li h2"), act: async (page) => {
    await page.locator("main li button").first().click();
    await page.locator("dialog pre").waitFor();
  } },
  { name: "admin-jobs", at: "/admin/jobs", looks: ["dark"], see: some("main li h2") },
  { name: "admin-audit", at: "/admin/audit", looks: ["dark"], see: some("main ol li") },
  { name: "admin-doctor", at: "/admin/doctor", looks: ["dark"], see: some("main ul li") },
  { name: "not-found", at: "/behind/the/mirror", looks: ["dark"], see: (page) => page.getByText("There is nothing behind this door.").waitFor() },
  { name: "offline", at: "chat", looks: ["dark"], see: some("li.message >> nth=4"), act: async (page) => {
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await page.reload();
    await page.locator("li.message").nth(4).waitFor();
    await page.context().setOffline(true);
    await page.reload();
    await page.getByText("You are offline.").waitFor();
    await page.locator("li.message").nth(4).waitFor();
  }, after: (page) => page.context().setOffline(false) },
  ...["stage", "chat", "profile", "admin"].map((name) => ({ name, at: { stage: "/", chat: "chat", profile: "/profile", admin: "/admin" }[name], looks: ["german"], see: some("h1") })),
  ...["stage", "chat", "editor", "profile"].map((name) => ({ name, at: { stage: "/", chat: "chat", editor: "edit", profile: "/profile" }[name], looks: ["turned", "phone-turned"], see: some("h1") })),
];
