// The panel "Plan": what the operation in the editor would cost, from a dry run after each change.

import type { Edge, Plan, Refusal } from "./answers";
import { Figure } from "./CallsPanel";
import { many, short } from "./calls";
import { useLive } from "./live";

export function PlanPanel() {
  const { outlook } = useLive();
  return (
    <section className="panel" data-testid="plan">
      <h2>Plan</h2>
      {outlook.kind === "none" && <p className="hint">Write an operation: what it will cost is told here as you type.</p>}
      {outlook.kind === "unclear" && (
        <>
          <p className="hint">Nothing to foresee yet:</p>
          <p className="unclear">{outlook.message}</p>
        </>
      )}
      {outlook.kind === "plan" && <Foreseen plan={outlook.plan} />}
      {outlook.kind === "refused" && <Refused refusal={outlook.refusal} />}
    </section>
  );
}

function Foreseen({ plan }: { plan: Plan }) {
  if (!plan.edges.length) return <p className="hint">It asks nothing of Twilio: 0 calls.</p>;
  const dearest = plan.edges.reduce((one, other) => (other.calls > one.calls ? other : one));
  const trips = [...new Set(plan.edges.map((edge) => edge.roundTrip))].sort((one, other) => one - other);
  return (
    <>
      <p className="figures">
        <Figure value={plan.requested.toLocaleString("en")} unit={plan.requested === 1 ? "call at most" : "calls at most"} name="requested" />
        <Figure value={String(plan.roundTrips)} unit={plan.roundTrips === 1 ? "round trip" : "round trips"} name="trips" />
      </p>
      <p className="dearest" data-testid="dearest">
        Dearest: <code>{short(dearest.field)}</code>, {many(dearest.calls, "call")} of {plan.requested.toLocaleString("en")}.
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
        In the worst case. Summaries and what is known from before make it less; after a run, “Upstream calls” tells what it
        was.
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
      <b>{edge.calls.toLocaleString("en")}</b>
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
  const [requested, limit] = [refusal.requested, refusal.limit].map((calls) => calls.toLocaleString("en"));
  return (
    <>
      <p className="figures">
        <Figure value={requested ?? ""} unit="calls at most" name="requested" />
        <Figure value={limit ?? ""} unit="allowed" name="limit" />
      </p>
      <p className="refused" role="status">
        Refused before its first call: {requested} are more than {limit}.
      </p>
      {dearest && (
        <p className="dearest" data-testid="dearest">
          Dearest: <code>{short(dearest.field)}</code>, {many(dearest.calls, "call")}.
        </p>
      )}
      <p className="suggestion" data-testid="suggestion">
        {refusal.suggestion ? (
          <>
            It would fit with <code>{short(refusal.suggestion)}</code>
          </>
        ) : (
          "No single list made shorter would fit: ask for less of several."
        )}
      </p>
      <div className="leg">
        {refusal.contributors.map(({ field, calls }) => (
          <div className="edge" key={field}>
            <code>{short(field)}</code>
            <b>{calls.toLocaleString("en")}</b>
            <CallsBar share={calls / (dearest?.calls ?? 1)} kind={field === dearest?.field ? "dear" : "bar"} />
          </div>
        ))}
      </div>
    </>
  );
}
