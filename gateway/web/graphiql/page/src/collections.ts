// Saved operations: collections of them, and their import and export as JSON or GraphQL.

import { type DefinitionNode, type FragmentDefinitionNode, GraphQLError, Kind, type OperationDefinitionNode, parse, visit } from "graphql";

export interface SavedOperation {
  name: string;
  query: string;
  /** As JSON; empty for none. */
  variables: string;
}

export interface Collection {
  name: string;
  operations: SavedOperation[];
}

export const DEFAULT_COLLECTION = "My operations";

const FORMAT = "receipts-gateway-operations";

/** Return the collections as JSON text. */
export const asJson = (collections: Collection[]): string =>
  `${JSON.stringify({ format: FORMAT, version: 1, collections }, null, 2)}\n`;

/** Return the collections in a text that `asJson` made; null for another text. */
export function fromJson(text: string): Collection[] | null {
  try {
    const { format, version, collections } = JSON.parse(text) as Record<string, unknown>;
    return format === FORMAT && version === 1 && Array.isArray(collections) && collections.every(isCollection)
      ? collections.map(({ name, operations }) => ({
          name: name.trim() || DEFAULT_COLLECTION,
          operations: operations.map(({ name, query, variables }) => ({ name: name.trim() || defaultName(query, null), query, variables })),
        }))
      : null;
  } catch {
    return null;
  }
}

function isCollection(value: unknown): value is Collection {
  const { name, operations } = (value ?? {}) as Partial<Collection>;
  const isSaved = (each: Partial<SavedOperation> | null): boolean =>
    [each?.name, each?.query, each?.variables].every((text) => typeof text === "string");
  return typeof name === "string" && Array.isArray(operations) && operations.every(isSaved);
}

/** Why collections cannot be imported or exported; the text is for the user. */
export class Refused extends Error {}

/** Return the collections in a file. A `.graphql` file becomes one collection, named after it. */
export function importFile(file: string, text: string): Collection[] {
  if (/\.(graphql|gql)$/i.test(file)) return [{ name: file.replace(/\.\w+$/, ""), operations: operationsIn(file, text) }];
  const collections = fromJson(text);
  if (!collections) throw new Refused(`${file} is neither a .graphql file nor JSON that was exported here.`);
  if (!collections.some(({ operations }) => operations.length)) throw new Refused(`${file} has no operations.`);
  return collections;
}

/** Return each operation of a document with the fragments that it needs, as they are written, comments included. */
function operationsIn(file: string, text: string): SavedOperation[] {
  const definitions = parsed(file, text);
  const fragments = new Map(definitions.filter((each) => each.kind === Kind.FRAGMENT_DEFINITION).map((each) => [each.name.value, each]));
  const operations = definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION);
  if (!operations.length) throw new Refused(`${file} has no operations.`);
  const written = sources(text, definitions);
  return operations.map((operation) => {
    const needed = [...fragmentsOf(operation, fragments)].sort((one, other) => (one.loc?.start ?? 0) - (other.loc?.start ?? 0));
    const query = [operation, ...needed].map((each) => written.get(each)).join("\n\n");
    return { name: nameOf(operation), query: `${query}\n`, variables: "" };
  });
}

/** Return a collection as one GraphQL document; variables are not in it. Throws Refused if its operations do not fit into one. */
export function asGraphql({ name, operations }: Collection): string {
  const seen = new Map<string, string>();
  const parts: string[] = [];
  for (const operation of operations) {
    const definitions = parsed(operation.name, operation.query);
    const written = sources(operation.query, definitions);
    for (const definition of definitions) {
      const text = written.get(definition) ?? "";
      const own = "name" in definition ? definition.name?.value : undefined;
      if (!own && operations.length > 1) throw new Refused(`${operation.name} needs a name of its own in GraphQL. Export JSON, or name it.`);
      const key = `${definition.kind === Kind.FRAGMENT_DEFINITION ? "fragment" : "operation"} ${own ?? ""}`;
      if (seen.has(key) && (seen.get(key) !== text || !key.startsWith("fragment"))) {
        throw new Refused(`${name} has two ${key.replace(" ", "s named ")}, which one GraphQL document cannot have. Export JSON.`);
      }
      if (!seen.has(key)) parts.push(text);
      seen.set(key, text);
    }
  }
  return `${parts.join("\n\n")}\n`;
}

/** Return the collections with others added; operations that are equal to one of the same collection are left out. */
export function merged(collections: Collection[], others: Collection[]): Collection[] {
  const result = new Map<string, SavedOperation[]>();
  for (const { name, operations } of [...collections, ...others]) {
    for (const operation of operations) {
      const known = result.get(name) ?? [];
      if (!known.some((other) => isEqual(operation, other))) result.set(name, [...known, operation]);
    }
  }
  return [...result].map(([name, operations]) => ({ name, operations }));
}

/** Return the collections without one operation; a collection that has no other is removed. */
export const without = (collections: Collection[], collection: string, operation: SavedOperation): Collection[] =>
  collections
    .map((each) => (each.name === collection ? { ...each, operations: each.operations.filter((other) => !isEqual(operation, other)) } : each))
    .filter((each) => each.operations.length > 0);

const isEqual = (one: SavedOperation, other: SavedOperation): boolean =>
  other.name === one.name && other.query === one.query && other.variables === one.variables;

/** Return an operation's own description (https://spec.graphql.org/September2025/#sec-Descriptions); empty for none. */
export function descriptionOf(query: string, operationName: string | null): string {
  try {
    const operations = parse(query, { noLocation: true }).definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION);
    const operation = operations.find((each) => !operationName || each.name?.value === operationName);
    return operation?.description?.value ?? "";
  } catch {
    return "";
  }
}

/** The name under which an operation is saved, unless another is given. */
export function defaultName(query: string, operationName: string | null): string {
  const named = operationName ?? /\b(?:query|mutation|subscription)\s+([_A-Za-z]\w*)/.exec(query.replace(/#.*/g, ""))?.[1];
  return named ?? "Operation without a name";
}

const nameOf = (operation: OperationDefinitionNode): string => operation.name?.value ?? "Operation without a name";

function parsed(name: string, text: string): readonly DefinitionNode[] {
  try {
    return parse(text).definitions;
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    const [place] = error.locations ?? [];
    throw new Refused(`${name} is not a GraphQL document: ${error.message}${place ? ` (line ${place.line}, column ${place.column})` : ""}`);
  }
}

/** The text of each definition with the comments before it. */
function sources(text: string, definitions: readonly DefinitionNode[]): Map<DefinitionNode, string> {
  let start = 0;
  return new Map(
    definitions.map((each) => {
      const end = each.loc?.end ?? text.length;
      const written = text.slice(start, end).trim();
      start = end;
      return [each, written];
    }),
  );
}

function fragmentsOf(
  definition: DefinitionNode,
  fragments: Map<string, FragmentDefinitionNode>,
  found = new Set<FragmentDefinitionNode>(),
): Set<FragmentDefinitionNode> {
  visit(definition, {
    FragmentSpread({ name }) {
      const fragment = fragments.get(name.value);
      if (!fragment || found.has(fragment)) return;
      found.add(fragment);
      fragmentsOf(fragment, fragments, found);
    },
  });
  return found;
}
