import { meros } from "meros/browser";
import { Environment, Network, Observable, RecordSource, Store } from "relay-runtime";
import type { FetchFunction, GraphQLResponseWithData } from "relay-runtime";

type Frame = GraphQLResponseWithData & { incremental?: GraphQLResponseWithData[]; hasNext?: boolean };

/** The parts of an answer, or of a frame of it, as Relay reads them: it wants an error's path from where its part stands. */
const partsOf = ({ incremental, hasNext = false, ...first }: Frame) =>
  (incremental ?? [first]).map(({ errors, extensions, ...part }) => ({
    ...part,
    ...(errors && { errors: errors.map((error) => ({ ...error, path: error.path?.slice(part.path?.length ?? 0) })) }),
    extensions: { ...extensions, is_final: !hasNext },
  }));

const ask = (url: string, token: string): FetchFunction => ({ name, id, text }, variables) =>
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
      const parts = await meros<Frame>(response);
      if (parts instanceof Response) sink.next(partsOf(await parts.json()));
      else for await (const { body } of parts) sink.next(partsOf(body as Frame));
    };
    run().then(sink.complete, sink.error);
    return () => leaving.abort();
  });

export const makeEnvironment = (url: string, token: string) =>
  new Environment({ network: Network.create(ask(url, token)), store: new Store(new RecordSource()) });
