// The page as somebody sees it, in a real browser. tests/it/graphiql.rs starts the service and says
// where it is:
//   DRR_URL       the public listener
//   DRR_ADMIN     a tenant-admin's token of `acme`, which has one dataset that is late: `daily_revenue`
//   DRR_EXPIRED   a token of `acme` that was good once
//   DRR_STRANGER  a reader's token of `globex`
//   DRR_CHROMIUM  the browser
//   DRR_SHOTS     a folder for pictures of the page, if anybody wants them
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { EXAMPLES } from "../src/examples.js";

const { DRR_URL, DRR_ADMIN, DRR_EXPIRED, DRR_STRANGER, DRR_CHROMIUM, DRR_SHOTS } = process.env;
const PAGE = `${DRR_URL}/graphiql`;
const READY = ".drr-examples button:enabled";

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: DRR_CHROMIUM,
    // The first three for a machine without a desktop, the others so that the browser asks for nothing
    // of its own.
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
after(() => browser.close());

/** A tab of its own, and everything that went wrong in it. */
async function open(token, { expected = () => false, prepare = () => {} } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const trouble = [];
  const asked = [];
  const note = (kind, text) => expected(text) || trouble.push(`${kind}: ${text}`);
  page.on("console", (said) => {
    if (["error", "warning"].includes(said.type())) note(said.type(), said.text());
  });
  page.on("pageerror", (error) => note("error", error.message));
  // A reload gives up what is still being fetched: a worker of the editor, for one.
  let reloading = false;
  const givenUp = (request) => reloading && request.failure().errorText === "net::ERR_ABORTED";
  page.on("requestfailed", (request) => givenUp(request) || note("failed", request.url()));
  page.on("response", (response) => {
    if (response.status() >= 400) note(String(response.status()), response.url());
  });
  // Of the whole context: what workers ask for as well.
  context.on("request", (request) => asked.push(request));
  await page.exposeFunction("drrViolation", (text) => note("policy", text));
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (event) =>
      globalThis.drrViolation(`${event.violatedDirective} ${event.blockedURI}`),
    ),
  );
  await prepare(page);
  await page.goto(token ? `${PAGE}#token=${token}` : PAGE);
  await page.waitForSelector(READY);
  return {
    page,
    asked,
    async reload() {
      reloading = true;
      await page.reload();
      await page.waitForSelector(READY);
      reloading = false;
    },
    async close(name) {
      if (DRR_SHOTS) await page.screenshot({ path: `${DRR_SHOTS}/${name}.png` });
      const foreign = asked.map((request) => request.url());
      assert.deepEqual(
        foreign.filter((url) => !/^(data|blob):/.test(url) && new URL(url).origin !== DRR_URL),
        [],
      );
      assert.deepEqual(trouble, []);
      await context.close();
    },
  };
}

const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Key by key, as the editor closes brackets and quotes itself and steps over what it closed. */
async function type(page, editor, text) {
  await page.locator(`.graphiql-${editor} .monaco-editor`).first().click();
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Delete");
  await page.keyboard.type(text);
  // What it suggests is not what was typed.
  await page.keyboard.press("Escape");
}

/** The editor names a tab after its operation, as soon as it has read it. */
const opened = (page, name) => page.locator(".graphiql-tab-active", { hasText: name }).waitFor();

/** Runs what is in the editor (the operation of that name), and takes the answer from the wire. */
async function run(page, operation) {
  const answered = page.waitForResponse(
    (response) =>
      response.url() === `${DRR_URL}/graphql` &&
      !response.request().postData().includes("IntrospectionQuery"),
  );
  await button(page, "Execute query (Ctrl-Enter)").click();
  if (operation) await page.getByRole("menuitem", { name: operation, exact: true }).click();
  return (await answered).json();
}

const shown = (page, text) => page.locator(".result-window", { hasText: text }).waitFor();

test("a query that is typed is run with the token of the address, and its answer shown", async () => {
  const { page, asked, reload, close } = await open(DRR_ADMIN);
  assert.equal(page.url(), PAGE, "the token is not in the address any more");
  const stored = await page.evaluate(() => ({
    local: Object.entries(localStorage),
    session: sessionStorage.getItem("drr:token"),
    cookies: document.cookie,
  }));
  assert.deepEqual(stored, { local: [], session: DRR_ADMIN, cookies: "" });

  await type(page, "query-editor", "{ me { tenantId role } }");
  await opened(page, "<untitled>");
  const answered = page.waitForResponse(`${DRR_URL}/graphql`);
  await page.keyboard.press("Control+Enter");
  assert.deepEqual(await (await answered).json(), {
    data: { me: { tenantId: "acme", role: "tenant-admin" } },
  });
  await shown(page, '"tenantId": "acme"');

  // The token is sent to the graph alone, and in the header alone.
  for (const request of asked) {
    const headers = await request.allHeaders();
    const graph = request.url() === `${DRR_URL}/graphql`;
    assert.equal(headers.authorization, graph ? `Bearer ${DRR_ADMIN}` : undefined, request.url());
    assert.ok(!request.url().includes("eyJ") && !headers.referer?.includes("eyJ"));
  }
  // A reload is the same tab: the token is there, and what was typed.
  await reload();
  await shown(page, "");
  assert.match(await page.locator(".drr-bearer").innerText(), /^acme · tenant-admin · good for \d+ min$/);
  await close("typed");
});

