import { initGraphQLTada } from "gql.tada";
import type { introspection } from "./graphql-env.d.ts"; // By `gql.tada generate-output`.

export const graphql = initGraphQLTada<{ introspection: introspection; scalars: { DateTime: string; URL: string } }>();
export { readFragment, type FragmentOf, type ResultOf, type VariablesOf } from "gql.tada";
