// The line that leads from a row of the answer to the examples that start from it.

import { useEffect, useState } from "react";
import { type Continuation, type Row, continuations } from "./rows";
import { useOpen } from "./tabs";

export function RowsLine({ rows }: { rows: Row[] }) {
  const [place, setPlace] = useState(0);
  useEffect(() => setPlace(0), [rows]);
  const open = useExample();
  const row = rows[place] ?? rows[0];
  if (!row) return null;
  return (
    <div className="rows" data-testid="rows">
      <label>
        Continue with
        <select value={place} onChange={(event) => setPlace(Number(event.target.value))}>
          {rows.map(({ label }, number) => (
            <option key={label} value={number}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {continuations(row).map((each) => (
        <button key={each.name} type="button" className="graphiql-button" onClick={() => open(each, row)}>
          {each.name}
        </button>
      ))}
    </div>
  );
}

/** Returns a function that opens an example in its tab, or in a new one, with a row's sids as variables. */
function useExample(): (each: Continuation, row: Row) => void {
  const open = useOpen();
  return ({ name, example, required }, row) => {
    const variables = Object.fromEntries(required.map((each) => [each, row.variables[each]]));
    open({ query: example.query, variables: JSON.stringify(variables, null, 2), operationName: null }, name);
  };
}
