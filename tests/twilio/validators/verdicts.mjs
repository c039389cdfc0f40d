// Signs the requests on standard input where that is left to Node.js, and prints each signature with twilio-node's verdict.
import { parse } from "node:querystring";
import webhooks from "twilio/lib/webhooks/webhooks.js";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);

const results = JSON.parse(Buffer.concat(chunks).toString()).map((each) => {
  const isForm = each.method === "POST" && each.type.startsWith("application/x-www-form-urlencoded");
  const parameters = isForm ? { ...parse(each.body) } : {};
  const signature = each.signature ?? webhooks.getExpectedTwilioSignature(each.secret, each.signed, parameters);
  const request = {
    originalUrl: each.called,
    header: (name) => (name.toLowerCase() === "x-twilio-signature" ? signature : undefined),
    body: isForm || each.method === "GET" ? parameters : JSON.parse(each.body),
    rawBody: each.body,
  };
  let accepted = false;
  try {
    accepted = webhooks.validateIncomingRequest(request, each.token, { url: each.called });
  } catch {
    // Rejected: an Express application answers 500.
  }
  return { signature, accepted };
});
console.log(JSON.stringify(results));
