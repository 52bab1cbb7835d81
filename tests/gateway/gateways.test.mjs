// Queries across drr and two more subgraphs, through gateways that others wrote.
//
// DRR_URL is drr's GraphQL endpoint, DRR_INTERNAL_URL that of the internal listener; DRR_READER a reader's
// token of the tenant whose datasets are in DRR_DATASETS ([{ id, namespace, name }]), DRR_STRANGER one of
// another tenant, DRR_NO_SCOPE one without any scope, DRR_WRITER a service's with the scope to write and no
// other. DRR_JWKS has the key that signed them, for DRR_ISSUER and DRR_AUDIENCE.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as compose from "./compose.mjs";
import { startApollo, startCounter, startHive, startKeys } from "./gateways.mjs";
import { startNeighbour, UNKNOWN } from "./neighbours.mjs";
import { readTrace } from "./trace.mjs";

const { DRR_URL, DRR_READER, DRR_STRANGER, DRR_NO_SCOPE, DRR_WRITER } = process.env;
const datasets = JSON.parse(process.env.DRR_DATASETS);
const folder = await mkdtemp(join(tmpdir(), "drr-gateway-"));
const neighbours = await Promise.all(["teams", "pipelines"].map((name) => startNeighbour(name, datasets)));
// Every gateway reaches drr through it.
const drr = await startCounter(DRR_URL);
const keys = await startKeys(process.env.DRR_JWKS);
const list = [await compose.registry(drr.url), ...neighbours];
after(async () => {
  await Promise.all([...neighbours, drr, keys].map(({ stop }) => stop()));
  await rm(folder, { recursive: true });
});

describe("composition", () => {
  for (const by of [compose.byApollo, compose.byGuild, compose.byWundergraph]) {
    test(by.name, () => assert.ok(by(list)));
  }

  test("byWgc", async () => {
    const { engineConfig, subgraphs } = await compose.byWgc(list, folder);
    const composed = subgraphs.map(({ name, routingUrl }) => ({ name, url: routingUrl }));
    assert.deepEqual(composed, list.map(({ name, url }) => ({ name, url })));
    assert.equal(engineConfig.datasourceConfigurations.length, list.length);
  });
});

async function ask({ url }, token, query, more) {
  const authorization = token && { authorization: `Bearer ${token}` };
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization, ...more },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

const names = (list) => list.map(({ namespace, name }) => `${namespace} ${name}`).sort();
const codes = ({ errors }) => errors?.map(({ extensions }) => extensions?.code);

const LIST = "{ datasets { nodes { name } } }";
const RECORD = `mutation { recordRunEvents(input: { events: [{
  runId: "0190b1d2-7d5a-7000-8000-000000000001", eventType: COMPLETE, eventTime: "2026-01-31T12:00:00Z",
  job: { namespace: "pipelines", name: "nightly" }, outputs: [{ datasetId: "${datasets[0].id}" }]
}] }) { results { status } } }`;
// Too much for anybody: 200 datasets with 200 runs each, each with its job.
const COSTLY = "{ datasets(first: 200) { nodes { runs(first: 200) { nodes { runId job { name } run { state } } } } } }";
// Who may not have what, and drr's own word for it.
const REFUSED = [
  ["a reader without the scope", DRR_NO_SCOPE, LIST, "FORBIDDEN"],
  ["a service that may only write, reading", DRR_WRITER, LIST, "FORBIDDEN"],
  ["a reader, writing", DRR_READER, RECORD, "FORBIDDEN"],
  ["nobody", undefined, LIST, "UNAUTHENTICATED"],
  ["a costly query", DRR_READER, COSTLY, "LIMIT_EXCEEDED"],
];

describe("drr itself", () => {
  for (const [who, token, query, code] of REFUSED) {
    test(`refuses ${who}`, async () => {
      assert.deepEqual(codes(await ask({ url: DRR_URL }, token, query)), [code]);
    });
  }

  test("traces what comes inside", async () => {
    const query = "{ list: datasets { nodes { name freshness { status } } } }";
    const wanted = { "apollo-federation-include-trace": "ftv1" };
    const inside = { url: process.env.DRR_INTERNAL_URL };
    const { data, extensions } = await ask(inside, DRR_READER, query, wanted);
    assert.equal(data.list.nodes.length, datasets.length);
    const { nodes } = readTrace(extensions.ftv1);
    assert.equal(nodes.get("list").originalFieldName, "datasets");
    for (const index of datasets.keys()) assert.equal(nodes.get(`list.nodes.${index}.freshness.status`).parentType, "Freshness");
    const refused = await ask(inside, DRR_NO_SCOPE, query, wanted);
    const [error] = readTrace(refused.extensions.ftv1).nodes.get("list").error;
    assert.equal(error.message, refused.errors[0].message);

    assert.equal((await ask(inside, DRR_READER, query)).extensions, undefined);
    assert.equal((await ask({ url: DRR_URL }, DRR_READER, query, wanted)).extensions, undefined);
  });
});

