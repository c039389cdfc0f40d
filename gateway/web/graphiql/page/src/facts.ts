// What the gateway wrote into the page.

export interface OpeningTab {
  query: string;
  variables: string;
}

export interface Facts {
  /** The examples, with variables where their values are known. */
  tabs: OpeningTab[];
  /** Where the upstream calls go, for copying them. */
  upstream: string;
}

const written = document.getElementById("facts")?.textContent ?? "{}";

export const FACTS: Facts = { tabs: [], upstream: "", ...(JSON.parse(written) as Partial<Facts>) };
