import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

async function sha256(text: string) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Goes before the HttpLink: sends a document's hash by GET, and its text only when the gateway does not know it. */
export const persistedQueries = () => new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
