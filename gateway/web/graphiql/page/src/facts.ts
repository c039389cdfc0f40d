// What the gateway wrote into the page.

export interface OpeningTab {
  query: string;
  /** As JSON: the required variables, those without a known value as an empty string. */
  variables: string;
}

/** How the gateway learns of changes. */
export interface SourcesOfChanges {
  /** Whether it receives webhooks. */
  webhooks: boolean;
  subscriptions: boolean;
  /** Between polls of the conversations that a subscription names; null if they are not polled. */
  pollSeconds: number | null;
  /** Where webhooks come from, in a sentence that may have `code`; null for how to configure them. */
  note: string | null;
}

export interface Facts {
  /** The examples; the first can be run as it is. */
  tabs: OpeningTab[];
  /** The base URL of upstream calls, and their user in curl's form, for copying them. */
  upstream: string;
  user: string;
  changes: SourcesOfChanges;
}

const NO_CHANGES: SourcesOfChanges = { webhooks: false, subscriptions: false, pollSeconds: null, note: null };

const written = document.getElementById("facts")?.textContent ?? "{}";

export const FACTS: Facts = { tabs: [], upstream: "", user: "", changes: NO_CHANGES, ...(JSON.parse(written) as Partial<Facts>) };
