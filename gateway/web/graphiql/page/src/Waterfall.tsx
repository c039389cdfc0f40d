// The waterfall: one lane for each path, lots of one kind together, in SVG attributes alone.

import { type KeyboardEvent, useLayoutEffect, useRef, useState } from "react";
import { type Lot, type Timed, type Waterfall as Drawing, isBad, ms } from "./calls";

const LABELS = 104;
const HEAD = 34;
const GAP = 8;

const sizeOf = (lot: Lot): { bar: number; step: number } =>
  lot.lanes.length > 60 ? { bar: 2, step: 3 } : lot.lanes.length > 8 ? { bar: 4, step: 5 } : { bar: 11, step: 15 };

function ticks(end: number): number[] {
  const rough = end / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, place) => place * step);
}

const classOf = (call: Timed): string => {
  if (call.source !== "network") return "bar grey";
  if (isBad(call)) return "bar bad";
  return (call.status ?? 0) >= 400 ? "bar none" : "bar";
};

const wordsOf = (call: Timed): string =>
  [
    call.path,
    `status ${call.status ?? "none"}`,
    call.waitMs ? `waited ${ms(call.waitMs)} for a slot` : "",
    `took ${ms(call.durationMs)}`,
    call.attempt > 1 ? `attempt ${call.attempt}` : "",
    call.source === "coalesced" ? "another request was reading it" : "",
  ]
    .filter(Boolean)
    .join(", ");

interface Props {
  drawing: Drawing;
  chosen: Timed | null;
  onChoose(call: Timed): void;
}

export function Waterfall({ drawing, chosen, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(420);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(260, entry.contentRect.width)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const room = width - LABELS - 12;
  const end = drawing.endMs || 1;
  const x = (time: number): number => LABELS + (time / end) * room;
  let top = HEAD;
  const lots = drawing.lots.map((lot) => {
    const placed = { lot, top, ...sizeOf(lot) };
    top += Math.max(lot.lanes.length * placed.step, 15) + GAP;
    return placed;
  });
  const height = top + 2;
  const calls = drawing.lots.flatMap((lot) => lot.lanes.flatMap((lane) => lane.attempts));

  function move(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = chosen ? calls.indexOf(chosen) + step : 0;
    const next = calls[Math.min(Math.max(place, 0), calls.length - 1)];
    if (next) onChoose(next);
  }

  return (
    <div ref={box} className="waterfall" tabIndex={0} onKeyDown={move} aria-label="Calls by time; arrow keys choose one">
      <svg width={width} height={height} role="img" aria-label="Waterfall of the upstream calls">
        {drawing.trips.map((start, place) => {
          const next = drawing.trips[place + 1] ?? end;
          return (
            <g key={place} className="trip" data-trip={place + 1}>
              <rect x={x(start)} y={16} width={Math.max(x(next) - x(start), 0)} height={height - 18} className={place % 2 ? "band odd" : "band"} />
              {place > 0 && <line x1={x(start)} x2={x(start)} y1={2} y2={height} className="border" />}
              <text x={x(start) + 3} y={11} className="trip-name">
                {x(next) - x(start) > 78 ? `round trip ${place + 1}` : place + 1}
              </text>
            </g>
          );
        })}
        {ticks(end).map((time) => (
          <g key={time} className="tick">
            <line x1={x(time)} x2={x(time)} y1={29} y2={height} />
            {x(time) < width - 40 && (
              <text x={x(time) + 2} y={27}>
                {ms(time).replace(".0", "")}
              </text>
            )}
          </g>
        ))}
        {lots.map(({ lot, top, bar, step }) => (
          <g key={lot.name}>
            <text x={LABELS - 8} y={top + 10} textAnchor="end" className="lot">
              {lot.name}
              {lot.calls > 1 && <tspan className="count"> ×{lot.calls}</tspan>}
            </text>
            {lot.lanes.map((lane, row) =>
              lane.attempts.map((call) => {
                const [start, sent, y] = [x(call.startMs), x(call.startMs + call.waitMs), top + row * step];
                return (
                  <g
                    key={`${row} ${call.attempt}`}
                    className={call === chosen ? "call chosen" : "call"}
                    data-source={call.source}
                    data-status={call.status ?? ""}
                    onClick={() => onChoose(call)}
                  >
                    <title>{wordsOf(call)}</title>
                    <rect x={LABELS} y={y} width={room} height={step} className="reach" />
                    {call.waitMs > 0 && <rect x={start} y={y + bar / 4} width={sent - start} height={bar / 2} className="wait" />}
                    <rect x={sent} y={y} width={Math.max(x(call.endMs) - sent, 2)} height={bar} rx={Math.min(bar / 3, 2)} className={classOf(call)} />
                    {call.attempt > 1 && bar > 6 && (
                      <text x={Math.min(x(call.endMs) + 3, width - 14)} y={y + 9} className="again">
                        ↻{call.attempt}
                      </text>
                    )}
                  </g>
                );
              }),
            )}
          </g>
        ))}
      </svg>
    </div>
  );
}
