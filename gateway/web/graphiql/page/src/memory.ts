// What the page remembers: everything but request headers in the browser's storage, and those for the session only.

import type { Storage } from "@graphiql/toolkit";
import { type Collection, asJson, fromJson } from "./collections";

const HEADERS = "graphiql:session-headers";
const HAS_RUN = "graphiql:has-run";
const COLLECTIONS = "graphiql:collections";
const ANSWER_VIEW = "graphiql:answer-view";

/** The browser's storage without headers: GraphiQL's history would keep a caller's token for ever. */
export const STORAGE: Storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => localStorage.setItem(key, withoutHeaders(value)),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => localStorage.clear(),
  get length() {
    return localStorage.length;
  },
};

/** What the tab that was open last holds; null before there are tabs. */
export function storedTab(): { query: string; variables: string } | null {
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem("graphiql:tabState") ?? "") as StoredTabs;
    const { query, variables } = tabs[activeTabIndex] as StoredTabs["tabs"][number];
    return { query: query ?? "", variables: variables ?? "" };
  } catch {
    return null;
  }
}

interface StoredTabs {
  tabs: { query: string | null; variables: string | null }[];
  activeTabIndex: number;
}

/** Whether nothing has been run in this browser yet; true once. */
export function isFirstRun(): boolean {
  if (localStorage.getItem(HAS_RUN) !== null) return false;
  localStorage.setItem(HAS_RUN, "1");
  return true;
}

/** Whether an answer with receipts is shown as a table, unless JSON was chosen last. */
export const isTablePreferred = (): boolean => localStorage.getItem(ANSWER_VIEW) !== "json";

export const preferTable = (isTable: boolean): void => localStorage.setItem(ANSWER_VIEW, isTable ? "table" : "json");

/** The collections of saved operations; none if the stored text cannot be read. */
export const savedCollections = (): Collection[] => fromJson(localStorage.getItem(COLLECTIONS) ?? "") ?? [];

/** Keep the collections; throws DOMException if the storage is full. */
export const keepCollections = (collections: Collection[]): void => localStorage.setItem(COLLECTIONS, asJson(collections));

/** Call a function when another window of this browser has changed the collections; return a function that ends it. */
export function onCollections(changed: (collections: Collection[]) => void): () => void {
  const read = ({ key }: StorageEvent): void => {
    if (key === COLLECTIONS || key === null) changed(savedCollections());
  };
  window.addEventListener("storage", read);
  return () => window.removeEventListener("storage", read);
}

export const sessionHeaders = (): string => sessionStorage.getItem(HEADERS) ?? "";

export function keepHeaders(text: string): void {
  if (text.trim()) sessionStorage.setItem(HEADERS, text);
  else sessionStorage.removeItem(HEADERS);
}

function withoutHeaders(value: string): string {
  if (!value.includes('"headers"')) return value;
  try {
    return JSON.stringify(JSON.parse(value), (key, inner: unknown) => (key === "headers" ? null : inner));
  } catch {
    return value;
  }
}
