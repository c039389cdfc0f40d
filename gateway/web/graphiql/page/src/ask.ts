// How the page asks the endpoint beside it: runs, which are traced, and dry runs.

import type { Fetcher, FetcherParams } from "@graphiql/toolkit";
import { Kind, OperationTypeNode, getOperationAST, parse } from "graphql";
import type { Answer, Part, Per, Refusal } from "./answers";
import { eventsOf } from "./events";
import { EVENTS_MAX, type Outlook, type Run, openTab, update } from "./live";
import { partsOf } from "./parts";
import { rowsIn } from "./rows";

type Headers = Record<string, string>;

export const ENDPOINT = new URL("graphql", window.location.href.replace(/[?#].*/, "")).href;

/** GraphiQL writes a part over the fields that it shares with what is shown. In this format it shares none. */
const PARTS = "multipart/mixed;incrementalSpec=v0.2, application/json";

const EVENTS = "text/event-stream";

function send(params: FetcherParams, accept: string, headers: Headers, signal?: AbortSignal): Promise<Response> {
  return fetch(ENDPOINT, {
    method: "POST",
    headers: { Accept: accept, "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ ...params, operationName: nameIn(params) }),
    credentials: "same-origin",
    signal,
  });
}

async function ask(params: FetcherParams, headers: Headers, signal?: AbortSignal): Promise<Answer> {
  return whole(await send(params, "application/json", headers, signal));
}

/** The answer, and what it defers behind it, or the events of a subscription; `onHead` has the response before its body. */
async function* askInParts(
  params: FetcherParams,
  headers: Headers,
  signal: AbortSignal,
  onHead: (response: Response) => void,
): AsyncGenerator<Answer> {
  const response = await send(params, isSubscription(params) ? EVENTS : PARTS, headers, signal);
  onHead(response);
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("multipart/mixed")) yield* partsOf<Answer>(response);
  else if (type.startsWith(EVENTS)) yield* eventsOf<Answer>(response);
  else yield whole(response);
}

async function whole(response: Response): Promise<Answer> {
  const text = await response.text();
  try {
    return JSON.parse(text) as Answer;
  } catch {
    throw new Error(`The gateway, or a proxy before it, replied ${response.status} with something other than JSON.`);
  }
}

/** The operation's name, if the document has it: just after a change of tabs GraphiQL still gives the other tab's. */
function nameIn({ query, operationName }: FetcherParams): string | null {
  if (!operationName) return null;
  try {
    const has = parse(query, { noLocation: true }).definitions.some(
      (definition) => definition.kind === Kind.OPERATION_DEFINITION && definition.name?.value === operationName,
    );
    return has ? operationName : null;
  } catch {
    return operationName;
  }
}

function isSubscription(params: FetcherParams): boolean {
  try {
    return getOperationAST(parse(params.query, { noLocation: true }), nameIn(params))?.operation === OperationTypeNode.SUBSCRIPTION;
  } catch {
    return false;
  }
}

const asks = (headers: Headers, name: string): boolean => Object.keys(headers).some((key) => key.toLowerCase() === name);

async function run(params: FetcherParams, headers: Headers, signal: AbortSignal, show: (answer: Answer) => void) {
  const tab = openTab();
  const began = performance.now();
  const run: Run = {
    query: params.query,
    operation: params.operationName ?? null,
    response: null,
    upstream: null,
    cost: null,
    errors: [],
    emptyVariables: emptyIn(params.variables),
    rows: [],
    events: isSubscription(params) ? { count: 0, last: [] } : null,
    milliseconds: 0,
  };
  update(tab, run.events ? { isRunning: true, run } : { isRunning: true });
  try {
    const onHead = ({ status, statusText, headers: all }: Response): void => {
      run.response = { status, statusText, headers: [...all] };
    };
    for await (const answer of askInParts(params, { "X-Gateway-Trace": "1", ...headers }, signal, onHead)) {
      for (const part of [answer, ...(answer.incremental ?? []), ...(answer.completed ?? [])]) {
        run.errors.push(...(part.errors ?? []));
        run.upstream = part.extensions?.upstream ?? run.upstream;
        run.cost = part.extensions?.cost ?? run.cost;
      }
      run.rows.push(...rowsIn(answer.data, params.variables));
      if (run.events && answer.data) {
        run.events = { count: run.events.count + 1, last: [answer.data, ...run.events.last].slice(0, EVENTS_MAX) };
        update(tab, { run: { ...run, milliseconds: performance.now() - began } });
      }
      // The panel shows the trace; the answer shows it only to those who set the header themselves.
      show(asks(headers, "x-gateway-trace") ? answer : withoutTrace(answer));
    }
  } catch (error) {
    if (signal.aborted) return update(tab, { isRunning: false });
    run.errors.push({ message: error instanceof TypeError ? "The gateway cannot be reached." : messageOf(error) });
    show({ errors: run.errors });
  }
  update(tab, { isRunning: false, run: { ...run, milliseconds: performance.now() - began } });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function emptyIn(variables: unknown): string[] {
  return Object.entries(variables ?? {}).flatMap(([name, value]) => (value === "" ? [name] : []));
}

function withoutTrace<T extends Part>(part: T): T {
  const { extensions: { upstream: _, cost: __, ...rest } = {}, incremental, ...shown } = part;
  return {
    ...shown,
    ...(incremental ? { incremental: incremental.map(withoutTrace) } : {}),
    ...(Object.keys(rest).length ? { extensions: rest } : {}),
  } as T;
}

/** GraphiQL's way to the endpoint. A run can be stopped, and then the gateway stops reading. */
export const fetcher: Fetcher = (params, options) => {
  const headers = (options?.headers ?? {}) as Headers;
  if (params.operationName === "IntrospectionQuery") return ask(params, headers) as never;
  return {
    subscribe(observer: { next(value: Answer): void; complete(): void }) {
      const stopping = new AbortController();
      void run(params, headers, stopping.signal, (answer) => observer.next(answer)).then(() => observer.complete());
      return { unsubscribe: () => stopping.abort() };
    },
  } as never;
};

/** Return what an operation would cost. */
export async function foresee(params: FetcherParams, headers: Headers, signal: AbortSignal): Promise<Outlook> {
  // With the run's own Accept: with @defer an operation can take more round trips.
  const answer = await whole(await send(params, PARTS, { ...headers, "X-Gateway-Dry-Run": "1" }, signal));
  const plan = answer.extensions?.plan;
  if (plan) return { kind: "plan", plan };
  const [failure] = answer.errors ?? [];
  const { per = "operation", requested, limit, contributors, suggestion = null } = failure?.extensions ?? {};
  if (failure && requested !== undefined && limit !== undefined && contributors) {
    const refusal: Refusal = { per, requested, limit, contributors, suggestion };
    return { kind: "refused", refusal };
  }
  if (failure) return { kind: "unclear", message: failure.message, code: failure.extensions?.code };
  return { kind: "plan", plan: { per: "operation", requested: 0, roundTrips: 0, singlePageRoundTrips: 0, refused: [], edges: [], skipped: [] } };
}

/** A webhook that the gateway received. */
export interface Webhook {
  receivedAt: string;
  verdict: string;
  event: string | null;
  sids: Record<string, string>;
  status: string | null;
  errorCode: number | null;
  reason: string | null;
}

/** Return the last webhooks that the caller may see, the newest first; throws Error with the gateway's reason. */
export async function recentWebhooks(headers: Headers, signal: AbortSignal): Promise<Webhook[]> {
  const response = await fetch(new URL("webhooks/recent", ENDPOINT), { headers, credentials: "same-origin", signal });
  const answer = (await whole(response)) as Answer & { deliveries?: Webhook[] };
  if (!answer.deliveries) throw new Error(answer.errors?.[0]?.message ?? `The gateway replied ${response.status}.`);
  return answer.deliveries;
}

/** A trusted document, and the cost of each operation in it; without one if it fails before any call. */
export interface Trusted {
  id: string;
  document: string;
  operations: { name: string; per?: Per; calls?: number; roundTrips?: number }[];
}

/** Return the trusted documents that the caller may send; throws Error with the gateway's reason. */
export async function trustedDocuments(headers: Headers, signal: AbortSignal): Promise<Trusted[]> {
  const address = new URL("graphiql/documents", ENDPOINT);
  const response = await fetch(address, { headers, credentials: "same-origin", signal });
  const answer = (await whole(response)) as Answer & { documents?: Trusted[] };
  if (!answer.documents) throw new Error(answer.errors?.[0]?.message ?? `The gateway replied ${response.status}.`);
  return answer.documents;
}