// What every gateway does; `also` has tests of its own.
function behaves(start, also) {
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

  test("where one dataset of several is missing, the others come", async () => {
    const query = `{ pipeline(name: "${UNKNOWN}") { outputs { id name urn } } }`;
    const { data } = await ask(gateway, DRR_READER, query);
    const seen = data.pipeline.outputs.map((output) => output?.name ?? null);
    assert.deepEqual(seen, [datasets[0].name, null, ...datasets.slice(1).map(({ name }) => name)]);
  });

  test("another tenant's caller gets nothing by either key, and no word why", async () => {
    const query = '{ team(name: "t") { datasets { name urn } } pipeline(name: "p") { outputs { id urn } } }';
    const { data } = await ask(gateway, DRR_STRANGER, query);
    const seen = JSON.stringify(data);
    assert.ok(!seen.includes("urn:drr"), seen);
  });

  test("a service's mutation", async () => {
    const { data, errors } = await ask(gateway, DRR_WRITER, RECORD);
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.match(data.recordRunEvents.results[0].status, /RECORDED|DUPLICATE/);
  });

  also(() => gateway);
}

// A gateway that leaves it to drr to refuse.
function passesOn(gateway) {
  for (const [who, token, query, code] of REFUSED) {
    test(`drr refuses ${who}`, async () => {
      const before = drr.requests();
      const { data, errors } = await ask(gateway(), token, query);
      assert.equal(data?.datasets ?? data?.recordRunEvents ?? null, null);
      assert.ok(JSON.stringify(errors).includes(code), JSON.stringify(errors));
      assert.equal(drr.requests(), before + 1);
    });
  }
}

// A gateway that refuses before it asks drr, in words of its own.
const HIVES_CODES = { LIMIT_EXCEEDED: "COST_ESTIMATED_TOO_EXPENSIVE", FORBIDDEN: "UNAUTHORIZED_FIELD_OR_TYPE" };
function enforces(gateway) {
  for (const [who, token, query, code] of REFUSED) {
    test(`refuses ${who} before drr is asked`, async () => {
      const before = drr.requests();
      const answer = await ask(gateway(), token, query);
      assert.equal(answer.data?.datasets ?? answer.data?.recordRunEvents ?? null, null);
      assert.ok(codes(answer).includes(HIVES_CODES[code]), JSON.stringify(answer));
      assert.equal(drr.requests(), before);
    });
  }
}

// What a subscription tells over server-sent events, one item after the other.
async function* items({ url }, token, query) {
  const stop = new AbortController();
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { accept: "text/event-stream", "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
      signal: stop.signal,
    });
    assert.equal(response.headers.get("content-type")?.split(";")[0], "text/event-stream", await notAStream(response));
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const [, data] = text.slice(0, end).match(/^event: next\ndata: (.*)$/m) ?? [];
        if (data) yield JSON.parse(data);
      }
    }
  } finally {
    stop.abort();
  }
}

const notAStream = (response) => (response.ok ? "" : response.text());

// A gateway that speaks of subscriptions with drr.
function subscribes(gateway) {
  test("a subscription that the neighbours take part in", { timeout: 60_000 }, async () => {
    const after = Buffer.from('{"freshness":0}').toString("base64url");
    const told = items(gateway(), DRR_READER, `subscription { freshnessChanged(after: "${after}") {
      cause changedAt dataset { namespace name team { name } madeBy { name } seenAuthorization } } }`);
    const next = async () => {
      const { value } = await told.next();
      assert.equal(value?.errors, undefined, JSON.stringify(value));
      const { dataset, ...change } = value.data.freshnessChanged;
      assert.deepEqual(dataset.team, { name: "revenue" });
      assert.deepEqual(dataset.madeBy, { name: "nightly" });
      assert.equal(dataset.seenAuthorization, `Bearer ${DRR_READER}`);
      return { ...change, name: dataset.name };
    };
    // What happened before, and then what happens while it is open.
    for (const { name } of datasets) {
      const registered = await next();
      assert.deepEqual([registered.cause, registered.name], ["REGISTERED", name]);
    }
    const since = new Date();
    const record = RECORD.replace(/runId: "[^"]*"/, `runId: "${randomUUID()}"`);
    const run = record.replace(/eventTime: "[^"]*"/, `eventTime: "${since.toISOString()}"`);
    const { data } = await ask({ url: DRR_URL }, DRR_WRITER, run);
    assert.equal(data.recordRunEvents.results[0].status, "RECORDED");
    let change;
    do change = await next();
    while (new Date(change.changedAt) < since);
    assert.deepEqual([change.cause, change.name], ["REFRESHED", datasets[0].name]);
    await told.return();
  });
}

describe("Apollo Gateway", () => {
  behaves(() => startApollo(compose.byApollo(compose.withoutRights(list))), passesOn);
});

for (const runtime of ["javascript", "router"]) {
  const start = async () => {
    const file = join(folder, `${runtime}.graphql`);
    await writeFile(file, compose.byGuild(list));
    return startHive(file, {
      HIVE_RUNTIME: runtime,
      HIVE_JWKS: keys.url,
      HIVE_ISSUER: process.env.DRR_ISSUER,
      HIVE_AUDIENCE: process.env.DRR_AUDIENCE,
      HIVE_MAX_COST: "5000",
    });
  };
  const also = (gateway) => {
    enforces(gateway);
    subscribes(gateway);
  };
  describe(`Hive Gateway, ${runtime} runtime`, () => behaves(start, also));
}
