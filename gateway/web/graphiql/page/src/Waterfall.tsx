// The waterfall: one lane for each read, those of one kind together. It is drawn with SVG attributes, as the policy demands.

import { type KeyboardEvent, useLayoutEffect, useRef, useState } from "react";
import { type Lot, type Timed, type Waterfall as Drawing, attemptsIn, isBad, isRefused, statusInWords } from "./calls";
import { decimal, duration, ticks } from "./numbers";

const RIGHT = 12;
const HEAD = 34;
const GAP = 8;
/** The least width of a bar and of a wait that is drawn. */
const LEAST = 3;

const sizeOf = (lot: Lot): { bar: number; step: number } =>
  lot.lanes.length > 60 ? { bar: 3, step: 4 } : lot.lanes.length > 8 ? { bar: 4, step: 6 } : { bar: 11, step: 15 };

const classOf = (call: Timed): string => {
  if (call.source !== "network") return "bar grey";
  if (isBad(call)) return "bar bad";
  return isRefused(call) ? "bar none" : "bar";
};

const wordsOf = (call: Timed): string =>
  [
    call.path,
    statusInWords(call),
    call.pause ? `attempt ${call.attempt}, after ${duration(call.pause.endMs - call.pause.startMs)}` : "",
    call.waitMs ? `waited ${duration(call.waitMs)} for a slot` : "",
    `took ${duration(call.durationMs)}`,
    call.source === "coalesced" ? "another request was reading it" : "",
  ]
    .filter(Boolean)
    .join(", ");

interface Label {
  x: number;
  text: string;
}

/** The width of a text in at most this size, in pixels. */
const widthOf = (text: string, size: number): number => text.length * size * 0.62;

