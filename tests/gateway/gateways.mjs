// Real gateways, each serving a supergraph on a port of its own.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
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

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// `runtime` is "javascript" or "router", the planner written in Rust.
export async function startHive(supergraphFile, runtime) {
  const port = await freePort();
  const program = new URL("node_modules/@graphql-hive/gateway/dist/bin.js", import.meta.url).pathname;
  const config = new URL("hive.config.mjs", import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    [program, "supergraph", supergraphFile, "--host", "127.0.0.1", "--port", String(port), "--config-path", config, "--fork", "1"],
    { env: { ...process.env, HIVE_RUNTIME: runtime }, stdio: ["ignore", "pipe", "pipe"] },
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
