// Real gateways, each serving a supergraph on a port of its own.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { createServer as createHttpServer, request as httpRequest } from "node:http";
import { once } from "node:events";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";

class WithToken extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    if (context.authorization) request.http.headers.set("authorization", context.authorization);
  }
}

export async function startApollo(supergraphSdl) {
  const gateway = new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new WithToken({ url }) });
  const server = new ApolloServer({ gateway });
  const { url } = await startStandaloneServer(server, {
    listen: { host: "127.0.0.1", port: 0 },
    context: async ({ req }) => ({ authorization: req.headers.authorization }),
  });
  return { url, stop: () => server.stop() };
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// `settings` are the variables that hive.config.mjs reads.
export async function startHive(supergraphFile, settings) {
  const port = await freePort();
  const program = new URL("node_modules/@graphql-hive/gateway/dist/bin.js", import.meta.url).pathname;
  const config = new URL("hive.config.mjs", import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    [program, "supergraph", supergraphFile, "--host", "127.0.0.1", "--port", String(port), "--config-path", config, "--fork", "1"],
    { env: { ...process.env, ...settings }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const said = [];
  const ready = Promise.withResolvers();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      said.push(text);
      if (/listening on/i.test(said.join(""))) ready.resolve();
    });
  }
  const ended = once(child, "exit");
  ended.then(() => ready.reject(new Error(`the gateway ended:\n${said.join("")}`)));
  await ready.promise;
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { url: `http://127.0.0.1:${port}/graphql`, stop, said };
}

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}

// Passes everything on to `target`, and counts.
export async function startCounter(target) {
  const { hostname, port, pathname } = new URL(target);
  let requests = 0;
  const server = createHttpServer((incoming, outgoing) => {
    requests += 1;
    const { method, headers, url } = incoming;
    const path = pathname + new URL(url, target).search;
    const onward = httpRequest({ hostname, port, path, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  });
  return { ...(await listen(server)), requests: () => requests };
}

// A key set at an address, as an identity service has it.
export async function startKeys(document) {
  const server = createHttpServer((_, answer) =>
    answer.writeHead(200, { "content-type": "application/json" }).end(document),
  );
  return listen(server);
}
