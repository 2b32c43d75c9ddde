// openapi.json is valid OpenAPI 3.1 and says what the server does: compared with the live routes both ways, and with answers that the server really gives.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Validator } from "@seriousme/openapi-schema-validator";
import { run, start } from "./harness.js";

let t, api;
before(async () => {
  t = await start();
  api = (await t.api("GET", "/openapi.json", undefined, { token: null })).json;
});
after(() => t.stop());

const METHODS = ["get", "post", "put", "patch", "delete"];
const operations = () => Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })));

test("it is valid OpenAPI 3.1", async () => {
  const answer = await new Validator().validate(structuredClone(api));
  assert.deepEqual([answer.valid, answer.errors ?? []], [true, []]);
  assert.match(api.openapi, /^3\.1\./);
});

test("every route is in it, and everything in it is a route", async () => {
  const live = (await run(["test", "routes"])).stdout.trim().split("\n").sort();
  const told = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`).sort();
  assert.ok(live.length > 80);
  assert.deepEqual(told, live);
  const ids = operations().map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length, "operationIds are unique");
  for (const { path, method, operation } of operations()) {
    assert.ok(operation.summary && operation.tags?.length, `${method} ${path} says what it is`);
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const parameters = operation.parameters.filter((parameter) => parameter.in === "path").map((parameter) => parameter.name);
    assert.deepEqual(parameters, named, `${method} ${path}`);
  }
});

test("the running server knows each of them", async () => {
  for (const { path, method } of operations()) {
    const answer = await t.api(method.toUpperCase(), path.replace(/\{[^}]+\}/g, "0000000000001"), undefined, { token: null });
    assert.ok(answer.status !== 405 && !(answer.status === 404 && /no such page|no such route/i.test(answer.text)), `${method} ${path} answered ${answer.status}`);
  }
  assert.equal((await t.api("PUT", "/conversations", {})).status, 405);
  assert.match((await t.api("PUT", "/conversations", {})).headers.get("allow"), /GET.*POST|POST.*GET/);
});

/** Checks a value against a schema of the document: types, required members, and no member that the schema does not name. */
function check(value, schema, where) {
  if (schema.$ref) return check(value, api.components.schemas[schema.$ref.split("/").pop()], where);
  for (const part of schema.allOf ?? []) check(value, part, where);
  if (schema.anyOf || schema.oneOf) {
    const options = schema.anyOf ?? schema.oneOf, errors = [];
    for (const option of options) try { return check(value, option, where); } catch (error) { errors.push(error.message); }
    assert.fail(`${where}: ${errors.join(" / ")}`);
  }
  const types = [schema.type].flat().filter(Boolean);
  const type = value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
  if (types.length > 0) assert.ok(types.includes(type) || (type === "integer" && types.includes("number")), `${where} is ${type}, not ${types}`);
  if (schema.enum && value !== null) assert.ok(schema.enum.includes(value), `${where}: ${value}`);
  if (type === "array" && schema.items) value.forEach((item, i) => check(item, schema.items, `${where}[${i}]`));
  if (type !== "object" || !schema.properties) return;
  for (const name of schema.required ?? []) assert.ok(name in value, `${where}.${name} is missing`);
  for (const [name, member] of Object.entries(value)) {
    if (schema.properties[name]) check(member, schema.properties[name], `${where}.${name}`);
    else assert.ok(schema.additionalProperties, `${where}.${name} is not in the schema`);
  }
}

test("answers are what it says", async () => {
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Hello.", tags: ["clock"] })).json;
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const said = (await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "Hello." })).json;
  await t.api("POST", "/users/me/personas", { name: "Me" });
  await t.api("POST", "/auth/api-keys", { name: "k", scopes: ["read"] });
  await t.api("POST", "/admin/invites", {});
  await t.api("POST", "/admin/models", { name: "M", provider: "openai", base_url: "http://127.0.0.1:9/v1", model: "m" });
  const ids = { character: character.id, conversation: conversation.id, message: said.reply.id };
  let count = 0;
  for (const { path, operation } of operations().filter(({ method }) => method === "get")) {
    const media = operation.responses[200]?.content?.["application/json"];
    if (!media || /openapi/.test(path)) continue;
    const filled = path.replace("/conversations/{id}", `/conversations/${ids.conversation}`).replace("/characters/{id}", `/characters/${ids.character}`)
      .replace("{message_id}", ids.message).replace("/users/{id}", `/users/${t.owner.user.id}`).replace(/\{(n|revision)\}/, "1");
    if (filled.includes("{")) continue;
    const answer = await t.api("GET", filled + (/search/.test(path) ? "?q=ada" : ""));
    assert.equal(answer.status, 200, `${filled}: ${answer.text.slice(0, 200)}`);
    check(answer.json, media.schema, path);
    count++;
  }
  assert.ok(count >= 25, `only ${count} answers were compared`);
});

test("the document that the web app's types are made from is this one", async () => {
  const kept = JSON.parse(readFileSync(fileURLToPath(new URL("../../assets/web/openapi.json", import.meta.url)), "utf8"));
  assert.deepEqual(kept, api, "stale: ./dev types");
});
