// What belongs to a person: a picture that is cut, another password, the age gate.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PASSWORD, start, until } from "../api/harness.js";
import { axe, launch, openPage, signIn } from "./browser.js";

/** A PNG that the page itself draws: as large as a camera's. */
const drawn = (page) => page.evaluate(async () => {
  const paper = new OffscreenCanvas(800, 400);
  const context = paper.getContext("2d");
  context.fillStyle = "#a33";
  context.fillRect(0, 0, 400, 400);
  context.fillStyle = "#3a3";
  context.fillRect(400, 0, 400, 400);
  return [...new Uint8Array(await (await paper.convertToBlob()).arrayBuffer())];
});

describe("what belongs to a person", () => {
  let server, browser, page, faults;

  before(async () => {
    server = await start();
    browser = await launch();
    ({ page, faults } = await openPage(browser, server));
    await signIn(page, server, server.owner.email);
    await page.goto(`${server.url}/profile`);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("person: a picture is cut to a square by keyboard and shown everywhere", async () => {
    const buffer = Buffer.from(await drawn(page));
    await page.locator("input[type=file]").first().setInputFiles({ name: "camera.png", mimeType: "image/png", buffer });
    await page.getByRole("heading", { name: "Cut the picture" }).waitFor();
    const canvas = page.locator("dialog canvas");
    await canvas.focus();
    for (let step = 0; step < 3; step += 1) await canvas.press("+");
    await canvas.press("ArrowRight");
    assert.deepEqual(await axe(page, "crop"), []);
    await page.getByRole("button", { name: "Use it like this" }).click();
    await page.locator("form img").first().waitFor();
    const me = (await server.api("GET", "/users/me")).json;
    const picture = await server.api("GET", me.avatar_url);
    const [width, height] = [picture.bytes.readUInt32BE(16), picture.bytes.readUInt32BE(20)];
    assert.equal(width, height, "it is a square now");
  });

  it("person: the password is changed, the wrong one is explained", async () => {
    await page.getByLabel("Current password").fill("not this one at all");
    await page.getByLabel("New password").fill("quite another pass phrase");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.locator("p.error").first().waitFor();
    await page.getByLabel("Current password").fill(PASSWORD);
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("The password is changed").waitFor();
    assert.equal((await server.login(server.owner.email, "quite another pass phrase")).user.role, "owner");
  });

  it("person: an adult may choose what is shown, and no date is kept", async () => {
    await page.getByLabel("Date of birth").fill("1980-05-04");
    await page.getByRole("button", { name: "Declare" }).click();
    await page.getByText("Mature as well").click();
    const { token } = await server.login(server.owner.email, "quite another pass phrase");
    await until(async () => (await server.api("GET", "/users/me/preferences", undefined, { token })).json.content_tier === "mature", "the choice is kept");
    assert.deepEqual(faults.filter((line) => !/status of 4(01|22|03)/.test(line)), []);
  });
});
