// The panel "Plan": the cost of the operation in the editor, from a dry run after each change.

import type { Edge, Plan, Refusal } from "./answers";
import { PlanDrawing } from "./PlanDrawing";
import { Figure } from "./CallsPanel";
import { short } from "./calls";
import { forEach } from "./explain";
import { useLive } from "./live";
import { decimal, many } from "./numbers";

export function PlanPanel() {
  const { outlook } = useLive();
  return (
    <section className="panel" data-testid="plan" aria-label="Plan">
      <h2>Plan</h2>
      {outlook.kind === "none" && <p className="hint">Write an operation: its cost is shown here as you type.</p>}
      {outlook.kind === "unclear" && (
        <>
          <p className="hint">There is no plan:</p>
          <p className="unclear">{outlook.message}</p>
        </>
      )}
      {outlook.kind === "plan" && <Foreseen plan={outlook.plan} />}
      {outlook.kind === "refused" && <Refused refusal={outlook.refusal} />}
    </section>
  );
}

function Foreseen({ plan }: { plan: Plan }) {
  const problems = [...new Set(plan.refused.map(({ field, message }) => `${message} (at ${short(field)})`))];
  return (
    <>
      {plan.operation?.description && <p className="hint">{plan.operation.description}</p>}
      {problems.length > 0 && (
        <ul className="problems">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      {plan.edges.length > 0 ? (
        <Calls plan={plan} />
      ) : (
        <p className="hint">
          {problems.length ? "Nothing" : "It needs no data from Twilio: nothing"} will be called{plan.per === "event" && " for an event"}.
        </p>
      )}
    </>
  );
}

function Calls({ plan }: { plan: Plan }) {
  const dearest = plan.edges.reduce((one, other) => (other.calls > one.calls ? other : one));
  const trips = [...new Set(plan.edges.map((edge) => edge.roundTrip))].sort((one, other) => one - other);
  return (
    <>
      <p className="figures">
        <Figure value={decimal(plan.requested)} unit={plan.requested === 1 ? "call at most" : "calls at most"} name="requested" />
        <Figure value={decimal(plan.roundTrips)} unit={plan.roundTrips === 1 ? "round trip at most" : "round trips at most"} name="trips" />
        {plan.per === "event" && <span>for each event</span>}
      </p>
      {plan.singlePageRoundTrips < plan.roundTrips && (
        <p className="hint">
          {many(plan.singlePageRoundTrips, "round trip")} if every list fits on one page. Further pages are read one after another.
        </p>
      )}
      <p className="dearest" data-testid="dearest">
        Most expensive: <code>{short(dearest.field)}</code>, {many(dearest.calls, "call")} of {decimal(plan.requested)}.
      </p>
      <PlanDrawing plan={plan} />
      <p className="hint">
        A field waits for the one that a solid arrow comes from. A dotted arrow leads to what is read without waiting, or needs no call.
      </p>
      {trips.map((trip) => (
        <div key={trip} className="leg">
          <h3>Round trip {trip}</h3>
          {plan.edges
            .filter((edge) => edge.roundTrip === trip)
            .map((edge, place) => (
              <EdgeRow key={place} edge={edge} most={dearest.calls} isDearest={edge === dearest} />
            ))}
        </div>
      ))}
      <p className="hint">
        {plan.per === "event"
          ? "This is the worst case, without retries. Calls are made only for what is neither in the event nor cached."
          : "This is the worst case, without retries. Delivery summaries and the cache save calls: “Upstream calls” shows those that the last run made."}
      </p>
    </>
  );
}

function EdgeRow({ edge, most, isDearest }: { edge: Edge; most: number; isDearest: boolean }) {
  const path = short(edge.field).split(".");
  return (
    <div className="edge" title={edge.upstream}>
      <code>
        {path.length > 1 && <span>{path.slice(0, -1).join(".")}.</span>}
        {path.at(-1)}
      </code>
      <b>{decimal(edge.calls)}</b>
      {edge.inSequence > 1 && <i>up to {edge.inSequence} one after another</i>}
      <CallsBar share={edge.calls / most} kind={isDearest ? "dear" : "bar"} />
    </div>
  );
}

function CallsBar({ share, kind }: { share: number; kind: string }) {
  return (
    <svg width="100%" height="6" aria-hidden="true">
      <rect width="100%" height="6" rx="2" className="track" />
      <rect width={`${Math.max(share * 100, 0.7)}%`} height="6" rx="2" className={kind} />
    </svg>
  );
}

function Refused({ refusal }: { refusal: Refusal }) {
  const [dearest] = refusal.contributors;
  const [requested, limit] = [refusal.requested, refusal.limit].map((calls) => decimal(calls));
  return (
    <>
      <p className="figures">
        <Figure value={requested ?? ""} unit={`calls or more${forEach(refusal.per)}`} name="requested" />
        <Figure value={limit ?? ""} unit="allowed" name="limit" />
      </p>
      <p className="refused" role="status">
        {refusal.per === "event" ? "Refused before its first event" : "Refused before its first call"}: {requested}
        {forEach(refusal.per)} are more than {limit}.
      </p>
      {dearest && (
        <p className="dearest" data-testid="dearest">
          Most expensive: <code>{short(dearest.field)}</code>, {many(dearest.calls, "call")}.
        </p>
      )}
      <p className="suggestion" data-testid="suggestion">
        {refusal.suggestion ? (
          <>
            It would fit with <code>{short(refusal.suggestion)}</code>
          </>
        ) : (
          "It does not fit by shortening one list: shorten several."
        )}
      </p>
      <div className="leg">
        {refusal.contributors.map(({ field, calls }) => (
          <div className="edge" key={field}>
            <code>{short(field)}</code>
            <b>{decimal(calls)}</b>
            <CallsBar share={calls / (dearest?.calls ?? 1)} kind={field === dearest?.field ? "dear" : "bar"} />
          </div>
        ))}
      </div>
    </>
  );
}
