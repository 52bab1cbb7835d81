// The GraphQL-over-HTTP audits of the graphql-http package, against drr.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverAudits } from "graphql-http";

const { DRR_URL, DRR_READER } = process.env;

// Each request as the audit makes it, with a token.
const fetchFn = (url, init = {}) => {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${DRR_READER}`);
  return fetch(url, { ...init, headers });
};

const audits = serverAudits({ url: DRR_URL, fetchFn });
assert.equal(audits.length, 61);
for (const audit of audits) {
  test(audit.name, async () => {
    const result = await audit.fn();
    assert.equal(result.status, "ok", result.reason);
  });
}
