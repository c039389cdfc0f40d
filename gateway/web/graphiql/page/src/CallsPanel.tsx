// The panel "Upstream calls": what the last run asked of Twilio, and why it took as long as it did.

import { useEffect, useMemo, useState } from "react";
import { Waterfall } from "./Waterfall";
import { type Timed, asCurl, ms, reasons, waterfallOf } from "./calls";
import type { Cost } from "./answers";
import { FACTS } from "./facts";
import { useLive } from "./live";

export function CallsPanel() {
  const { run, isRunning } = useLive();
  const upstream = run?.upstream ?? null;
  const drawing = useMemo(() => upstream && waterfallOf(upstream), [upstream]);
  const [chosen, choose] = useState<Timed | null>(null);
  useEffect(() => choose(null), [upstream]);

  if (!run || !upstream || !drawing) {
    return (
      <section className="panel" data-testid="calls">
        <h2>Upstream calls</h2>
        <p className="hint">
          {isRunning
            ? "Running…"
            : run?.errors.length
              ? "Nothing was called: the operation did not run."
              : "Run an operation: its calls to Twilio are drawn here by time, with what was not called and why."}
        </p>
      </section>
    );
  }
  return (
    <section className="panel" data-testid="calls">
      <h2>Upstream calls</h2>
      <p className="figures">
        <Figure value={upstream.count.toLocaleString("en")} unit={upstream.count === 1 ? "call" : "calls"} name="calls" />
        <Figure value={String(upstream.roundTrips)} unit={upstream.roundTrips === 1 ? "round trip" : "round trips"} name="trips" />
        {drawing.lots.length > 0 && <Figure value={ms(upstream.totalMs)} unit="until the last was back" name="time" />}
      </p>
      {run.cost && <CostBars cost={run.cost} />}
      <ul className="reasons">
        {reasons(upstream, drawing).map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
      {drawing.lots.length > 0 && (
        <>
          <Waterfall drawing={drawing} chosen={chosen} onChoose={choose} />
          <Legend />
          {chosen ? <Details call={chosen} /> : <p className="hint">Choose a bar to see its call, or to copy it.</p>}
        </>
      )}
      {drawing.spared.length > 0 && (
        <div className="spared" data-testid="spared">
          <h3>Not called</h3>
          {drawing.spared.map((some) => (
            <details key={`${some.source} ${some.name} ${some.reason}`}>
              <summary>
                <b>{some.paths.length.toLocaleString("en")}</b> {some.name} · <i>{some.source}</i>
                {some.reason && `: ${some.reason}`}
              </summary>
              <ul>
                {some.paths.map((path, place) => (
                  <li key={place}>{path}</li>
                ))}
              </ul>
            </details>
          ))}
        </div>
      )}
    </section>
  );
}

export function Figure({ value, unit, name }: { value: string; unit: string; name: string }) {
  return (
    <span className="figure">
      <strong data-figure={name}>{value}</strong> {unit}
    </span>
  );
}

/** Three numbers: the worst case, what was decided on the way, what was made. */
function CostBars({ cost }: { cost: Cost }) {
  const most = Math.max(cost.requested, cost.planned, cost.actual, 1);
  const rows = [
    { name: "requested", calls: cost.requested, means: "at most, told before it ran" },
    { name: "planned", calls: cost.planned, means: "decided on, after cache and summaries" },
    { name: "actual", calls: cost.actual, means: "made, retries aside" },
  ];
  return (
    <dl className="cost">
      {rows.map(({ name, calls, means }) => (
        <div key={name} title={`${name}: ${means}`}>
          <dt>{name}</dt>
          <dd data-figure={name}>{calls.toLocaleString("en")}</dd>
          <svg width="100%" height="8" aria-hidden="true">
            <rect width="100%" height="8" rx="2" className="track" />
            <rect width={`${(calls / most) * 100}%`} height="8" rx="2" className={name} />
          </svg>
        </div>
      ))}
    </dl>
  );
}

function Legend() {
  const kinds = [
    ["bar", "answered"],
    ["wait", "waiting for a slot"],
    ["bar none", "not found, refused"],
    ["bar bad", "failed"],
    ["bar grey", "another request's"],
  ];
  return (
    <p className="legend">
      {kinds.map(([kind, words]) => (
        <span key={words}>
          <svg width="14" height="8" aria-hidden="true">
            <rect width="14" height={kind === "wait" ? 4 : 8} y={kind === "wait" ? 2 : 0} rx="2" className={kind} />
          </svg>
          {words}
        </span>
      ))}
    </p>
  );
}

function Details({ call }: { call: Timed }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [call]);
  const command = asCurl(call.path, FACTS.upstream);
  return (
    <div className="details" data-testid="details" aria-live="polite">
      <code>{call.path}</code>
      <p>
        Round trip {call.roundTrip}, begun at {ms(call.startMs)}
        {call.waitMs > 0 && `, waited ${ms(call.waitMs)} for a slot`}, took {ms(call.durationMs)}, answered{" "}
        <b>{call.status ?? "nothing"}</b>
        {call.attempt > 1 && `, attempt ${call.attempt}`}
        {call.source === "coalesced" && "; another request was reading it, so it cost nothing"}.
      </p>
      <button type="button" className="graphiql-button" onClick={() => void navigator.clipboard.writeText(command).then(() => setCopied(true))}>
        {isCopied ? "Copied" : "Copy as curl"}
      </button>
    </div>
  );
}

