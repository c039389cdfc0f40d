// A screen that shows a conversation's lists from a client's cache, and subscribes to its changes.

import { createClient as createEventsClient } from "graphql-sse";
import { createClient } from "graphql-ws";

import { keepSubscribed } from "../live/again.ts";
import { current, facts } from "./world.ts";
import type { Conversation, Lists } from "./world.ts";

export interface Screen {
  /** What it shows. */
  show(): Lists | null;
  /** How many times both subscriptions have begun: the smaller number of their `DeliveriesReady`. */
  readonly begun: number;
  /** Ends of subscriptions that the application was told of: the codes of their errors, or "". */
  readonly ends: readonly string[];
  /** Events that are no `DeliveriesReady`. */
  readonly events: readonly unknown[];
  /** Loads the next page of the oldest messages, if there is one. */
  more(): Promise<unknown>;
  /** Runs the query again. */
  reload(): Promise<unknown>;
  close(): void;
}

export type Open = (conversation: Conversation) => Screen;

/** Counts what happens to the subscriptions of a screen. */
export class Log {
  readonly ends: string[] = [];
  readonly events: unknown[] = [];
  private ready = { deliveryUpdated: 0, messageChanged: 0 };

  constructor(private readonly conversation: Conversation) {}

  get begun() {
    return Math.min(this.ready.deliveryUpdated, this.ready.messageChanged);
  }

  /** Note a result. */
  next(field: "deliveryUpdated" | "messageChanged", data: Record<string, any> | null | undefined) {
    const event = data?.[field];
    const message = event?.message;
    const about = [event?.receipt?.status, message?.index, message?.deliveryStatus, message?.body, event?.messageId, event?.refetch];
    this.conversation.trace.push(`${field}: ${event?.__typename} ${about.filter((each) => each !== undefined)}`);
    if (event?.__typename === "DeliveriesReady") this.ready[field]++;
    else if (event) this.events.push(event);
  }
}

export type Ended = Parameters<Parameters<typeof keepSubscribed>[0]>[0];

/** Keeps both subscriptions; once one has ended, both begin again. */
export const keepBoth = (subscribe: (field: "deliveryUpdated" | "messageChanged", ended: Ended) => () => void) =>
  keepSubscribed((ended) => {
    const stops = [subscribe("deliveryUpdated", ended), subscribe("messageChanged", ended)];
    return () => stops.forEach((stop) => stop());
  }, 20);

const wait = () => new Promise<void>((done) => setTimeout(done, 20));

/** As `live/client.ts`, with a shorter wait: the client's own is 1 to 4 seconds. */
export const makeSocket = () =>
  createClient({
    url: facts.graphql.replace(/^http/, "ws"),
    connectionParams: () => ({ Authorization: `Bearer ${current.token}` }),
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: wait,
  });

export const makeEvents = (url: string) =>
  createEventsClient({
    url,
    headers: () => ({ authorization: `Bearer ${current.token}` }),
    retryAttempts: 0,
  });

/** Closes a client's connection; one that waits to connect again reports that it does not. */
export const close = (client: { dispose(): unknown }) => void Promise.resolve(client.dispose()).catch(() => {});
