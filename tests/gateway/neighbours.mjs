// Two more subgraphs, which extend the registry's datasets: teams by natural key, pipelines by id.
import { readFile } from "node:fs/promises";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse } from "graphql";

export const definitions = async (name) =>
  parse(await readFile(new URL(`${name}.graphql`, import.meta.url), "utf8"));

// The pipeline of this name has one output that drr does not know.
export const UNKNOWN = "with an unknown output";
const unknown = { id: "0190b1d2-0000-7000-8000-000000000000" };

// `datasets`: what drr knows, as `{ id, namespace, name }`.
const resolvers = {
  teams: (datasets) => ({
    Query: { team: (_, { name }) => ({ name }) },
    Team: { datasets: () => datasets.map(({ namespace, name }) => ({ namespace, name })) },
    Dataset: {
      __resolveReference: (reference) => reference,
      team: ({ owners }) => (owners?.length ? { name: owners[0] } : null),
      seenAuthorization: (_, __, { authorization }) => authorization,
    },
  }),
  pipelines: (datasets) => ({
    Query: { pipeline: (_, { name }) => ({ name }) },
    Pipeline: {
      outputs: ({ name }) => {
        const [first, ...rest] = datasets.map(({ id }) => ({ id }));
        return name === UNKNOWN ? [first, unknown, ...rest] : [first, ...rest];
      },
    },
    Dataset: {
      __resolveReference: (reference) => reference,
      madeBy: () => ({ name: "nightly" }),
    },
  }),
};

export async function startNeighbour(name, datasets) {
  const typeDefs = await definitions(name);
  const schema = buildSubgraphSchema({ typeDefs, resolvers: resolvers[name](datasets) });
  const server = new ApolloServer({ schema });
  const { url } = await startStandaloneServer(server, {
    listen: { host: "127.0.0.1", port: 0 },
    context: async ({ req }) => ({ authorization: req.headers.authorization }),
  });
  return { name, url, typeDefs, stop: () => server.stop() };
}
