// A person's data in the person's hands: looked at, taken along, deleted, and brought back.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { execFileSync } from "node:child_process";
import { PASSWORD, start, until } from "../api/harness.js";
import { axe, launch, openPage, signIn } from "./browser.js";

describe("a person's data", () => {
  let server, browser, page, faults, mia, api;

  before(async () => {
    server = await start();
    mia = await server.newUser({ name: "Mia" });
    api = (method, path, body) => server.api(method, path, body, { token: mia.token });
    const ada = (await api("POST", "/characters", { name: "Ada", first_mes: "Good evening.", visibility: "public" })).json;
    const talk = (await api("POST", "/conversations", { character_ids: [ada.id] })).json;
    await api("POST", `/conversations/${talk.id}/messages`, { content: "I was here.", reply: false });
    await api("POST", `/memory/${talk.id}/facts`, { text: "Mia is afraid of geese." });
    await server.api("POST", "/conversations", { character_ids: [ada.id] });
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    await signIn(page, server, mia.email);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("data: everything is counted, prepared with progress, and downloaded as a file that other programs open", async () => {
    await page.goto(`${server.url}/profile/data`);
    await page.getByRole("heading", { level: 1, name: "Your data" }).waitFor();
    const row = (label) => page.locator("dl div", { hasText: label }).locator("dd");
    assert.equal(await row("Characters").first().innerText(), "1");
    assert.equal(await row("Messages").innerText(), "2");
    assert.deepEqual(await axe(page, "data"), []);
    await page.getByRole("button", { name: "Prepare the file" }).click();
    await page.getByText(/^Ready: /).waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), "troupe-about-me.zip");
    const names = execFileSync("python3", ["-c", "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print('\\n'.join(z.namelist()))", await download.path()]).toString();
    assert.match(names, /^README\.txt$/m);
    assert.match(names, /^characters\/Ada-\w+\/card\.json$/m);
  });

  it("data: preparing can be stopped", async () => {
    const messages = Array.from({ length: 60000 }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: `Line ${i}: the kettle, the rain, the long road to the sea.`, created_at: new Date(Date.UTC(2023, 6, 1) + i * 60000).toISOString() }));
    assert.equal((await api("POST", "/conversations/import", { format: "troupe", character_name: "Bea", messages })).status, 201);
    await page.reload();
    await page.getByRole("button", { name: "Prepare it anew" }).click();
    await page.getByRole("progressbar", { name: /The file is being prepared/ }).waitFor();
    await page.getByRole("button", { name: "Stop preparing" }).click();
    await page.getByRole("button", { name: "Prepare the file" }).waitFor();
    await until(async () => (await api("GET", "/users/me/export")).json.state === "none", "it has stopped");
  });

  it("data: leaving names what will be lost and what stays with others, asks for the password, and is undone by signing in", async () => {
    await page.goto(`${server.url}/profile/data`);
    await page.getByRole("button", { name: "Delete my account" }).click();
    const dialog = page.getByRole("dialog", { name: "Delete the account" });
    await dialog.getByText("2 characters, with their versions, portraits and documents").waitFor();
    await dialog.getByText("2 conversations", { exact: true }).waitFor();
    await dialog.getByText("1 thing that characters learnt of you").waitFor();
    await dialog.getByText(/1 conversation that somebody else has with a character of yours stays/).waitFor();
    await dialog.getByText(/For 7 days you can have everything back/).waitFor();
    assert.deepEqual(await axe(page, "leave"), []);
    await dialog.getByLabel("Your password").fill("not this one");
    await dialog.getByRole("button", { name: "Close the account" }).click();
    await dialog.getByText("This is not your password.").waitFor();
    await dialog.getByLabel("Your password").fill(PASSWORD);
    await dialog.getByRole("button", { name: "Close the account" }).click();
    await page.waitForURL(/\/sign-in\?left=/);
    await page.getByText(/Your account is closed\. Sign in before .* and everything is back/).waitFor();
    assert.equal(await page.evaluate(() => localStorage.length), 0, "nothing personal stays in the browser");
    assert.equal((await api("GET", "/users/me")).status, 401);
    await page.getByLabel("E-mail").fill(mia.email);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("Your account is open again. Nothing was deleted.").waitFor();
    mia.token = (await server.login(mia.email)).token;
    assert.equal((await api("GET", "/users/me/data")).json.characters, 2);
  });

  it("data: at once is said to be final, and is", async () => {
    await page.goto(`${server.url}/profile/data`);
    await page.getByRole("button", { name: "Delete my account" }).click();
    await page.getByText("Erase it now, without days to change my mind").click();
    await page.getByText("Then signing in brings nothing back.").waitFor();
    await page.getByLabel("Your password").fill(PASSWORD);
    await page.getByRole("button", { name: "Erase everything now" }).click();
    await page.getByText("Your account is closed, and everything in it is being erased.").waitFor();
    await page.getByLabel("E-mail").fill(mia.email);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The address or the password is wrong.").waitFor();
    assert.deepEqual(faults.filter((line) => !/status of 4(01|22)/.test(line)), []);
  });

  it("data: the owner is told why the house keeps them", async () => {
    const { page: owners, context } = await openPage(browser, server);
    await signIn(owners, server, server.owner.email);
    await owners.goto(`${server.url}/profile/data`);
    await owners.getByText("You are the owner of this house.").waitFor();
    assert.equal(await owners.getByRole("button", { name: "Delete my account" }).count(), 0);
    await context.close();
  });
});
