// The line that leads from a row of the answer to the examples that start from it.

import { pick, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { useEffect, useState } from "react";
import { type Continuation, type Row, continuations } from "./rows";

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
  const { tabs, queryEditor, variableEditor } = useGraphiQL(pick("tabs", "queryEditor", "variableEditor"));
  const { addTab, changeTab } = useGraphiQLActions();
  return ({ name, example, required }, row) => {
    const place = tabs.findIndex((tab) => tab.title === name);
    if (place < 0) addTab();
    else changeTab(place);
    if (place < 0) queryEditor?.setValue(example.query);
    const variables = Object.fromEntries(required.map((each) => [each, row.variables[each]]));
    variableEditor?.setValue(JSON.stringify(variables, null, 2));
  };
}
