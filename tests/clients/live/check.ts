// Four clients that subscribe, and print what each of them is told, a line at a time. test_clients.py restarts the gateway meanwhile.

import { readFileSync } from "node:fs";

import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { Client, fetchExchange } from "@urql/core";
import { parse } from "graphql";
import { createClient as createEventsClient } from "graphql-sse";
import WebSocket from "ws";

import { keepSubscribed } from "./again.ts";
import { makeClient } from "./client.ts";

interface Result {
  readonly data?: { readonly deliveryUpdated?: { readonly __typename: string } | null } | null;
  readonly errors?: readonly { readonly extensions?: { readonly code?: unknown } }[];
}

Object.assign(globalThis, { WebSocket }); // Browsers have it.

const url = process.env.GATEWAY!;
const token = () => readFileSync(process.env.TOKEN_FILE!, "utf8");
const say = (...words: unknown[]) => console.log(words.join(" "));
const query = "subscription ($serviceSid: ID!) { deliveryUpdated(serviceSid: $serviceSid) { __typename } }";
const variables = { serviceSid: process.env.SERVICE! };
const authorized: typeof fetch = (input, init) =>
  fetch(input, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), authorization: `Bearer ${token()}` } });

const sink = (name: string) => ({
  next: ({ data, errors }: Result) => say(name, errors?.[0]?.extensions?.code ?? data?.deliveryUpdated?.__typename),
  error: (error: unknown) => say(name, "error", error),
  complete: () => say(name, "complete"),
});

makeClient(url, token).subscribe<NonNullable<Result["data"]>>({ query, variables }, sink("graphql-ws") as never);

const events = createEventsClient({ url, headers: () => ({ Authorization: `Bearer ${token()}` }), retryAttempts: 20 });
events.subscribe({ query, variables }, sink("graphql-sse") as never);

const urql = new Client({ url, exchanges: [fetchExchange], fetchSubscriptions: true, preferGetMethod: false, fetch: authorized });
keepSubscribed((ended) => {
  const subscription = urql.subscription<Result["data"]>(query, variables).subscribe(({ data, error, hasNext }) => {
    say("urql", error ? "ended" : data?.deliveryUpdated?.__typename);
    if (!hasNext) ended();
  });
  return () => subscription.unsubscribe();
});

const apollo = new ApolloClient({
  cache: new InMemoryCache(),
  link: new HttpLink({ uri: url, fetch: authorized }),
  defaultOptions: { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } },
});
keepSubscribed((ended) => {
  const subscription = apollo
    .subscribe<NonNullable<Result["data"]>>({ query: parse(query), variables })
    .subscribe({
      next: ({ data, error }) => {
        say("apollo", error ? "ended" : data?.deliveryUpdated?.__typename);
        if (error) ended();
      },
      complete: ended,
    });
  return () => subscription.unsubscribe();
});
