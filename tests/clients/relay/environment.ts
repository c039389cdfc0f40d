import { Environment, Network, Observable, RecordSource, Store } from "relay-runtime";
import type { FetchFunction, GraphQLResponseWithData } from "relay-runtime";
import { partsOf } from "./parts.ts";

type Frame = GraphQLResponseWithData & { incremental?: GraphQLResponseWithData[]; hasNext?: boolean };

/** The results of a payload, as Relay reads them: the path of an error starts at the path of its result. */
const resultsOf = ({ incremental, hasNext = false, ...first }: Frame) =>
  (incremental ?? [first]).map(({ errors, extensions, ...part }) => ({
    ...part,
    ...(errors && { errors: errors.map((error) => ({ ...error, path: error.path?.slice(part.path?.length ?? 0) })) }),
    extensions: { ...extensions, is_final: !hasNext },
  }));

export const ask = (url: string, token: string): FetchFunction => ({ name, id, text }, variables) =>
  Observable.create((sink) => {
    const leaving = new AbortController();
    const run = async () => {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          accept: "multipart/mixed; deferSpec=20220824, application/graphql-response+json, application/json",
          "content-type": "application/json",
          authorization: `Bearer ${token}`,
        },
        body: JSON.stringify({ ...(text ? { query: text } : { documentId: id }), operationName: name, variables }),
        signal: leaving.signal,
      });
      const isMultipart = response.headers.get("content-type")?.startsWith("multipart/mixed");
      if (!isMultipart) sink.next(resultsOf(await response.json()));
      else for await (const payload of partsOf<Frame>(response)) sink.next(resultsOf(payload));
    };
    run().then(sink.complete, sink.error);
    return () => leaving.abort();
  });

export const makeEnvironment = (url: string, token: string) =>
  new Environment({ network: Network.create(ask(url, token)), store: new Store(new RecordSource()) });
