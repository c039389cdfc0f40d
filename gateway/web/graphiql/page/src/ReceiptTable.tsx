// An answer's receipts as a table, in the place of its JSON, which is one click away.

import { pick, useGraphiQL } from "@graphiql/react";
import { useMemo, useState } from "react";
import { CopyButton } from "./CopyButton";
import { asCsv } from "./csv";
import { useLive } from "./live";
import { isTablePreferred, preferTable } from "./memory";
import { decimal, many } from "./numbers";
import { type Column, type ReceiptRow, columnsOf, countsOf, latest, receiptsIn, recipientOf, sorted, toneOf } from "./receipts";

const ROWS_MAX = 500;

interface Order {
  column: Column["name"];
  isDescending: boolean;
}

export function ReceiptTable() {
  const rows = useRows();
  const [isTable, setTable] = useState(isTablePreferred);
  if (!rows.length) return null;
  const show = (table: boolean): void => {
    preferTable(table);
    setTable(table);
  };
  return (
    <>
      <div className="answer-views" role="group" aria-label="Show the answer as" data-testid="answer-views">
        <button type="button" aria-pressed={isTable} onClick={() => show(true)}>
          Receipts
        </button>
        <button type="button" aria-pressed={!isTable} onClick={() => show(false)}>
          JSON
        </button>
        <span className="counts">
          {countsOf(rows).map(({ status, count }) => (
            <span key={status}>
              {decimal(count)} {status.toLowerCase()}
            </span>
          ))}
        </span>
      </div>
      {isTable && <Table rows={rows} />}
    </>
  );
}

/** The receipts in the answer that is shown, once it is complete, or in the last events of a subscription. */
function useRows(): ReceiptRow[] {
  const { tabs, activeTabIndex, schema } = useGraphiQL(pick("tabs", "activeTabIndex", "schema"));
  const { run, isRunning } = useLive();
  const response = tabs[activeTabIndex]?.response;
  return useMemo(() => {
    if (!run || !schema) return [];
    if (run.events) return latest(run.events.last.flatMap((data) => receiptsIn(data, run.query, run.operation, schema)));
    if (isRunning || !response) return [];
    try {
      const { data } = JSON.parse(response) as { data?: unknown };
      return receiptsIn(data, run.query, run.operation, schema);
    } catch {
      return [];
    }
  }, [run, isRunning, schema, response]);
}

function Table({ rows }: { rows: ReceiptRow[] }) {
  const [order, setOrder] = useState<Order | null>(null);
  const [hasAddresses, setAddresses] = useState(false);
  const columns = columnsOf(rows);
  const inOrder = useMemo(() => (order ? sorted(rows, order.column, order.isDescending) : rows), [rows, order]);
  const sortBy = (column: Column["name"]): void =>
    setOrder(order?.column !== column ? { column, isDescending: false } : order.isDescending ? null : { column, isDescending: true });
  return (
    <div className="receipts" data-testid="receipts">
      <div className="scrolled" tabIndex={0} role="region" aria-label={many(rows.length, "receipt")}>
        <table>
          <thead>
            <tr>
              {columns.map(({ name, title }) => {
                const direction = order?.column === name ? (order.isDescending ? "descending" : "ascending") : undefined;
                return (
                  <th key={name} scope="col" aria-sort={direction}>
                    <button type="button" onClick={() => sortBy(name)}>
                      {title}
                      <span aria-hidden="true">{direction ? (order?.isDescending ? " ↓" : " ↑") : ""}</span>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {inOrder.slice(0, ROWS_MAX).map((row, place) => (
              <tr key={row.receiptSid ?? place}>
                {columns.map(({ name }) => (
                  <td key={name} className={`of-${name}`}>
                    <Cell row={row} column={name} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div className="receipt-tools">
        {rows.length > ROWS_MAX && (
          <span>
            The first {decimal(ROWS_MAX)} of {decimal(rows.length)} are shown; CSV has all.
          </span>
        )}
        <CopyButton label="Copy as CSV" text={() => asCsv(inOrder, { hasAddresses })} />
        <label>
          <input type="checkbox" checked={hasAddresses} onChange={(event) => setAddresses(event.target.checked)} /> with addresses
        </label>
      </div>
    </div>
  );
}

function Cell({ row, column }: { row: ReceiptRow; column: Column["name"] }) {
  if (column === "status") return row.status ? <span className={`chip ${toneOf(row.status)}`}>{row.status.toLowerCase()}</span> : null;
  if (column === "message") {
    return (
      <>
        <b title={row.messageSid}>{row.message}</b> {row.body}
      </>
    );
  }
  if (column === "recipient") {
    return (
      <>
        <span title={row.participantSid}>{recipientOf(row)}</span> {row.channel && row.channel !== recipientOf(row) && <i>{row.channel}</i>}
      </>
    );
  }
  if (column === "error") {
    return (
      <>
        {row.error} {row.errorCode && <i>{row.errorCode}</i>} {row.category && <i>{row.category.toLowerCase()}</i>}
      </>
    );
  }
  if (column === "advice") {
    return (
      <>
        {row.advice} {row.resend && <i>resend: {row.resend.toLowerCase().replaceAll("_", " ")}</i>}
      </>
    );
  }
  const time = row.updated ?? row.created;
  if (!time) return null;
  const [date, clock] = time.replace(/\.\d+/, "").replace("Z", "").split("T");
  return (
    <time dateTime={time}>
      <span>{date}</span> <span>{clock}</span>
    </time>
  );
}
