// What the gateway wrote into the page.

export interface OpeningTab {
  query: string;
  /** As JSON: the required variables, those without a known value as an empty string. */
  variables: string;
}

export interface Facts {
  /** The examples; the first can be run as it is. */
  tabs: OpeningTab[];
  /** The base URL of upstream calls, and their user in curl's form, for copying them. */
  upstream: string;
  user: string;
}

const written = document.getElementById("facts")?.textContent ?? "{}";

export const FACTS: Facts = { tabs: [], upstream: "", user: "", ...(JSON.parse(written) as Partial<Facts>) };
