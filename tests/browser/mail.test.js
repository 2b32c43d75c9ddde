// Links that come by mail, as people meet them: the forgotten password by way of the outbox, an address to confirm, a relay that fails (ACCT-1, ACCT-6).
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PASSWORD, start, until } from "../api/harness.js";
import { startSmtp } from "../fakes/smtp.js";
import { axe, launch, openPage } from "./browser.js";

const NEW = "quite another pass phrase";
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

async function enter(page, server, email, password = PASSWORD) {
  await page.goto(`${server.url}/sign-in`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

describe("links that come by mail", () => {
  let browser;
  before(async () => { browser = await launch(); });
  after(() => browser?.close());

  it("mail: forgotten, found in the outbox, reset, signed in", async () => {
    const server = await start();
    const mia = await server.newUser({ name: "Mia" });
    const guest = await openPage(browser, server, phone);
    await guest.page.goto(`${server.url}/sign-in`);
    await guest.page.getByRole("link", { name: "Forgotten your password?" }).click();
    await guest.page.getByRole("heading", { name: "A new password" }).waitFor();
    await guest.page.getByLabel("E-mail").fill(mia.email);
    const found = await axe(guest.page, "forgotten");
    await guest.page.keyboard.press("Enter");
    await guest.page.getByText("which waits in their outbox").waitFor();

    const staff = await openPage(browser, server);
    await enter(staff.page, server, server.owner.email);
    await staff.page.getByRole("heading", { name: "The cast" }).waitFor();
    await staff.page.goto(`${server.url}/admin/outbox`);
    await staff.page.getByText("This house has no mail server").waitFor();
    assert.equal(await staff.page.getByRole("button", { name: "Send a test mail" }).count(), 0);
    await staff.page.locator("main li", { hasText: mia.email }).getByRole("button", { name: /^Open/ }).click();
    const line = staff.page.getByLabel("The link of this mail");
    const link = await line.inputValue();
    assert.ok(link.startsWith(`${server.url}/reset#`));
    await staff.page.getByText("That you read this is in the audit log.").waitFor();
    found.push(...(await axe(staff.page, "outbox")));
    await staff.page.getByRole("button", { name: "Copy" }).click();
    assert.equal(await staff.page.evaluate(() => navigator.clipboard.readText()), link);

    await guest.page.goto(link);
    await guest.page.getByRole("heading", { name: "Choose a new password" }).waitFor();
    assert.equal(new URL(guest.page.url()).hash, "", "the token does not stay in the address");
    await guest.page.getByLabel("New password").fill("password");
    await guest.page.getByRole("button", { name: "Set the password" }).click();
    await guest.page.getByText(/passwords that everybody tries/).waitFor();
    await guest.page.getByLabel("New password").fill(NEW);
    found.push(...(await axe(guest.page, "reset")));
    await guest.page.getByRole("button", { name: "Set the password" }).click();
    await guest.page.getByText("The new password is set.").waitFor();
    await guest.page.getByRole("link", { name: "Sign in" }).click();
    await enter(guest.page, server, mia.email, NEW);
    await guest.page.getByRole("heading", { name: "The cast" }).waitFor();

    await guest.page.goto("about:blank");
    await guest.page.goto(link);
    await guest.page.getByLabel("New password").fill(NEW);
    await guest.page.getByRole("button", { name: "Set the password" }).click();
    await guest.page.getByText("This link was used already").waitFor();
    await guest.page.getByRole("link", { name: "Ask for a new link" }).waitFor();
    await guest.page.goto(`${server.url}/verify`);
    await guest.page.getByText("This link is not whole").waitFor();
    assert.deepEqual(found, []);
    const real = (faults) => faults.filter((fault) => !/status of 422/.test(fault)); // the browser says so of every refusal
    assert.deepEqual([real(guest.faults), real(staff.faults)], [[], []]);
    await guest.context.close();
    await staff.context.close();
    await server.stop();
  });

  it("mail: who registers confirms the address before the first sign-in", async () => {
    const server = await start({ settings: { "accounts.registration": "open", "accounts.verify_email": "always" } });
    const { page, context, faults } = await openPage(browser, server);
    await page.goto(`${server.url}/register`);
    await page.getByLabel("Your name").fill("Zoe");
    await page.getByLabel("E-mail").fill("zoe@example.com");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create the account" }).click();
    await page.getByText("zoe@example.com must be confirmed").waitFor();
    await enter(page, server, "zoe@example.com");
    await page.getByText("Confirm your address first").waitFor();
    const found = await axe(page, "sign-in, early");
    await page.getByRole("button", { name: "Send the link again" }).click();
    await page.getByText("A new link waits in the outbox").waitFor();
    const mail = await until(async () => {
      const rows = (await server.api("GET", "/admin/outbox")).json.items.filter((row) => row.kind === "verify");
      return rows.length === 2 && rows.find((row) => row.state === "resting");
    }, "the second link");
    const { text } = (await server.api("GET", `/admin/outbox/${mail.id}`)).json;
    await page.goto(text.match(/^http\S+#\S+$/m)[0]);
    await page.getByRole("button", { name: "This is my address" }).waitFor();
    found.push(...(await axe(page, "verify")));
    await page.getByRole("button", { name: "This is my address" }).click();
    await page.getByText("Your address is confirmed.").waitFor();
    await page.getByRole("link", { name: "Sign in" }).click();
    await enter(page, server, "zoe@example.com");
    await page.getByRole("heading", { name: "The cast" }).waitFor();
    assert.deepEqual(found, []);
    assert.deepEqual(faults.filter((fault) => !/status of 403/.test(fault)), []);
    await context.close();
    await server.stop();
  });

  it("mail: a relay is tried from the outbox, its words are shown; an address that is not confirmed is a quiet matter", async () => {
    const relay = await startSmtp({ script: [{ rcpt: "550 5.7.1 Not for <b>you</b>" }, {}] });
    const server = await start({ settings: { "mail.smtp_url": relay.url, "mail.from": "stage@troupe.test" } });
    const { page, context, faults } = await openPage(browser, server);
    await enter(page, server, server.owner.email);
    await page.getByRole("heading", { name: "The cast" }).waitFor();
    await page.goto(`${server.url}/admin/outbox`);
    await page.getByText("No mail here.").waitFor();
    await page.getByRole("button", { name: "Send a test mail" }).click();
    await page.getByText("550 5.7.1 Not for <b>you</b>").waitFor();
    await page.getByRole("button", { name: /^Open "A test"/ }).click();
    await page.getByRole("button", { name: "Send it now" }).click();
    await until(() => relay.mails.length === 1, "the second try");
    await page.locator("main li", { hasText: "Sent" }).waitFor();

    await page.goto(`${server.url}/profile`);
    await page.getByText(`${server.owner.email} is not confirmed yet.`).waitFor();
    await page.getByRole("button", { name: "Send the link again" }).click();
    await page.getByText(`The link is on its way to ${server.owner.email}.`).waitFor();
    const mail = await until(() => relay.mails.find((one) => one.headers.subject[0] === "Confirm your address"), "the link");
    await page.goto(mail.text.match(/^http\S+#\S+$/m)[0]);
    await page.getByRole("button", { name: "This is my address" }).click();
    await page.getByText("Your address is confirmed.").waitFor();
    await page.goto(`${server.url}/profile`);
    await page.getByRole("heading", { level: 1, name: "You" }).waitFor();
    assert.equal(await page.getByText("is not confirmed yet").count(), 0);
    assert.deepEqual(faults, []);
    await context.close();
    await server.stop();
    await relay.close();
  });
});
