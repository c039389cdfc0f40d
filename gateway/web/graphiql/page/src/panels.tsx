// The panels in the side bar, from top to bottom below GraphiQL's docs. A further panel is a title and an entry here.

import { type GraphiQLPlugin } from "@graphiql/react";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import type { ReactNode } from "react";
import { CallsPanel } from "./CallsPanel";
import { DeliveriesPanel } from "./DeliveriesPanel";
import { HttpPanel } from "./HttpPanel";
import { PlanPanel } from "./PlanPanel";
import { SavedPanel } from "./SavedPanel";
import { showView } from "./views";

export const CALLS = "Upstream calls";
export const PLAN = "Plan";

export const PANELS: GraphiQLPlugin[] = [
  explorerPlugin({ showAttribution: false }),
  HISTORY_PLUGIN,
  {
    title: CALLS,
    icon: icon(<path d="M2 4h6M5 8h8M9 12h5M11 16h7" strokeWidth="2" />),
    content: CallsPanel,
  },
  {
    title: PLAN,
    icon: icon(
      <>
        <path d="M3 15a8 8 0 1 1 14 0" />
        <path d="M10 11l4-4" />
        <circle cx="10" cy="11" r="1.2" fill="currentColor" />
      </>,
    ),
    content: PlanPanel,
  },
  {
    title: "Saved operations",
    icon: icon(<path d="M5 3h10v14l-5-3.5L5 17z" strokeLinejoin="round" />),
    content: SavedPanel,
  },
  {
    title: "Deliveries",
    icon: icon(<path d="M10 3v7M7 7l3 3 3-3M3 11v5h14v-5h-4l-1 2H8l-1-2z" strokeLinejoin="round" />),
    content: DeliveriesPanel,
  },
  {
    title: "HTTP",
    icon: icon(<path d="M2 7h13M11 3l4 4-4 4M18 13H5M9 9l-4 4 4 4" />),
    content: HttpPanel,
  },
];

function icon(drawn: ReactNode): () => ReactNode {
  return () => (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round">
      {drawn}
    </svg>
  );
}

/** Show a panel, as its button in the side bar does, which also makes room for it. */
export function openPanel(title: string): void {
  document.querySelector<HTMLButtonElement>(`.graphiql-sidebar [aria-label="Show ${title}"]`)?.click();
  showView("panel");
}
