// How the page asks: queries and mutations by POST, subscriptions over a socket, each with the token.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";

const PATH = "/graphql";

export function fetcherFor(token) {
  const authorization = `Bearer ${token}`;
  const socket = new URL(PATH, location.href);
  socket.protocol = socket.protocol === "https:" ? "wss:" : "ws:";
  return createGraphiQLFetcher({
    url: PATH,
    headers: token ? { authorization } : {},
    // Nothing is deferred here, and one way to read an answer is enough.
    enableIncrementalDelivery: false,
    wsClient: createClient({
      url: socket.href,
      connectionParams: { authorization },
      // Opened with the first subscription, closed after the last one.
      lazy: true,
      // What the service refuses it refuses again; the person in front can ask once more.
      shouldRetry: () => false,
    }),
  });
}
