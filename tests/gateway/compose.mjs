// Composes drr's own SDL with its neighbours, by the composers of three vendors.
import { readFile } from "node:fs/promises";
import { composeServices } from "@apollo/composition";
import { composeServices as composeGuild, assertCompositionSuccess } from "@theguild/federation-composition";
import { federateSubgraphs, ROUTER_COMPATIBILITY_VERSION_ONE } from "@wundergraph/composition";
import { parse } from "graphql";

// drr's own SDL, as it is checked in.
export async function registry(url) {
  const sdl = await readFile(new URL("../../schema.graphql", import.meta.url), "utf8");
  return { name: "registry", url, typeDefs: parse(sdl) };
}

export function composeByApollo(list) {
  const result = composeServices(list);
  if (result.errors?.length) throw new AggregateError(result.errors, String(result.errors));
  return result.supergraphSdl;
}

export function composeByGuild(list) {
  const result = composeGuild(list);
  assertCompositionSuccess(result);
  return result.supergraphSdl;
}

export function composeByWundergraph(list) {
  const result = federateSubgraphs({
    subgraphs: list.map(({ name, url, typeDefs }) => ({ name, url, definitions: typeDefs })),
    version: ROUTER_COMPATIBILITY_VERSION_ONE,
  });
  if (!result.success) throw new AggregateError(result.errors, String(result.errors));
  return result;
}
