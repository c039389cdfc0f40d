import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { QueryClient } from "@tanstack/query-core"; // @tanstack/react-query, and the others, give the same one.
import { print } from "graphql";
import { ClientError, GraphQLClient } from "graphql-request";

/** A function that asks: `{ data, errors }`, or a ClientError where there is no data at all. */
export function makeAsk(url: string, token: string) {
  const client = new GraphQLClient(url, { headers: { authorization: `Bearer ${token}` }, errorPolicy: "all" });
  return async <Data, Variables extends object>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ) => {
    const { data, errors = [] } = await client.rawRequest<Data, object>({ query: print(document), variables, signal });
    return { data, errors };
  };
}

/** Tries again what the gateway calls retryable, and what did not reach it. */
const retry = (failures: number, error: Error) =>
  failures < 3 && (!(error instanceof ClientError) || !!error.response.errors?.every(({ extensions }) => extensions.retryable));

export const makeQueryClient = () => new QueryClient({ defaultOptions: { queries: { retry } } });
