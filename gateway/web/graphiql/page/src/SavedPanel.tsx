// The panel "Saved operations": collections in the browser's storage, and the trusted documents of the gateway with their costs.

import { pick, useGraphiQL } from "@graphiql/react";
import { type ChangeEvent, useEffect, useState } from "react";
import { type Trusted, trustedDocuments } from "./ask";
import {
  type Collection,
  DEFAULT_COLLECTION,
  type SavedOperation,
  Refused,
  asGraphql,
  asJson,
  defaultName,
  descriptionOf,
  importFile,
  merged,
  without,
} from "./collections";
import { forEach } from "./explain";
import { keepCollections, onCollections, savedCollections } from "./memory";
import { many } from "./numbers";
import { useEditors, useOpen } from "./tabs";

const PAUSE_MS = 500;

export function SavedPanel() {
  const { operation } = useEditors();
  const [collections, setCollections] = useState(savedCollections);
  const [name, setName] = useState(DEFAULT_COLLECTION);
  const [said, say] = useState("");
  useEffect(() => onCollections(setCollections), []);
  const change = (changed: (collections: Collection[]) => Collection[], words: string): void => {
    try {
      const all = changed(savedCollections());
      keepCollections(all);
      setCollections(all);
      say(words);
    } catch {
      say("The browser's storage is full: nothing was saved. Export some collections, and delete them here.");
    }
  };
  const save = (): void => {
    const { query, variables, operationName } = operation();
    if (!query.trim()) return say("There is no operation to save.");
    const saved = { name: defaultName(query, operationName), query, variables };
    change((all) => merged(all, [{ name: name.trim() || DEFAULT_COLLECTION, operations: [saved] }]), `${saved.name} is saved.`);
  };
  const read = async (event: ChangeEvent<HTMLInputElement>): Promise<void> => {
    const [file] = event.target.files ?? [];
    event.target.value = "";
    if (!file) return;
    try {
      const imported = importFile(file.name, await file.text());
      const count = imported.reduce((sum, { operations }) => sum + operations.length, 0);
      change((all) => merged(all, imported), `${file.name} is imported: ${many(count, "operation")}.`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message);
    }
  };
  const download = (file: string, text: () => string): void => {
    try {
      saveFile(file, text());
      say(`${file} is exported.`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message);
    }
  };
  return (
    <section className="panel" data-testid="saved" aria-label="Saved operations">
      <h2>Saved operations</h2>
      <form
        className="buttons"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <label>
          Collection <input value={name} onChange={(event) => setName(event.target.value)} list="collections" maxLength={80} />
        </label>
        <datalist id="collections">
          {collections.map((each) => (
            <option key={each.name} value={each.name} />
          ))}
        </datalist>
        <button type="submit" className="graphiql-button">
          Save this operation
        </button>
      </form>
      <p className="buttons">
        <label className="graphiql-button file">
          Import <input type="file" accept=".json,.graphql,.gql" onChange={(event) => void read(event)} />
        </label>
        {collections.length > 0 && (
          <button type="button" className="graphiql-button" onClick={() => download("operations.json", () => asJson(collections))}>
            Export all as JSON
          </button>
        )}
      </p>
      <p role="status" className="hint">
        {said}
      </p>
      {collections.map((collection) => (
        <Saved
          key={collection.name}
          collection={collection}
          onDelete={(operation) => change((all) => without(all, collection.name, operation), `${operation.name} is deleted.`)}
          onExport={() => download(`${collection.name.replace(/[^\w.-]+/g, "-")}.graphql`, () => asGraphql(collection))}
        />
      ))}
      {collections.length === 0 && <p className="hint">Operations that you save are kept in this browser, with their variables. Tokens are not.</p>}
      <TrustedDocuments />
    </section>
  );
}

function Saved({ collection, onDelete, onExport }: { collection: Collection; onDelete(operation: SavedOperation): void; onExport(): void }) {
  const open = useOpen();
  return (
    <>
      <h3>{collection.name}</h3>
      <ul className="operations">
        {collection.operations.map((each, place) => (
          <li key={place}>
            <button type="button" className="link" onClick={() => open({ ...each, operationName: null })}>
              {each.name}
            </button>
            <button type="button" className="link quiet" aria-label={`Delete ${each.name}`} onClick={() => onDelete(each)}>
              Delete
            </button>
            <Description query={each.query} operationName={null} />
          </li>
        ))}
      </ul>
      <button type="button" className="link quiet" onClick={onExport}>
        Export {collection.name} as GraphQL
      </button>
    </>
  );
}

function Description({ query, operationName }: { query: string; operationName: string | null }) {
  const description = descriptionOf(query, operationName);
  return description ? <p className="hint">{description}</p> : null;
}

/** The gateway's own collection, which cannot be changed here. */
function TrustedDocuments() {
  const { headers } = useEditors();
  const { headerEditor } = useGraphiQL(pick("headerEditor"));
  const open = useOpen();
  const [trusted, setTrusted] = useState<Trusted[] | string>([]);
  useEffect(() => {
    if (!headerEditor) return;
    let asking = new AbortController();
    const ask = (): void => {
      asking = new AbortController();
      const { signal } = asking;
      trustedDocuments(headers(), signal).then(setTrusted, (error: Error) => !signal.aborted && setTrusted(error.message));
    };
    let timer = setTimeout(ask); // After the editor has been given the session's headers.
    const watch = headerEditor.onDidChangeModelContent(() => {
      clearTimeout(timer);
      asking.abort();
      timer = setTimeout(ask, PAUSE_MS); // A token may be among them.
    });
    return () => {
      clearTimeout(timer);
      asking.abort();
      watch.dispose();
    };
  }, [headerEditor]);
  if (!trusted.length) return null;
  return (
    <>
      <h3>Trusted documents of this gateway</h3>
      {typeof trusted === "string" ? (
        <p className="unclear">{trusted}</p>
      ) : (
        <ul className="operations">
          {trusted.flatMap(({ id, document, operations }) =>
            operations.map(({ name, per = "operation", calls, roundTrips }) => (
              <li key={`${id} ${name}`}>
                <button type="button" className="link" title={id} onClick={() => open({ query: document, variables: "", operationName: name || null })}>
                  {name || id}
                </button>
                <span>{calls !== undefined && roundTrips !== undefined && `${many(calls, "call")}, ${many(roundTrips, "round trip")}${forEach(per)}`}</span>
                <Description query={document} operationName={name} />
              </li>
            )),
          )}
        </ul>
      )}
      <p className="hint">Calls and round trips at most. A variable without a value counts as the most that the schema accepts.</p>
    </>
  );
}

function saveFile(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
