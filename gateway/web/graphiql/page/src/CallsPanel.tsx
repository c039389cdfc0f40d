// The panel "Upstream calls": the calls of the last run, and what it was refused, lacked and waited for.

import { useEffect, useMemo, useState } from "react";
import { CopyButton } from "./CopyButton";
import { Waterfall } from "./Waterfall";
import type { Cost } from "./answers";
import { type Timed, asCurl, retriesIn, statusInWords, waterfallOf } from "./calls";
import { explain } from "./explain";
import { FACTS } from "./facts";
import { useLive } from "./live";
import { decimal, duration } from "./numbers";

export function CallsPanel() {
  const { run, isRunning } = useLive();
  const upstream = run?.upstream ?? null;
  const drawing = useMemo(() => upstream && waterfallOf(upstream), [upstream]);
  const [chosen, choose] = useState<Timed | null>(null);
  useEffect(() => choose(null), [upstream]);

  if (!run || isRunning) {
    return (
      <section className="panel" data-testid="calls" aria-label="Upstream calls">
        <h2>Upstream calls</h2>
        <p className="hint">
          {isRunning
            ? "Running…"
            : "Run the operation: its calls to Twilio are drawn here by time, with the reads that needed no call and why."}
        </p>
      </section>
    );
  }
  const { problems, reasons } = explain(run, drawing);
  const retries = upstream ? retriesIn(upstream) : 0;
  return (
    <section className="panel" data-testid="calls" aria-label="Upstream calls">
      <h2>Upstream calls</h2>
      {problems.length > 0 && (
        <ul className="problems" data-testid="problems">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      {upstream && (
        <p className="figures">
          <Figure value={decimal(upstream.count - retries)} unit={upstream.count - retries === 1 ? "call" : "calls"} name="calls" />
          {retries > 0 && <Figure value={decimal(retries)} unit={retries === 1 ? "retry" : "retries"} name="retries" />}
          <Figure value={decimal(upstream.roundTrips)} unit={upstream.roundTrips === 1 ? "round trip" : "round trips"} name="trips" />
          {upstream.count > 0 && <Figure value={duration(upstream.totalMs)} unit="until the last response" name="time" />}
        </p>
      )}
      {run.cost && <CostBars cost={run.cost} />}
      <ul className="reasons">
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
      {drawing && drawing.lots.length > 0 && (
        <>
          <Waterfall drawing={drawing} chosen={chosen} onChoose={choose} />
          <Legend />
          {chosen ? <Details call={chosen} /> : <p className="hint">Choose a bar to see its call, or to copy it.</p>}
        </>
      )}
      {drawing && drawing.spared.length > 0 && (
        <div className="spared" data-testid="spared">
          <h3>Not called</h3>
          {drawing.spared.map((some) => (
            <details key={`${some.source} ${some.name} ${some.reason}`}>
              <summary>
                <b>{decimal(some.paths.length)}</b> {some.name} · <i>{some.source}</i>
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

/** Three numbers: the worst case, the calls that were decided on, and the calls that were made. */
function CostBars({ cost }: { cost: Cost }) {
  const most = Math.max(cost.requested, cost.planned, cost.actual, 1);
  const rows = [
    { name: "requested", calls: cost.requested, means: "the worst case, computed before it ran" },
    { name: "planned", calls: cost.planned, means: "decided on, without what is cached or shown by summaries" },
    { name: "actual", calls: cost.actual, means: "made, without retries" },
  ];
  return (
    <dl className="cost">
      {rows.map(({ name, calls, means }) => (
        <div key={name} title={`${name}: ${means}`}>
          <dt>{name}</dt>
          <dd data-figure={name}>{decimal(calls)}</dd>
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
    ["pause", "waiting to retry"],
    ["bar none", "not found, refused"],
    ["bar bad", "failed"],
    ["bar grey", "another request's"],
  ];
  return (
    <p className="legend">
      {kinds.map(([kind, words]) => (
        <span key={words}>
          <svg width="14" height="8" aria-hidden="true">
            {kind === "pause" ? (
              <line x1="0" x2="14" y1="4" y2="4" className={kind} />
            ) : (
              <rect x="0.5" y="0.5" width="13" height="7" rx="2" className={kind} />
            )}
          </svg>
          {words}
        </span>
      ))}
    </p>
  );
}

function Details({ call }: { call: Timed }) {
  const command = asCurl(call.path, FACTS.upstream, FACTS.user);
  const { pause } = call;
  return (
    <div className="details" data-testid="details" aria-live="polite">
      <code>{call.path}</code>
      <p>
        Round trip {call.roundTrip}, begun at {duration(call.startMs)}
        {pause && `, attempt ${call.attempt} after ${duration(pause.endMs - pause.startMs)}`}
        {pause?.askedMs && ` (Retry-After: ${duration(pause.askedMs)})`}
        {call.waitMs > 0 && `, waited ${duration(call.waitMs)} for a slot`}, took {duration(call.durationMs)}, answered{" "}
        <b>{statusInWords(call)}</b>
        {call.source === "coalesced" && "; another request made the call"}.
      </p>
      {command === null ? (
        <p className="hint">It needs a name or a page token, which traces leave out: there is no command to copy.</p>
      ) : (
        <CopyButton key={command} label="Copy as curl" text={() => command} />
      )}
    </div>
  );
}
