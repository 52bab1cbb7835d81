// The checks of Apollo's subgraph compatibility suite, as they come from npm, against its products at
// PRODUCTS_URL. Its own program would have Docker or rover fetch a router; its checks need one address
// of a gateway, whichever it is, and the functions that jest puts beside a test.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { expect } from "expect";
import { parse } from "graphql";
import { byApollo, byGuild } from "./compose.mjs";
import { freePort, startApollo, startHive } from "./gateways.mjs";
import { readTrace } from "./trace.mjs";

const require = createRequire(import.meta.url);
const suite = dirname(require.resolve("@apollo/federation-subgraph-compatibility-tests"));
const client = require(join(suite, "utils/client.js"));
Object.assign(globalThis, { describe, it, test, expect });

// The suite's two other subgraphs, which bring their own server.
const others = ["users", "inventory"];
async function startOther(name) {
  const folder = join(suite, "subgraphs", name);
  const port = await freePort();
  const env = { ...process.env, [`${name.toUpperCase()}_PORT`]: String(port) };
  const child = fork(join(folder, "index.js"), { cwd: folder, env, stdio: "ignore" });
  const [message] = await once(child, "message");
  assert.equal(message, "ready");
  const typeDefs = parse(await readFile(join(folder, `${name}.graphql`), "utf8"));
  const stop = async () => {
    child.kill();
    await once(child, "exit");
  };
  return { name, url: `http://localhost:${port}/`, typeDefs, stop };
}

let list;
const folder = await mkdtemp(join(tmpdir(), "drr-compatibility-"));
before(async () => {
  const { data } = await client.productsRequest({ query: "{ _service { sdl } }" });
  const products = { name: "products", url: process.env.PRODUCTS_URL, typeDefs: parse(data._service.sdl) };
  list = [products, ...(await Promise.all(others.map(startOther)))];
});
after(async () => {
  await Promise.all(list.map(({ stop }) => stop?.()));
  await rm(folder, { recursive: true });
});

const checks = readdirSync(join(suite, "tests")).filter((name) => name.endsWith(".test.js"));
assert.equal(checks.length, 12);

function passes(gateway, start) {
  describe(`through ${gateway}`, () => {
    let running;
    before(async () => {
      running = await start();
      client.ROUTER_URL = running.url;
    });
    after(() => running?.stop());
    for (const name of checks) {
      const path = join(suite, "tests", name);
      // Each gateway has them afresh.
      delete require.cache[path];
      require(path);
    }
  });
}

passes("Apollo Gateway", () => startApollo(byApollo(list)));
passes("Hive Gateway", async () => {
  const file = join(folder, "supergraph.graphql");
  await writeFile(file, byGuild(list));
  return startHive(file, { HIVE_RUNTIME: "router" });
});

// The suite asks only whether there is a trace; Apollo's own reader says what is in it.
test("a trace tells what was resolved, how long it took and what failed", async () => {
  const query = `query ($known: [_Any!]!, $unknown: [_Any!]!) {
    product(id: "apollo-federation") { key: id research { study { caseNumber } } }
    found: _entities(representations: $known) { ... on User { name } }
    missing: _entities(representations: $unknown) { __typename }
  }`;
  const variables = {
    known: [{ __typename: "User", email: "support@apollographql.com" }],
    unknown: [{ __typename: "Nothing" }],
  };
  const begun = Date.now();
  const headers = { "apollo-federation-include-trace": "ftv1" };
  const { extensions } = await client.productsRequest({ query, variables }, headers);
  const { trace, nodes } = readTrace(extensions.ftv1);
  assert.ok(Math.abs(Number(trace.startTime.seconds) * 1000 - begun) < 60_000);
  assert.equal(trace.isIncomplete, false);
  const { type, parentType } = nodes.get("product");
  assert.deepEqual([type, parentType], ["Product", "Query"]);
  assert.equal(nodes.get("product.key").originalFieldName, "id");
  assert.equal(nodes.get("product.research.0.study.caseNumber").type, "ID!");
  // The library says no path for it.
  const [error] = trace.root.error;
  assert.equal(error.message, "Entity not found.");
  assert.deepEqual([error.location[0].line > 0, error.location.length], [true, 1]);

  const without = await client.productsRequest({ query: "{ __typename }" });
  assert.equal(without.extensions, undefined);
});
