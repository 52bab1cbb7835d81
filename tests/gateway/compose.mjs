// Composes drr's own SDL with its neighbours, by the composers of four vendors.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { composeServices as composeByApollo } from "@apollo/composition";
import { composeServices as composeByGuild, assertCompositionSuccess } from "@theguild/federation-composition";
import { federateSubgraphs, ROUTER_COMPATIBILITY_VERSION_ONE } from "@wundergraph/composition";
import { parse, print, visit } from "graphql";

// drr's own SDL, as it is checked in.
export async function registry(url) {
  const sdl = await readFile(new URL("../../schema.graphql", import.meta.url), "utf8");
  return { name: "registry", url, typeDefs: parse(sdl) };
}

// Without what is for gateways that enforce it: Apollo Gateway takes no supergraph that says it.
const RIGHTS = ["authenticated", "requiresScopes"];
export function withoutRights(list) {
  const isRight = ({ kind, value }) => kind === "StringValue" && RIGHTS.includes(value.slice(1));
  return list.map((subgraph) => {
    const typeDefs = visit(subgraph.typeDefs, {
      Directive: ({ name }) => (RIGHTS.includes(name.value) ? null : undefined),
      // The imports of @link.
      ListValue: (list) => ({ ...list, values: list.values.filter((value) => !isRight(value)) }),
    });
    return { ...subgraph, typeDefs };
  });
}

export function byApollo(list) {
  const result = composeByApollo(list);
  if (result.errors?.length) throw new AggregateError(result.errors, String(result.errors));
  return result.supergraphSdl;
}

export function byGuild(list) {
  const result = composeByGuild(list);
  assertCompositionSuccess(result);
  return result.supergraphSdl;
}

export function byWundergraph(list) {
  const result = federateSubgraphs({
    subgraphs: list.map(({ name, url, typeDefs }) => ({ name, url, definitions: typeDefs })),
    version: ROUTER_COMPATIBILITY_VERSION_ONE,
  });
  if (!result.success) throw new AggregateError(result.errors, String(result.errors));
  return result;
}

// The command that makes a configuration for Cosmo's router, as a person runs it.
export async function byWgc(list, folder) {
  const subgraphs = list.map(({ name, url, typeDefs }) => {
    const file = join(folder, `${name}.graphql`);
    return { name, routing_url: url, schema: { file }, typeDefs };
  });
  await Promise.all(subgraphs.map(({ schema, typeDefs }) => writeFile(schema.file, print(typeDefs))));
  const [input, output] = ["graph.yaml", "router.json"].map((name) => join(folder, name));
  // YAML takes JSON as it is.
  const graph = { version: 1, subgraphs: subgraphs.map(({ typeDefs, ...rest }) => rest) };
  await writeFile(input, JSON.stringify(graph));
  const program = new URL("node_modules/wgc/dist/src/index.js", import.meta.url).pathname;
  // It would look for a newer version of itself, and report its use.
  const env = { ...process.env, DISABLE_UPDATE_CHECK: "true", DO_NOT_TRACK: "1" };
  const words = [program, "router", "compose", "--input", input, "--out", output];
  await promisify(execFile)(process.execPath, words, { env });
  return JSON.parse(await readFile(output, "utf8"));
}
