// Hive Gateway's settings. HIVE_RUNTIME chooses its query planner: its own, or the Rust one
// ("router"). With HIVE_JWKS it verifies tokens, and enforces what the schema says of scopes and cost.
import { createRemoteJwksSigningKeyProvider, defineConfig } from "@graphql-hive/gateway";
import { unifiedGraphHandler } from "@graphql-hive/router-runtime";

const { HIVE_RUNTIME, HIVE_JWKS, HIVE_ISSUER, HIVE_AUDIENCE, HIVE_MAX_COST } = process.env;

const enforcing = HIVE_JWKS && {
  jwt: {
    signingKeyProviders: [createRemoteJwksSigningKeyProvider({ jwksUri: HIVE_JWKS, cache: true })],
    tokenVerification: { algorithms: ["RS256"], issuer: HIVE_ISSUER, audience: HIVE_AUDIENCE },
    // The subgraphs get the token itself, and verify it themselves.
    forward: { payload: false },
  },
  genericAuth: { mode: "protect-granular", resolveUserFn: ({ jwt }) => jwt?.payload },
  demandControl: { maxCost: Number(HIVE_MAX_COST) },
};

export const gatewayConfig = defineConfig({
  ...(HIVE_RUNTIME === "router" ? { unifiedGraphHandler } : {}),
  ...enforcing,
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => ({ authorization: request.headers.get("authorization") }),
  },
});
