// The house seen from behind: numbers, people, settings, jobs, the audit log and the doctor, as an owner uses them.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { start } from "../api/harness.js";
import { launch, openPage, signIn } from "./browser.js";

describe("the house from behind", () => {
  let server, browser, page, faults;

  before(async () => {
    server = await start();
    await server.newUser({ name: "Mia", email: "mia@example.com" });
    await server.newUser({ name: "Noor", email: "noor@example.com" });
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    await signIn(page, server, server.owner.email);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("admin: the overview counts what is there", async () => {
    await page.goto(`${server.url}/admin`);
    const people = page.locator("dl > div").filter({ hasText: /^People/ });
    await people.waitFor();
    assert.match(await people.innerText(), /3$/);
  });

  it("admin: a person is found, raised in role, kept out and let in", async () => {
    await page.goto(`${server.url}/admin/people`);
    await page.getByLabel("Find by name or address").fill("mia");
    await page.getByRole("heading", { name: "Noor" }).waitFor({ state: "detached" });
    await page.getByLabel("Role of Mia").selectOption("moderator");
    await page.getByText("Mia is now Moderator.").waitFor();
    await page.getByRole("switch", { name: "May sign in" }).uncheck();
    await page.getByText("Mia cannot sign in any more.").waitFor();
    const refused = await server.api("POST", "/auth/login", { email: "mia@example.com", password: "a long enough pass phrase" }, { token: null });
    assert.ok(refused.status >= 400);
    await page.getByRole("switch", { name: "May sign in" }).check();
    await page.getByText("Mia may sign in again.").waitFor();
    assert.equal((await server.login("mia@example.com")).user.role, "moderator");
  });

  it("admin: a setting takes effect without a restart, a wrong value is explained, and it can be set back", async () => {
    await page.goto(`${server.url}/admin/settings`);
    const pace = page.getByLabel(/^turns_per_user/);
    await pace.fill("-5");
    await pace.press("Enter");
    await page.locator("p.error").first().waitFor();
    await pace.fill("7");
    await pace.press("Enter");
    await page.getByText("limits.turns_per_user is changed.").waitFor();
    const row = (await server.api("GET", "/admin/settings")).json.items.find((setting) => setting.name === "limits.turns_per_user");
    assert.deepEqual([row.value, row.source], [7, "stored"]);
    await page.getByRole("button", { name: "Set limits.turns_per_user back" }).click();
    await page.getByRole("button", { name: "Set limits.turns_per_user back" }).waitFor({ state: "detached" });
  });

  it("admin: jobs are listed, what was decided stands in the audit log, the doctor speaks plainly", async () => {
    await page.goto(`${server.url}/admin/jobs`);
    await page.locator("li h2").first().waitFor();
    await page.goto(`${server.url}/admin/audit`);
    await page.locator("ol li", { hasText: "user.role" }).first().waitFor();
    await page.goto(`${server.url}/admin/doctor`);
    await page.locator("main ul li").first().waitFor({ timeout: 20000 });
    await page.getByRole("button", { name: "Look again" }).click();
    await page.locator("main ul li").first().waitFor({ timeout: 20000 });
    assert.deepEqual(faults.filter((line) => !/status of 422/.test(line)), []); // the wrong value, which the browser writes down itself
  });

  it("admin: a member sees none of it", async () => {
    const { page: theirs, context } = await openPage(browser, server);
    await signIn(theirs, server, "noor@example.com");
    await theirs.goto(`${server.url}/admin/settings`);
    await theirs.getByText("There is nothing behind this door.").waitFor();
    assert.equal(await theirs.getByRole("link", { name: "Admin" }).count(), 0);
    await context.close();
  });
});
