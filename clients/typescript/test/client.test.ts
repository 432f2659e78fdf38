// Against a real service, whose address is in ROUTER_URL, and against servers that misbehave.
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { Breaker, RouterClient, type RouteRequest } from "../src/index.js";

const url = process.env["ROUTER_URL"];
if (!url) throw new Error("ROUTER_URL must be the address of a scoring service");
const apiKey = process.env["ROUTER_KEY"] ?? "";
const fallback = "the-fallback";

/** Runs a server that answers as told, and gives its address. */
async function serving(listener: RequestListener, body: (address: string) => Promise<void>) {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("the service decides, and takes feedback", async () => {
  const router = new RouterClient({ url, fallback, apiKey, timeoutMs: 5_000 });
  const choice = await router.route({
    messages: [{ role: "user", content: "How does dough rise?" }],
    max_cost_usd: 1,
    request_id: "ts-1",
  });
  assert.equal(choice.source, "router", choice.reason);
  assert.equal(choice.ranking[0], choice.candidate);
  assert.ok(choice.ranking.length > 1);
  assert.equal(await router.feedback(choice.decisionId, { quality: 1, source: "checker" }), true);
});

test("a limit that leaves nobody gives the fallback, with the service's own words", async () => {
  const router = new RouterClient({ url, fallback, apiKey, timeoutMs: 5_000 });
  const choice = await router.route({ query: "Hello", max_cost_usd: 1e-30 });
  assert.equal(choice.source, "fallback");
  assert.match(choice.reason, /409.*max_cost_usd/);
});

test("a wrong key gives the fallback", async () => {
  const router = new RouterClient({ url, fallback, apiKey: "wrong", timeoutMs: 5_000 });
  const choice = await router.route({ query: "Hello" });
  assert.deepEqual([choice.candidate, choice.source], [fallback, "fallback"]);
  assert.equal(await router.feedback(choice.decisionId, { quality: 1 }), false);
});

test("a service that is down gives the fallback, and then costs nothing", async () => {
  const breaker = new Breaker(2, 60_000);
  const router = new RouterClient({ url: "http://127.0.0.1:9", fallback, breaker });
  for (let i = 0; i < 2; i++) {
    assert.match((await router.route({ query: "a" })).reason, /cannot be asked/);
  }
  assert.match((await router.route({ query: "a" })).reason, /left alone/);
});

test("headers in time and a body that never ends: the timeout holds", async () => {
  const slow: RequestListener = (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"candidate": ');
  };
  await serving(slow, async (address) => {
    const router = new RouterClient({ url: address, fallback, timeoutMs: 100 });
    const begun = performance.now();
    const choice = await router.route({ query: "a" });
    assert.equal(choice.source, "fallback");
    assert.ok(performance.now() - begun < 5_000);
  });
});

for (const [what, status, body] of [
  ["no JSON", 200, "<html>"],
  ["another service", 200, "{}"],
  ["an array", 200, "[]"],
  ["a defect", 500, "{}"],
  ["an older service without the path", 404, '{"detail": "no such path"}'],
] as const) {
  test(`${what}: the fallback`, async () => {
    const listener: RequestListener = (_, response) => response.writeHead(status).end(body);
    await serving(listener, async (address) => {
      const router = new RouterClient({ url: address, fallback, timeoutMs: 5_000 });
      assert.equal((await router.route({ query: "a" })).candidate, fallback);
    });
  });
}

test("a redirect is not followed: the key goes to nobody else", async () => {
  let asked = 0;
  const other: RequestListener = (_, response) => {
    asked += 1;
    response.writeHead(200).end("{}");
  };
  await serving(other, async (elsewhere) => {
    const listener: RequestListener = (_, response) =>
      response.writeHead(307, { location: elsewhere }).end();
    await serving(listener, async (address) => {
      const router = new RouterClient({ url: address, fallback, apiKey, timeoutMs: 5_000 });
      assert.equal((await router.route({ query: "a" })).source, "fallback");
    });
  });
  assert.equal(asked, 0);
});

test("what cannot be right is refused at once", () => {
  assert.throws(() => new RouterClient({ url: "no address", fallback }));
  assert.throws(() => new RouterClient({ url: "http://router", fallback: "" }), RangeError);
  assert.throws(() => new Breaker(0), RangeError);
});

// The compiler refuses a mistyped field: `tsc` fails if this line holds no error.
// @ts-expect-error
const mistyped: RouteRequest = { query: "a", max_cost: 1 };
void mistyped;
