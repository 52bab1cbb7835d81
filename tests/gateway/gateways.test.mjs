// Queries across drr and two more subgraphs, through gateways that others wrote.
//
// DRR_URL is drr's GraphQL endpoint; DRR_READER a reader's token of the tenant whose datasets are in
// DRR_DATASETS ([{ id, namespace, name }]), DRR_STRANGER one of another tenant, DRR_NO_SCOPE one
// without any scope.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { composeByApollo, composeByGuild, composeByWundergraph, registry } from "./compose.mjs";
import { startApollo, startHive } from "./gateways.mjs";
import { startNeighbour } from "./neighbours.mjs";

const { DRR_URL, DRR_READER, DRR_STRANGER, DRR_NO_SCOPE } = process.env;
const datasets = JSON.parse(process.env.DRR_DATASETS);
const folder = await mkdtemp(join(tmpdir(), "drr-gateway-"));
const neighbours = await Promise.all(["teams", "pipelines"].map((name) => startNeighbour(name, datasets)));
const list = [await registry(DRR_URL), ...neighbours];
after(async () => {
  await Promise.all(neighbours.map(({ stop }) => stop()));
  await rm(folder, { recursive: true });
});

describe("composition", () => {
  for (const compose of [composeByApollo, composeByGuild, composeByWundergraph]) {
    test(compose.name, () => assert.ok(compose(list)));
  }
});

async function ask(gateway, token, query, variables) {
  const response = await fetch(gateway.url, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

const names = (list) => list.map(({ namespace, name }) => `${namespace} ${name}`).sort();

function behaves(start) {
  let gateway;
  before(async () => {
    gateway = await start();
  });
  after(() => gateway?.stop());

  test("a query across all subgraphs, from drr's side", async () => {
    const query = "{ datasets { nodes { namespace name freshness { status } team { name } madeBy { name } seenAuthorization } } }";
    const { data, errors } = await ask(gateway, DRR_READER, query);
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.deepEqual(names(data.datasets.nodes), names(datasets));
    for (const node of data.datasets.nodes) {
      assert.equal(node.freshness.status, "NOT_APPLICABLE");
      assert.deepEqual(node.team, { name: "revenue" });
      assert.deepEqual(node.madeBy, { name: "nightly" });
      // The caller's token, not one of the gateway's own.
      assert.equal(node.seenAuthorization, `Bearer ${DRR_READER}`);
    }
  });

  test("entities by their natural key", async () => {
    const query = '{ team(name: "revenue") { datasets { namespace name urn lifecycle } } }';
    const { data, errors } = await ask(gateway, DRR_READER, query);
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.deepEqual(names(data.team.datasets), names(datasets));
    assert.ok(data.team.datasets.every(({ urn, lifecycle }) => urn && lifecycle === "ACTIVE"));
  });

  test("entities by id", async () => {
    const query = '{ pipeline(name: "p") { outputs { id namespace name owners refreshState { status } } } }';
    const { data, errors } = await ask(gateway, DRR_READER, query);
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.deepEqual(names(data.pipeline.outputs), names(datasets));
  });

  test("another tenant's caller gets nothing by either key, and no word why", async () => {
    const query = '{ team(name: "t") { datasets { name urn } } pipeline(name: "p") { outputs { id urn } } }';
    const { data } = await ask(gateway, DRR_STRANGER, query);
    const seen = JSON.stringify(data);
    assert.ok(!seen.includes("urn:drr"), seen);
  });

  test("without the scope, and without a token, drr refuses behind the gateway", async () => {
    for (const [token, code] of [[DRR_NO_SCOPE, "FORBIDDEN"], [undefined, "UNAUTHENTICATED"]]) {
      const { data, errors } = await ask(gateway, token, "{ datasets { nodes { name } } }");
      assert.equal(data?.datasets ?? null, null);
      assert.ok(errors.some((error) => JSON.stringify(error).includes(code)), JSON.stringify(errors));
    }
  });
}

describe("Apollo Gateway", () => behaves(() => startApollo(composeByApollo(list))));

for (const runtime of ["javascript", "router"]) {
  describe(`Hive Gateway, ${runtime} runtime`, () =>
    behaves(async () => {
      const file = join(folder, `${runtime}.graphql`);
      await writeFile(file, composeByGuild(list));
      return startHive(file, runtime);
    }));
}
