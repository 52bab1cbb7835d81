import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useMemo, useState } from "react";
import { EXAMPLES } from "./examples.js";
import { EXAMPLES_PLUGIN } from "./examples.jsx";
import { fetcherFor } from "./fetcher.js";
import { Header } from "./header.jsx";
import { keep, kept } from "./token.js";

const PLUGINS = [EXAMPLES_PLUGIN, HISTORY_PLUGIN];

/** The editor of GraphiQL under a bar of our own. Nothing outlives the tab: it may be someone else's. */
export function Page() {
  const [token, setToken] = useState(kept);
  const fetcher = useMemo(() => fetcherFor(token), [token]);
  const replace = (next) => {
    keep(next);
    setToken(next);
  };
  return (
    <GraphiQL
      fetcher={fetcher}
      // Without a token there is nothing to ask for.
      schema={token ? undefined : null}
      inputValueDeprecation
      schemaDescription
      storage={sessionStorage}
      plugins={PLUGINS}
      visiblePlugin={EXAMPLES_PLUGIN}
      defaultTabs={[{ query: EXAMPLES[0].query, variables: "" }]}
      defaultEditorToolsVisibility="variables"
      isHeadersEditorEnabled={false}
      shouldPersistHeaders={false}
      showPersistHeadersSettings={false}
    >
      <GraphiQL.Logo>GraphiQL</GraphiQL.Logo>
      <Header token={token} onToken={replace} />
    </GraphiQL>
  );
}
