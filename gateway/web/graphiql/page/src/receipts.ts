// The receipts in an answer: found by the schema's types, whatever the answer calls their fields, and as rows of a table.

import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLSchema,
  Kind,
  type SelectionSetNode,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  parse,
} from "graphql";

/** A record with the schema's names of its fields, in place of aliases. */
type Facts = Record<string, unknown>;

interface Found {
  receipt: Facts;
  /** The message that the receipt was found below, or its own. */
  message: Facts;
  conversation: Facts;
}

/** A receipt as the table shows it. A value is undefined where the operation does not select it. */
export interface ReceiptRow {
  receiptSid?: string;
  messageSid?: string;
  conversationSid?: string;
  status?: string;
  /** The message as people know it: its number, or its sid. */
  message?: string;
  body?: string;
  /** The recipient as far as it is no personal data. */
  participantSid?: string;
  channel?: string;
  /** Personal data: the participant's identity and address. */
  identity?: string;
  address?: string;
  errorCode?: string;
  error?: string;
  category?: string;
  resend?: string;
  advice?: string;
  created?: string;
  updated?: string;
}

/** From what needs attention to what is done. */
const STATUSES = ["FAILED", "UNDELIVERED", "UNKNOWN", "PENDING", "SENT", "DELIVERED", "READ"];

export type Tone = "bad" | "open" | "good";

/** How a status is shown: `DELIVERED` may become `READ`, and both are good. */
export const toneOf = (status: string): Tone =>
  status === "FAILED" || status === "UNDELIVERED" ? "bad" : status === "DELIVERED" || status === "READ" ? "good" : "open";

/** Return the receipts of an answer in its order; none if the document cannot be parsed. */
export function receiptsIn(data: unknown, query: string, operationName: string | null, schema: GraphQLSchema): ReceiptRow[] {
  let document: DocumentNode;
  try {
    document = parse(query, { noLocation: true });
  } catch {
    return [];
  }
  const operations = document.definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION);
  const operation = operations.find((each) => each.name?.value === operationName) ?? operations[0];
  const root = operation && schema.getRootType(operation.operation);
  if (!operation || !root || typeof data !== "object" || data === null) return [];
  const fragments = new Map(
    document.definitions.filter((each) => each.kind === Kind.FRAGMENT_DEFINITION).map((each) => [each.name.value, each]),
  );
  const found: Found[] = [];
  new Walk(schema, fragments, found).record(data as Facts, [operation.selectionSet], root, { message: {}, conversation: {} });
  return found.map(rowOf);
}

/** Return the first row of each receipt; those that have no sid are all kept. */
export function latest(rows: ReceiptRow[]): ReceiptRow[] {
  const seen = new Set<string>();
  return rows.filter(({ receiptSid }) => receiptSid === undefined || (!seen.has(receiptSid) && seen.add(receiptSid)));
}

interface Place {
  field: FieldNode;
  parent: GraphQLCompositeType;
}

class Walk {
  constructor(
    private schema: GraphQLSchema,
    private fragments: Map<string, FragmentDefinitionNode>,
    private found: Found[],
  ) {}

  /** Visit a record, and return its facts. */
  record(value: Facts, selections: SelectionSetNode[], declared: GraphQLCompositeType, above: Omit<Found, "receipt">): Facts {
    const type = this.typeOf(value, selections, declared);
    const facts: Facts = {};
    const here = type?.name === "Message" ? { ...above, message: facts } : type?.name === "Conversation" ? { ...above, conversation: facts } : above;
    if (type?.name === "Receipt") this.found.push({ receipt: facts, ...here });
    const places = new Map<string, Place[]>();
    for (const set of selections) this.collect(set, type ?? declared, places);
    for (const [key, several] of places) {
      const [first] = several;
      if (!first || !(key in value)) continue;
      const field = "getFields" in first.parent ? first.parent.getFields()[first.field.name.value] : undefined;
      const inner = field && getNamedType(field.type);
      const sets = several.flatMap((each) => each.field.selectionSet ?? []);
      facts[first.field.name.value] = inner && isCompositeType(inner) ? this.below(value[key], sets, inner, here) : value[key];
    }
    return facts;
  }

  private below(value: unknown, sets: SelectionSetNode[], type: GraphQLCompositeType, above: Omit<Found, "receipt">): unknown {
    if (Array.isArray(value)) return value.map((each) => this.below(each, sets, type, above));
    return typeof value === "object" && value !== null ? this.record(value as Facts, sets, type, above) : value;
  }

  /** The type of a record: what `__typename` says, or the only type whose fields are selected. */
  private typeOf(value: Facts, selections: SelectionSetNode[], declared: GraphQLCompositeType): GraphQLCompositeType | null {
    if (!isAbstractType(declared)) return declared;
    const places = new Map<string, Place[]>();
    for (const set of selections) this.collect(set, declared, places);
    const named = [...places].find(([, [place]]) => place?.field.name.value === "__typename");
    const type = named && this.schema.getType(String(value[named[0]]));
    if (isObjectType(type)) return type;
    const parents = [...places].filter(([key]) => key in value).flatMap(([, several]) => several.map((each) => each.parent));
    const objects = new Set(parents.filter(isObjectType));
    return objects.size === 1 ? ([...objects][0] ?? null) : null;
  }

