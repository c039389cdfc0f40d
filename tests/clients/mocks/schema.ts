import { addMocksToSchema } from "@graphql-tools/mock";
import { buildASTSchema, Kind, parse, type DefinitionNode } from "graphql";

/** graphql 17 executes a schema that defines `@defer` with other functions only. */
const isDefer = (node: DefinitionNode) => node.kind === Kind.DIRECTIVE_DEFINITION && node.name.value === "defer";

/** The schema (SDL), with made-up values; pass `mocks` of your own for types whose values matter. */
export function mockedSchema(sdl: string, mocks = {}) {
  const document = parse(sdl);
  const schema = buildASTSchema({ ...document, definitions: document.definitions.filter((node) => !isDefer(node)) });
  const scalars = { DateTime: () => "2026-01-31T12:00:00Z", URL: () => "https://example.com/" };
  return addMocksToSchema({ schema, mocks: { ...scalars, ...mocks } });
}
