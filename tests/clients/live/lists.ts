/** A record that an event is about. */
export interface Change {
  id: string;
  /** The `index` of a message: lists of messages are in its order. */
  index?: number | null;
  /** The status that lists are filtered by; null when the record was removed, undefined when it could not be read. */
  status: string | null | undefined;
  /** The status before; null when that is not known. */
  previous: string | null;
}

/** What a cache has of a list. */
export interface List {
  /** Its filter: `status` or `deliveryStatus`. */
  filter?: readonly string[] | null;
  order?: string | null;
  rows: readonly { id: string; index?: number | null }[];
  hasNextPage: boolean;
  /** Whether it has a `totalCount`. */
  isCounted: boolean;
}

/** Returns what makes a list right again: insert the record before this row, remove it, read the list again, or nothing. */
export function stepFor({ filter, order, rows, hasNextPage, isCounted }: List, { id, index, status, previous }: Change) {
  if (status === undefined) return filter ? "refetch" : "keep";
  const has = (each: string | null) => each !== null && (!filter || filter.includes(each));
  if (rows.some((row) => row.id === id)) return has(status) ? "keep" : "remove";
  const isLoaded = !hasNextPage || !isCounted; // If not, it may be counted on a page that is not loaded.
  if (!has(status)) return isLoaded || (previous !== null && !has(previous)) ? "keep" : "refetch";
  const row = rows.findIndex((each) => (order === "DESC" ? each.index! < index! : each.index! > index!));
  if (row >= 0) return row;
  if (!hasNextPage) return rows.length;
  return has(previous) || (!filter && !isCounted) ? "keep" : "refetch"; // "keep": a page that is not loaded has it.
}