  /** Collect the fields that a record of a type can have, by their names in the answer. */
  private collect(set: SelectionSetNode, type: GraphQLCompositeType, places: Map<string, Place[]>): void {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value;
        places.set(key, [...(places.get(key) ?? []), { field: selection, parent: type }]);
        continue;
      }
      const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? this.fragments.get(selection.name.value) : selection;
      const condition = fragment?.typeCondition ? this.schema.getType(fragment.typeCondition.name.value) : type;
      if (!fragment || !isCompositeType(condition)) continue;
      const applies = condition === type || isAbstractType(type) || (isAbstractType(condition) && this.schema.isSubType(condition, type));
      if (applies) this.collect(fragment.selectionSet, isAbstractType(condition) ? type : condition, places);
    }
  }
}

function rowOf({ receipt, message: around, conversation }: Found): ReceiptRow {
  const message = { ...around, ...recordIn(receipt.message) };
  const participant = recordIn(receipt.participant);
  const binding = recordIn(participant.messagingBinding);
  const error = recordIn(receipt.error);
  const [index, messageSid] = [textOf(message.index), textOf(receipt.messageSid) ?? textOf(message.sid)];
  const row: ReceiptRow = {
    receiptSid: textOf(receipt.sid),
    messageSid,
    conversationSid: textOf(receipt.conversationSid) ?? textOf(message.conversationSid) ?? textOf(recordIn(receipt.conversation).sid) ?? textOf(conversation.sid),
    status: textOf(receipt.status),
    message: index === undefined ? messageSid && abridged(messageSid) : `#${index}`,
    body: textOf(message.body),
    participantSid: textOf(participant.sid) ?? textOf(receipt.participantSid),
    channel: textOf(participant.channel) ?? textOf(binding.type),
    identity: textOf(participant.identity),
    address: textOf(binding.address),
    errorCode: textOf(error.code) ?? textOf(receipt.errorCode),
    error: textOf(error.title),
    category: textOf(error.category),
    resend: textOf(error.resend),
    advice: textOf(error.advice),
    created: textOf(receipt.dateCreated),
    updated: textOf(receipt.dateUpdated),
  };
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined));
}

/** A sid as people tell them apart; the whole one is in the row too. */
const abridged = (sid: string): string => `${sid.slice(0, 6)}…${sid.slice(-4)}`;

const recordIn = (value: unknown): Facts => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Facts) : {});

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" ? value || undefined : typeof value === "number" ? String(value) : undefined;

/** A column of the table. */
export interface Column {
  name: "status" | "message" | "recipient" | "error" | "advice" | "updated";
  title: string;
}

const COLUMNS: (Column & { keys: (keyof ReceiptRow)[] })[] = [
  { name: "status", title: "Status", keys: ["status"] },
  { name: "message", title: "Message", keys: ["message", "body"] },
  { name: "recipient", title: "Recipient", keys: ["identity", "address", "channel", "participantSid"] },
  { name: "error", title: "Error", keys: ["error", "errorCode"] },
  { name: "advice", title: "Advice", keys: ["advice", "resend"] },
  { name: "updated", title: "Updated", keys: ["updated", "created"] },
];

/** Return the columns for which some row has a value. */
export const columnsOf = (rows: ReceiptRow[]): Column[] =>
  COLUMNS.filter(({ keys }) => rows.some((row) => keys.some((key) => row[key] !== undefined)));

export const recipientOf = (row: ReceiptRow): string | undefined =>
  row.identity ?? row.address ?? (row.participantSid ? abridged(row.participantSid) : row.channel);

/** Return the rows in the order of a column. Rows without a value are last; equal ones keep their order. */
export function sorted(rows: ReceiptRow[], column: Column["name"], isDescending: boolean): ReceiptRow[] {
  const keyed = rows.map((row) => ({ row, key: keyOf(row, column) }));
  const sign = isDescending ? -1 : 1;
  keyed.sort((one, other) => {
    if (one.key === undefined || other.key === undefined) return Number(one.key === undefined) - Number(other.key === undefined);
    return sign * ORDER.compare(one.key, other.key);
  });
  return keyed.map(({ row }) => row);
}

const ORDER = new Intl.Collator("en", { numeric: true });

function keyOf(row: ReceiptRow, column: Column["name"]): string | undefined {
  if (column === "status") return row.status && String((STATUSES.indexOf(row.status) + STATUSES.length + 1) % (STATUSES.length + 1));
  if (column === "message") return row.message ?? row.body;
  if (column === "recipient") return recipientOf(row);
  if (column === "error") return row.errorCode ?? row.error;
  if (column === "advice") return row.advice ?? row.resend;
  return row.updated ?? row.created;
}

/** Return how many receipts have each status, those that need attention first. */
export function countsOf(rows: ReceiptRow[]): { status: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const { status } of sorted(rows, "status", false)) if (status) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => ({ status, count }));
}
