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

/**
 * Keeps events and answers in order. They arrive over different connections: an answer that was made before an event may arrive
 * after it, and would put older records into the cache. So events are applied at once, and again after such an answer.
 */
export class Order {
  private readonly queries = new Set<Query>();

  begin(): Query {
    const query = { events: [], isStale: false };
    this.queries.add(query);
    return query;
  }

  /** Begins a stale query again: the next answer has what arrived before, and what was lost behind that. */
  again(query: Query) {
    query.events = [];
    query.isStale = false;
  }

  /** Ends a query, once its answer is in the cache, unless it `isAsked` once more. */
  end(query: Query, isAsked = false) {
    setTimeout(() => {
      if ((isAsked ? this.queries.has(query) : this.queries.delete(query)) && !query.isStale) [...query.events].forEach((apply) => apply());
    });
  }

  /** Applies what a subscription has sent. */
  event(data: Record<string, any> | null | undefined, apply: () => void) {
    const event = Object.values(data ?? {})[0];
    for (const query of this.queries) {
      if (event && event.__typename !== "DeliveriesReady") query.events.push(apply);
      else if (event?.refetch) query.isStale = true;
    }
    apply();
  }

  /** Asks a query, and again if it has become stale. */
  query<Result>(ask: (sink: Sink<Result>) => () => void, sink: Sink<Result>) {
    const query = this.begin();
    let stop = () => {};
    const start = () => {
      this.again(query);
      stop = ask({
        next: (result) => query.isStale || sink.next(result),
        error: (error) => (sink.error(error), this.end(query)),
        complete: () => (query.isStale ? start() : (sink.complete(), this.end(query))),
      });
    };
    start();
    return () => (stop(), this.end(query));
  }
}
