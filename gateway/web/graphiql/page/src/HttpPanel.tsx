// The panel "HTTP": the operation in the editor as commands and as a link, and the head of the last response.

import { CopyButton } from "./CopyButton";
import { ENDPOINT } from "./ask";
import { gatewayCurl, linkTo, queryCommand } from "./copies";
import { type Head, useLive } from "./live";
import { useEditors } from "./tabs";

export function HttpPanel() {
  const { run, isRunning } = useLive();
  const { operation, headers } = useEditors();
  return (
    <section className="panel" data-testid="http" aria-label="HTTP">
      <h2>HTTP</h2>
      <h3>Copy the operation</h3>
      <p className="buttons">
        <CopyButton label="Copy as curl" text={() => gatewayCurl(ENDPOINT, operation(), headers())} />
        <CopyButton label="Copy as command" text={() => queryCommand(ENDPOINT, operation())} />
        <CopyButton label="Copy as link" text={() => linkTo(window.location.href, operation())} />
      </p>
      <p className="hint">
        curl and <code>receipts-gateway query</code> read a token from <code>RECEIPTS_GATEWAY_TOKEN</code>. A link holds the query and its
        variables, and opens as a tab of this page; it is sent to no server. None of the three holds a token.
      </p>
      <h3>Last response</h3>
      {isRunning ? <p className="hint">Running…</p> : run?.response ? <Response head={run.response} /> : <p className="hint">{run ? "The gateway did not reply." : "Run the operation: the status and the headers of its response are shown here."}</p>}
    </section>
  );
}

function Response({ head }: { head: Head }) {
  return (
    <>
      <p className="figures">
        <span className="figure">
          <strong data-figure="status">{head.status}</strong> {head.statusText}
        </span>
      </p>
      <table className="headers">
        <thead className="unseen">
          <tr>
            <th scope="col">Header</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {head.headers.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">
                <code>{name}</code>
              </th>
              <td>
                <code>{value}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
