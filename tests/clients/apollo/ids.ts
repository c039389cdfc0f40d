// The document of `../relay/ids.ts`, as Apollo Client, urql and codegen read it.

import { graphql } from "../gql/index.ts";

export const IDS = graphql(`
  query idsQuery($id: ID!) { node(id: $id) { id ... on Message { sid } } }
`);
