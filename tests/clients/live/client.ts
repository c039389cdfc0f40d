import { createClient } from "graphql-ws";

export const makeClient = (url: string, token: () => string) =>
  createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: () => ({ Authorization: `Bearer ${token()}` }),
    retryAttempts: Infinity,
    shouldRetry: () => true,
  });