test("the schema can be read: descriptions of types, fields, arguments and values", async () => {
  const { page, close } = await open(DRR_ADMIN);
  await button(page, "Show Documentation Explorer").click();
  const docs = page.locator(".graphiql-doc-explorer");
  const follow = (name) => docs.getByRole("link", { name, exact: true }).first().click();
  await follow("Query");
  await docs.getByText("How many active datasets of the caller's tenant are in each status.").waitFor();
  await follow("datasets");
  await docs.getByText("The datasets of the caller's tenant.").waitFor();
  await docs.getByText("At most so many; 50 unless said otherwise, 200 at the most.").waitFor();
  await follow("DatasetOrder");
  await docs.getByText("By name.").waitFor();
  await close("docs");
});

for (const example of EXAMPLES) {
  test(`the example “${example.title}” is answered`, async () => {
    const { page, close } = await open(DRR_ADMIN);
    await page.locator(".drr-examples button", { hasText: example.title }).click();
    const [, first] = example.query.match(/^query (\w+)/);
    await opened(page, first);
    const several = (example.query.match(/^(query|mutation)/gm) ?? []).length > 1;
    const answer = await run(page, several && first);
    assert.equal(answer.errors, undefined, JSON.stringify(answer));
    assert.ok(answer.data);
    await shown(page, `"data"`);
    if (["Freshness board", "Why is it late?", "Breaches"].includes(example.title)) {
      await shown(page, "daily_revenue");
    }
    await close(example.title.replaceAll(/\W+/g, "-").toLowerCase());
  });
}

test("a breach is acknowledged and its dataset muted, as the example says", async () => {
  const { page, close } = await open(DRR_ADMIN);
  await page.locator(".drr-examples button", { hasText: "Acknowledge and mute" }).click();
  await opened(page, "OpenBreach");
  const { data } = await run(page, "OpenBreach");
  const [breach] = data.breaches.nodes;
  const until = new Date(Date.now() + 600_000).toISOString();
  const variables = { breachId: breach.id, datasetId: breach.dataset.id, until };
  await type(page, "editor-tool:visible", JSON.stringify(variables));
  const steps = [
    ["AcknowledgeBreach", "acknowledgeBreach", "ACKNOWLEDGED"],
    ["MuteFreshness", "muteFreshness", "MUTED"],
    ["UnmuteFreshness", "unmuteFreshness", "UNMUTED"],
  ];
  for (const [operation, field, status] of steps) {
    const answer = await run(page, operation);
    assert.equal(answer.errors, undefined, JSON.stringify(answer));
    assert.equal(answer.data[field].status, status);
    await shown(page, `"status": "${status}"`);
  }
  await close("acknowledged");
});

test("another token is another caller, and forgotten is forgotten", async () => {
  const { page, close } = await open(DRR_ADMIN);
  await button(page, "Another token").click();
  await page.getByLabel("Token").fill("no token");
  await button(page, "Use").click();
  await page.getByText("This is no token").waitFor();
  await page.getByLabel("Token").fill(`Authorization: Bearer ${DRR_STRANGER}\n`);
  const introspected = page.waitForResponse(`${DRR_URL}/graphql`);
  await button(page, "Use").click();
  await introspected;
  await type(page, "query-editor", "{ me { tenantId } datasets { nodes { name } } }");
  await opened(page, "<untitled>");
  assert.deepEqual(await run(page), {
    data: { me: { tenantId: "globex" }, datasets: { nodes: [] } },
  });
  await button(page, "Forget it").click();
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("drr:token")), null);
  await close("replaced");
});

test("without a token nothing is asked, and the page says what it needs", async () => {
  const { page, asked, close } = await open();
  await page.getByLabel("Token").waitFor();
  await button(page, "Show Documentation Explorer").click();
  await page.locator(".graphiql-doc-explorer").waitFor();
  assert.deepEqual(asked.filter((request) => new URL(request.url()).pathname === "/graphql"), []);
  await close("without");
});

test("a token that has expired is said to be so, and gets nothing", async () => {
  const refused = (text) => /401/.test(text) || text === `${DRR_URL}/graphql`;
  const { page, close } = await open(DRR_EXPIRED, { expected: refused });
  await page.getByText("has expired: give another").waitFor();
  const answer = await run(page);
  assert.equal(answer.data ?? null, null);
  await shown(page, "UNAUTHENTICATED");
  await close("expired");
});

test("a subscription goes over a socket, with the token in its first message", async () => {
  const said = [];
  // The other end of graphql-transport-ws, in a few words.
  const answer = (socket) =>
    socket.onMessage((text) => {
      const message = JSON.parse(text);
      said.push(message);
      const { id } = message;
      if (message.type === "connection_init") socket.send(JSON.stringify({ type: "connection_ack" }));
      if (message.type !== "subscribe") return;
      socket.send(JSON.stringify({ id, type: "next", payload: { data: { tick: "first event" } } }));
      socket.send(JSON.stringify({ id, type: "complete" }));
    });
  const prepare = (page) => page.routeWebSocket(`${DRR_URL.replace("http", "ws")}/graphql`, answer);
  const { page, close } = await open(DRR_ADMIN, { prepare });
  await type(page, "query-editor", "subscription { tick }");
  await opened(page, "<untitled>");
  await button(page, "Execute query (Ctrl-Enter)").click();
  await shown(page, "first event");
  assert.equal(said[0].type, "connection_init");
  assert.deepEqual(said[0].payload, { authorization: `Bearer ${DRR_ADMIN}` });
  assert.equal(said[1].payload.query, "subscription { tick }");
  await close("subscription");
});
