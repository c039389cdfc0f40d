// The document of `../apollo/ids.ts`, as Relay reads it.

import { graphql } from "relay-runtime";

export const IDS = graphql`
  query idsQuery($id: ID!) { node(id: $id) { id ... on Message { sid } } }
`;
