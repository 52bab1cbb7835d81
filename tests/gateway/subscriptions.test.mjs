// The clients that others wrote for both protocols, against the running service: they connect,
// are told, come back after a break with a new token, and go on without a gap.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient as createSse } from 'graphql-sse';
import { createClient as createWs } from 'graphql-ws';

const url = process.env.DRR_URL;
const authorization = `Bearer ${process.env.DRR_READER}`;
const admin = `Bearer ${process.env.DRR_ADMIN}`;

const query = `subscription($after: String) {
  freshnessChanged(after: $after) { cursor cause status dataset { name } } }`;

const register = async (name) => {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { authorization: admin, 'content-type': 'application/json' },
    body: JSON.stringify({
      query: 'mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { status } }',
      variables: { input: { namespace: 'ns', name } },
    }),
  });
  const { data } = await answer.json();
  assert.equal(data.registerDataset.status, 'REGISTERED');
};

// What was there before the first item: numbers begin with 1.
const beginning = Buffer.from('{"freshness":0}').toString('base64url');

const names = async (items, count) => {
  const seen = [];
  for await (const { data, errors } of items) {
    assert.equal(errors, undefined);
    seen.push(data.freshnessChanged);
    if (seen.length === count) break;
  }
  return seen;
};

const datasets = JSON.parse(process.env.DRR_DATASETS).map((dataset) => dataset.name);

test('graphql-ws is told from the beginning, and of what happens meanwhile', async (t) => {
  const client = createWs({
    url: url.replace('http', 'ws'),
    connectionParams: { authorization },
    retryAttempts: 0,
  });
  t.after(() => client.dispose());
  const items = client.iterate({ query, variables: { after: beginning } });
  const told = names(items, datasets.length + 1);
  await register('from_ws');
  const seen = (await told).map((item) => item.dataset.name);
  assert.deepEqual(seen, [...datasets, 'from_ws']);
});

test('graphql-ws goes on after the last cursor when its connection breaks', async (t) => {
  let socket;
  let after = beginning;
  const seen = [];
  let broken = 0;
  const client = createWs({
    url: url.replace('http', 'ws'),
    connectionParams: async () => ({ Authorization: authorization }),
    retryAttempts: 10,
    shouldRetry: () => true,
    retryWait: async () => {},
    on: { connected: (connected) => (socket = connected) },
  });
  t.after(() => client.dispose());
  await new Promise((done, failed) => {
    client.subscribe(
      { query, get variables() { return { after }; } },
      {
        next: ({ data }) => {
          after = data.freshnessChanged.cursor;
          seen.push(data.freshnessChanged.dataset.name);
          if (seen.length >= datasets.length) return done();
          broken += 1;
          client.terminate();
        },
        error: failed,
        complete: done,
      },
    );
  });
  assert.ok(socket && broken > 0);
  // What comes behind them may be there already.
  assert.deepEqual(seen, [...datasets, 'from_ws'].slice(0, seen.length));
});

test('graphql-ws gives up on a token that is none, and asks again when it may', async (t) => {
  let asked = 0;
  const client = createWs({
    url: url.replace('http', 'ws'),
    connectionParams: async () => {
      asked += 1;
      return { authorization: asked === 1 ? 'Bearer nonsense' : authorization };
    },
    retryAttempts: 3,
    shouldRetry: (event) => event.code === 4403,
    retryWait: async () => {},
  });
  t.after(() => client.dispose());
  const [first] = await names(client.iterate({ query, variables: { after: beginning } }), 1);
  assert.equal(first.dataset.name, datasets[0]);
  assert.equal(asked, 2, '4403 is not fatal: a client comes back with a new token');
});

test('graphql-ws reports what is wrong with a document', async (t) => {
  const client = createWs({ url: url.replace('http', 'ws'), connectionParams: { authorization } });
  t.after(() => client.dispose());
  const items = client.iterate({ query: 'subscription { nothing }' });
  await assert.rejects(items.next(), (errors) => errors[0].extensions.code === 'BAD_USER_INPUT');
});

test('graphql-sse is told from the beginning, and of what happens meanwhile', async (t) => {
  const client = createSse({ url, headers: { authorization }, retryAttempts: 0 });
  t.after(() => client.dispose());
  const items = client.iterate({ query, variables: { after: beginning } });
  const told = names(items, datasets.length + 2);
  await register('from_sse');
  const seen = (await told).map((item) => item.dataset.name);
  assert.deepEqual(seen, [...datasets, 'from_ws', 'from_sse']);
});

test('graphql-sse is refused without a token', async (t) => {
  const client = createSse({ url, headers: { authorization: 'Bearer nonsense' }, retryAttempts: 0 });
  t.after(() => client.dispose());
  await assert.rejects(client.iterate({ query }).next());
});
