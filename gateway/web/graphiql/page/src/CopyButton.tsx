// A button that copies a text, and says that it did.

import { useEffect, useState } from "react";

const SAID_MS = 2500;

export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const [said, say] = useState("");
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => say(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = (): void =>
    void navigator.clipboard.writeText(text()).then(
      () => say("Copied"),
      () => say("The browser did not allow it"),
    );
  return (
    <>
      <button type="button" className="graphiql-button" onClick={copy}>
        {said || label}
      </button>
      <span role="status" className="unseen">
        {said && `${label}: ${said}`}
      </span>
    </>
  );
}
