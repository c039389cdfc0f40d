import { Environment, Network, RecordSource, Store, type FetchFunction } from "relay-runtime";

const ask = (url: string, token: string): FetchFunction =>
  async ({ name, id, text }, variables) => {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        accept: "application/graphql-response+json, application/json",
        "content-type": "application/json",
        authorization: `Bearer ${token}`,
      },
      body: JSON.stringify({ ...(text ? { query: text } : { documentId: id }), operationName: name, variables }),
    });
    return response.json(); // An error's answer, too, is JSON, with `errors`; without `data` Relay throws them.
  };

export const makeEnvironment = (url: string, token: string) =>
  new Environment({ network: Network.create(ask(url, token)), store: new Store(new RecordSource()) });
