// Runs every audit against the endpoint given, and prints each with its outcome as JSON.
import { serverAudits } from "graphql-http";

const [url] = process.argv.slice(2);
const outcomes = [];
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const { status, reason } = await audit.fn();
  outcomes.push({ id: audit.id, name: audit.name, status, reason: reason ?? null });
}
console.log(JSON.stringify(outcomes));
