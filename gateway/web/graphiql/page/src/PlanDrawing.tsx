// The picture of a plan. Time goes from left to right: one column for each round trip.

import { useLayoutEffect, useRef, useState } from "react";
import type { Plan } from "./answers";
import { type Box, describe, drawingOf, phrase, wordsOf } from "./drawing";
import { forEach } from "./explain";

const HEAD = 20;
const ROW = 44;
const BOX_HEIGHT = 34;
const INDENT = 8;
const LEAST_COLUMN = 106;
const GAP = 10;

/** As much of a text as has room, in characters of about this width. */
const cut = (text: string, room: number, character: number): string =>
  text.length * character <= room ? text : `${text.slice(0, Math.max(1, Math.floor(room / character) - 1))}…`;

export function PlanDrawing({ plan }: { plan: Plan }) {
  const frame = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(320);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    const watch = new ResizeObserver(([entry]) => entry && setRoom(entry.contentRect.width));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const drawing = drawingOf(plan);
  const { boxes, arrows, roundTrips } = drawing;
  const column = Math.max(LEAST_COLUMN, room / roundTrips.length);
  const width = column * roundTrips.length;
  const height = HEAD + boxes.length * ROW + 2;
  const left = (box: Box): number => roundTrips.indexOf(box.roundTrip) * column + GAP / 2 + box.indent * INDENT;
  const right = (box: Box): number => Math.min((roundTrips.indexOf(box.roundTrip) + 1) * column - GAP / 2, left(box) + 220);
  const top = (box: Box): number => HEAD + boxes.indexOf(box) * ROW + 5;
  const isWide = width > room + 1;

  return (
    <div
      ref={frame}
      className="plan-drawing"
      data-testid="plan-drawing"
      role={isWide ? "region" : undefined}
      aria-label={isWide ? "Picture of the plan, which can be scrolled" : undefined}
      tabIndex={isWide ? 0 : undefined}
    >
      <svg width={width} height={height} role="img" aria-labelledby="plan-title plan-words">
        <title id="plan-title">The calls of the plan{forEach(plan.per)} by round trip</title>
        <desc id="plan-words">{describe(drawing)}</desc>
        <defs>
          <marker id="arrow-head" viewBox="0 0 6 6" refX="5.5" refY="3" markerWidth="6" markerHeight="6" orient="auto">
            <path d="M0 0L6 3L0 6z" className="arrow-head" />
          </marker>
        </defs>
        {roundTrips.map((trip, place) => (
          <g key={trip}>
            <rect x={place * column} y={0} width={column} height={height} className={place % 2 ? "band odd" : "band"} />
            <text x={place * column + GAP / 2} y={14} className="trip-name">
              {cut(`round trip ${trip}`, column - GAP, 6.6)}
            </text>
          </g>
        ))}
        {arrows.map(({ from, to, waits }) => {
          const [x, y] = [left(from) + 6, top(to) + BOX_HEIGHT / 2];
          const end = right(to) < x ? right(to) + 1 : left(to) - 1;
          return (
            <path
              key={`${from.path} ${to.path}`}
              d={`M${x} ${top(from) + BOX_HEIGHT}V${y}H${end}`}
              className={waits ? "arrow" : "arrow together"}
              markerEnd="url(#arrow-head)"
            />
          );
        })}
        {boxes.map((box) => {
          const inside = right(box) - left(box) - 8;
          return (
            <g key={box.path} className={box.calls === null ? "box skipped" : "box"} data-field={box.path} data-trip={box.roundTrip}>
              <title>{phrase(box)}</title>
              <rect x={left(box)} y={top(box)} width={right(box) - left(box)} height={BOX_HEIGHT} rx="5" />
              <text x={left(box) + 4} y={top(box) + 14} className="name">
                {cut(box.name, inside, 6.65)}
              </text>
              <text x={left(box) + 4} y={top(box) + 27} className="words">
                {cut(wordsOf(box), inside, 5.9)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
