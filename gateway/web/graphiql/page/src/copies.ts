// An operation as text to copy: a curl command, a `receipts-gateway query` command, and a link. None of them holds a token.

import { Kind, parse } from "graphql";
import { type ParseError, parse as parseJson } from "jsonc-parser";

/** An operation as the editors hold it. */
export interface Operation {
  query: string;
  /** As JSON; empty for none. */
  variables: string;
  operationName: string | null;
}

/** The environment variable that `receipts-gateway query` reads a caller's token from. */
const TOKEN = "RECEIPTS_GATEWAY_TOKEN";

/** How a value with a token begins, whatever the header's name. */
const SCHEME = /^\s*(basic|bearer|token)\s/i;

const SECRET = /auth|cookie|token|secret|key|password|signature|session/i;

/** The text as one word of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Return a curl command that sends the operation to the endpoint; header values that may be secret are read from the environment. */
export function gatewayCurl(endpoint: string, operation: Operation, headers: Record<string, string>): string {
  const { query, operationName } = operation;
  const variables = variablesOf(operation);
  const body = JSON.stringify({ query, ...(variables ? { variables } : {}), ...(operationName ? { operationName } : {}) });
  const lines = [
    `curl ${quoted(endpoint)}`,
    "--header 'Content-Type: application/json'",
    ...Object.entries(headers)
      .filter(([name]) => name.toLowerCase() !== "content-type")
      .map(([name, value]) => `--header ${headerOf(name, String(value))}`),
    `--data-raw ${quoted(body)}`,
  ];
  return lines.join(" \\\n  ");
}

/** Return a `receipts-gateway query` command that sends the operation; it reads a token from the environment by itself. */
export function queryCommand(endpoint: string, operation: Operation): string {
  const { query, operationName } = operation;
  const declared = declaredIn(query);
  const values = Object.entries(variablesOf(operation) ?? {}).filter(([name]) => !declared || declared.variables.has(name));
  const options = [
    `--url ${quoted(endpoint)}`,
    ...(operationName && declared && declared.operations > 1 ? [`--operation ${quoted(operationName)}`] : []),
    ...values.map(([name, value]) => `--var ${quoted(`${name}=${optionValue(value)}`)}`),
  ];
  return `receipts-gateway query - ${options.join(" ")} <<'${delimiterFor(query)}'\n${query.trimEnd()}\n${delimiterFor(query)}`;
}

/** Return the page's address with the operation in its fragment, which browsers send to no server. */
export function linkTo(page: string, { query, variables, operationName }: Operation): string {
  const parts = new URLSearchParams({ query });
  if (variables.trim()) parts.set("variables", variables);
  if (operationName) parts.set("operationName", operationName);
  return `${page.replace(/[?#].*/, "")}#${parts}`;
}

/** Return the operation in the fragment of an address; null if there is none. */
export function linkedOperation(fragment: string): Operation | null {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const query = parts.get("query");
  if (!query?.trim()) return null;
  return { query, variables: parts.get("variables") ?? "", operationName: parts.get("operationName") };
}

function headerOf(name: string, value: string): string {
  if (!SECRET.test(name) && !SCHEME.test(value)) return quoted(`${name}: ${value}`);
  const scheme = /^([\w-]+)\s+\S/.exec(value)?.[1];
  const isToken = name.toLowerCase() === "authorization" && scheme?.toLowerCase() === "bearer";
  const variable = isToken ? TOKEN : name.toUpperCase().replace(/\W/g, "_");
  return `"${name.replace(/[^\w-]/g, "")}: ${isToken ? `${scheme} ` : ""}$${variable}"`;
}

/** The variables, if their text is a JSON object that is not empty; as GraphiQL reads it, with comments and trailing commas. */
function variablesOf({ variables }: Operation): Record<string, unknown> | null {
  const errors: ParseError[] = [];
  const values: unknown = parseJson(variables, errors, { allowTrailingComma: true });
  const isObject = !errors.length && typeof values === "object" && values !== null && !Array.isArray(values);
  return isObject && Object.keys(values).length ? (values as Record<string, unknown>) : null;
}

/** A value as --var takes it: a text as it is, unless it could be read as JSON; everything else as JSON. */
function optionValue(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  try {
    JSON.parse(value);
    return JSON.stringify(value);
  } catch {
    return value;
  }
}

function declaredIn(query: string): { operations: number; variables: Set<string> } | null {
  try {
    const operations = parse(query, { noLocation: true }).definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION);
    const names = operations.flatMap((each) => each.variableDefinitions ?? []).map((each) => each.variable.name.value);
    return { operations: operations.length, variables: new Set(names) };
  } catch {
    return null;
  }
}

/** A word that ends the document, and is no line of it. */
function delimiterFor(query: string): string {
  const lines = new Set(query.split(/\r?\n/));
  let word = "GRAPHQL";
  while (lines.has(word)) word += "_";
  return word;
}
