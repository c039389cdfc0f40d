// Receipts as CSV (RFC 4180), safe to open in a spreadsheet.

import type { ReceiptRow } from "./receipts";

const COLUMNS: [keyof ReceiptRow, string][] = [
  ["conversationSid", "conversationSid"],
  ["messageSid", "messageSid"],
  ["receiptSid", "receiptSid"],
  ["status", "status"],
  ["errorCode", "errorCode"],
  ["error", "errorTitle"],
  ["category", "errorCategory"],
  ["resend", "resend"],
  ["advice", "advice"],
  ["created", "dateCreated"],
  ["updated", "dateUpdated"],
  ["participantSid", "participantSid"],
  ["channel", "channel"],
];
const ADDRESSES: [keyof ReceiptRow, string][] = [
  ["identity", "identity"],
  ["address", "address"],
];

/** Return the rows as CSV, with the columns that some row has a value for; identities and addresses only if asked for. */
export function asCsv(rows: ReceiptRow[], { hasAddresses }: { hasAddresses: boolean }): string {
  const all = hasAddresses ? [...COLUMNS, ...ADDRESSES] : COLUMNS;
  const columns = all.filter(([key]) => rows.some((row) => row[key] !== undefined));
  const lines = [columns.map(([, title]) => title), ...rows.map((row) => columns.map(([key]) => row[key] ?? ""))];
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/** A cell; a spreadsheet would calculate one that begins as a formula does (https://owasp.org/www-community/attacks/CSV_Injection). */
function cell(text: string): string {
  const harmless = /^[\s]*[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n;\t']/.test(harmless) || harmless !== text ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