/** Return the labels that fit: those with the most room first, each in the first of its forms that has room. */
export function fitting(places: { x: number; texts: string[] }[], size: number, end: number): Label[] {
  const room = places.map(({ x }, place) => (places[place + 1]?.x ?? end) - x);
  const order = places.map((_, place) => place).sort((one, other) => (room[other] ?? 0) - (room[one] ?? 0));
  const shown: Label[] = [];
  const isFree = (from: number, to: number): boolean =>
    to <= end && shown.every(({ x, text }) => to + 4 <= x || x + widthOf(text, size) + 4 <= from);
  for (const place of order) {
    const { x, texts } = places[place] ?? { x: 0, texts: [] };
    const text = texts.find((each, form) => {
      const isShortest = form === texts.length - 1; // Only the shortest form may reach into the next place.
      return isFree(x, x + widthOf(each, size)) && (isShortest || widthOf(each, size) <= (room[place] ?? 0));
    });
    if (text !== undefined) shown.push({ x, text });
  }
  return shown.sort((one, other) => one.x - other.x);
}

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
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(160, entry.contentRect.width)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const right = width - RIGHT;
  const names = drawing.lots.map((lot) => `${lot.name}${lot.calls > 1 ? ` ×${decimal(lot.calls)}` : ""}`);
  const labels = Math.max(104, ...names.map((name) => widthOf(name, 11) + 14));
  const end = drawing.endMs || 1;
  const x = (time: number): number => labels + (time / end) * (right - labels);
  let top = HEAD;
  const lots = drawing.lots.map((lot) => {
    const placed = { lot, top, ...sizeOf(lot) };
    top += Math.max(lot.lanes.length * placed.step, 15) + GAP;
    return placed;
  });
  const height = top + 2;
  const calls = attemptsIn(drawing);
  const axis = ticks(end);

  function move(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = chosen ? calls.indexOf(chosen) + step : 0;
    const next = calls[Math.min(Math.max(place, 0), calls.length - 1)];
    if (next) onChoose(next);
  }

  return (
    <div
      ref={box}
      className="waterfall"
      role="group"
      tabIndex={0}
      onKeyDown={move}
      aria-label="Upstream calls by time. The arrow keys choose one."
    >
      <svg width={width} height={height} role="img" aria-label="Waterfall of the upstream calls">
        <defs>
          <pattern id="queued" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="2" height="4" className="stripe" />
          </pattern>
        </defs>
        {drawing.trips.map((start, place) => {
          const next = drawing.trips[place + 1] ?? end;
          return (
            <g key={place} className="trip" data-trip={place + 1}>
              <rect x={x(start)} y={16} width={Math.max(x(next) - x(start), 0)} height={height - 18} className={place % 2 ? "band odd" : "band"} />
              {place > 0 && <path d={`M${x(start)} 2V16M${x(start)} 30V${height}`} className="border" />}
            </g>
          );
        })}
        {fitting(
          drawing.trips.map((start, place) => ({ x: x(start) + 3, texts: [`round trip ${place + 1}`, String(place + 1)] })),
          11,
          width,
        ).map((label) => (
          <text key={label.x} x={label.x} y={11} className="trip-name">
            {label.text}
          </text>
        ))}
        {axis.map(({ milliseconds }) => (
          <line key={milliseconds} x1={x(milliseconds)} x2={x(milliseconds)} y1={29} y2={height} className="tick" data-tick={milliseconds} />
        ))}
        {fitting(axis.map((tick) => ({ x: x(tick.milliseconds) + 2, texts: [tick.label] })), 10, width).map((label) => (
          <text key={label.x} x={label.x} y={27} className="tick-label">
            {label.text}
          </text>
        ))}
        {lots.map(({ lot, top, bar, step }) => (
          <g key={lot.name}>
            <text x={labels - 8} y={top + 10} textAnchor="end" className="lot">
              {lot.name}
              {lot.calls > 1 && <tspan className="count"> ×{decimal(lot.calls)}</tspan>}
            </text>
            {lot.lanes.map((lane, row) => {
              let drawn = 0; // How far the lane is drawn: what is widened moves what follows it.
              return lane.attempts.map((call, place) => {
                const y = top + row * step;
                const pause = call.pause && span(Math.max(x(call.pause.startMs), drawn), x(call.pause.endMs));
                const queuedAt = Math.max(x(call.startMs), pause ? pause.x + pause.width : drawn);
                const wait = x(call.sentMs) - x(call.startMs) >= 1 ? span(queuedAt, x(call.sentMs)) : null;
                const answer = span(Math.max(x(call.sentMs), wait ? wait.x + wait.width : queuedAt), x(call.endMs));
                drawn = answer.x + answer.width;
                const next = lane.attempts[place + 1];
                const mark = `↻${call.attempt}`;
                const hasRoom = bar > 6 && drawn + widthOf(mark, 11) + 6 < (next ? x(next.sentMs) : width);
                return (
                  <g
                    key={`${row} ${call.attempt}`}
                    className={call === chosen ? "call chosen" : "call"}
                    data-source={call.source}
                    data-status={call.status ?? ""}
                    onClick={() => onChoose(call)}
                  >
                    <title>{wordsOf(call)}</title>
                    <rect x={place ? (pause?.x ?? answer.x) : labels} y={y} width={Math.max(right - (place ? (pause?.x ?? answer.x) : labels), 0)} height={step} className="reach" />
                    {pause && (
                      <>
                        <line x1={pause.x} x2={pause.x + pause.width} y1={y + Math.max(bar - 2, bar / 2)} y2={y + Math.max(bar - 2, bar / 2)} className="pause" />
                        {bar > 6 &&
                          fitting([{ x: pause.x + 3, texts: pauseTexts(call) }], 10, pause.x + pause.width).map((label) => (
                            <text key="pause" x={label.x} y={y + bar - 4} className="pause-name">
                              {label.text}
                            </text>
                          ))}
                      </>
                    )}
                    {wait && <rect {...wait} y={y + 0.5} height={bar - 1} className="wait" />}
                    <rect {...answer} y={y} height={bar} rx={Math.min(bar / 3, 2)} className={classOf(call)} />
                    {call.attempt > 1 && hasRoom && (
                      <text x={drawn + 3} y={y + 9} className="again">
                        {mark}
                      </text>
                    )}
                  </g>
                );
              });
            })}
          </g>
        ))}
      </svg>
    </div>
  );

  /** From one place to another, at least as wide as can be seen, and not beyond the edge. */
  function span(from: number, to: number): { x: number; width: number } {
    const wide = Math.max(to - from, LEAST);
    return { x: Math.min(from, width - wide), width: wide };
  }
}

/** What names the wait before another attempt, in a long and a short form. */
function pauseTexts({ pause }: Timed): string[] {
  if (!pause) return [];
  const waited = duration(pause.endMs - pause.startMs);
  return pause.askedMs ? [`Retry-After ${duration(pause.askedMs)}`, waited] : [`retry after ${waited}`, waited];
}
