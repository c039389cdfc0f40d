/** A query that waits for its answer. */
interface Query {
  /** What arrived meanwhile. */
  events: (() => void)[];
  /** Whether it may have been answered before a loss that `DeliveriesReady` reported meanwhile. */
  isStale: boolean;
}

interface Sink<Result> {
  next(result: Result): void;
  error(error: any): void;
  complete(): void;
}

/** A change of a receipt, or a removal, that may have overtaken an earlier event of the other subscription. */
interface Recent {
  at: number;
  field: string;
  messageId: string;
  apply: () => void;
}

const OVERTAKES_MS = 10_000;

/**
 * Keeps events and answers in order. They arrive over different connections: an answer that was made before an event may arrive
 * after it, and would put older records into the cache. So events are applied at once, and again after such an answer. What a
 * receipt has become is applied again after a change of its message, and a removal after anything else of the message.
 */
export class Order {
  private readonly queries = new Set<Query>();
  private recent: Recent[] = [];

  begin(): Query {
    const query = { events: [], isStale: false };
    this.queries.add(query);
    return query;
  }

  /** Ends a query, once its answer is in the cache. That of a stale one is not: it has to begin again. */
  end(query: Query) {
    setTimeout(() => this.queries.delete(query) && !query.isStale && query.events.forEach((apply) => apply()));
  }

  /** Applies what a subscription has sent. */
  event(data: Record<string, any> | null | undefined, apply: () => void) {
    const [field, event] = Object.entries(data ?? {})[0] ?? ["", null];
    if (!event || event.__typename === "DeliveriesReady") {
      if (event?.refetch) {
        this.queries.forEach((query) => (query.isStale = true));
        this.recent = this.recent.filter((each) => each.field !== field);
      }
      return apply();
    }
    const at = Date.now();
    const messageId: string | undefined = event.receipt?.message?.id ?? event.message?.id ?? event.messageId;
    this.recent = this.recent.filter((each) => at - each.at < OVERTAKES_MS);
    const isLast = event.__typename === "MessageRemoval";
    const others = isLast ? [] : this.recent.filter((each) => each.field !== field && each.messageId === messageId);
    if (messageId && event.__typename !== "MessageChange") this.recent.push({ at, field, messageId, apply });
    for (const each of [apply, ...others.map((other) => other.apply)]) {
      this.queries.forEach((query) => query.events.push(each));
      each();
    }
  }

  /** Asks a query, and again if it has become stale. */
  query<Result>(ask: (sink: Sink<Result>) => () => void, sink: Sink<Result>) {
    let query = this.begin();
    let stop = () => {};
    const start = () => {
      stop = ask({
        next: (result) => query.isStale || sink.next(result),
        error: (error) => (sink.error(error), this.end(query)),
        complete: () => {
          const { isStale } = query;
          this.end(query);
          if (!isStale) return sink.complete();
          query = this.begin(); // The next answer has what arrived before, and what was lost after that.
          start();
        },
      });
    };
    start();
    return () => (stop(), this.end(query));
  }
}
