// From the records of an answer to the examples that can start from them.

import { FACTS, type OpeningTab } from "./facts";

type Variables = Record<string, string>;

/** A record of an answer, with the variables that lead to it. */
export interface Row {
  label: string;
  /** The variable that its own sid is the value of. */
  variable: string;
  variables: Variables;
}

/** An example that a row has all required variables of. */
export interface Continuation {
  name: string;
  example: OpeningTab;
  /** The names of its required variables. */
  required: string[];
}

const VARIABLES: Record<string, string> = {
  IS: "serviceSid",
  CH: "conversationSid",
  IM: "messageSid",
  DY: "receiptSid",
  MB: "participantSid",
};
const SID = /^(IS|CH|IM|DY|MB)[0-9a-f]{32}$/i;
const ROWS_MAX = 200;

const EXAMPLES: Continuation[] = FACTS.tabs.map((example) => ({
  name: /\bquery (\w+)/.exec(example.query)?.[1] ?? "",
  example,
  required: Object.keys(example.variables ? (JSON.parse(example.variables) as object) : {}),
}));

/** Return the records of an answer that an example can start from. The run's variables name the records above them. */
export function rowsIn(data: unknown, variables: unknown): Row[] {
  const given = Object.entries((variables ?? {}) as Record<string, unknown>);
  const above = Object.fromEntries(given.filter(([name, value]) => name === variableOf(value))) as Variables;
  const rows = new Map<string, Row>();
  visit(data, above);
  return [...rows.values()];

  function visit(value: unknown, around: Variables): void {
    if (rows.size >= ROWS_MAX || typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) return value.forEach((each) => visit(each, around));
    const record = value as Record<string, unknown>;
    const variable = variableOf(record.sid);
    let inside = around;
    if (variable) {
      const sid = record.sid as string;
      inside = { ...around, [variable]: sid };
      const row = { label: labelOf(record, sid), variable, variables: inside };
      if (!rows.has(sid) && continuations(row).length) rows.set(sid, row);
    }
    for (const each of Object.values(record)) visit(each, inside);
  }
}

/** Return the examples that a row leads to: those that need its own sid, and no sid that it does not have. */
export function continuations({ variable, variables }: Row): Continuation[] {
  return EXAMPLES.filter(
    ({ required }) => required.includes(variable) && required.every((name) => name in variables),
  );
}

function variableOf(value: unknown): string | null {
  const prefix = typeof value === "string" ? SID.exec(value)?.[1] : undefined;
  return VARIABLES[prefix?.toUpperCase() ?? ""] ?? null;
}

function labelOf(record: Record<string, unknown>, sid: string): string {
  const name = [record.friendlyName, record.uniqueName, record.status].find((each) => typeof each === "string" && each);
  return name ? `${String(name)} · ${sid}` : sid;
}
