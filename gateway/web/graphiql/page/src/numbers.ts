// Numbers as people read them. They are formatted from numbers, never cut out of text.

const SPACE = "\u00a0"; // A number and its unit stay on one line.

const formats = new Map<number, Intl.NumberFormat>();

/** The number with at most `digits` decimals, and no zeros after them. */
export function decimal(value: number, digits = 0): string {
  let format = formats.get(digits);
  if (!format) formats.set(digits, (format = new Intl.NumberFormat("en", { maximumFractionDigits: digits })));
  return format.format(value);
}

export const many = (count: number, noun: string, plural = `${noun}s`): string =>
  `${decimal(count)} ${count === 1 ? noun : plural}`;

/** A duration, given in milliseconds, with about three digits: `9.3 ms`, `120 ms`, `1.5 s`, `65 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 10) return `${decimal(milliseconds, 1)}${SPACE}ms`;
  if (milliseconds < 999.5) return `${decimal(milliseconds)}${SPACE}ms`;
  return `${decimal(milliseconds / 1000, milliseconds < 10_000 ? 2 : 1)}${SPACE}s`;
}

export interface Tick {
  milliseconds: number;
  label: string;
}

/** Ticks of a time axis at round numbers, from 0 to at most `end`, all in one unit. */
export function ticks(end: number): Tick[] {
  const rough = end / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const [unit, scale] = end >= 1000 ? ["s", 1000] : ["ms", 1];
  const digits = Math.max(0, -Math.floor(Math.log10(step / scale) + 1e-9));
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, place) => ({
    milliseconds: place * step,
    label: `${decimal((place * step) / scale, digits)}${SPACE}${unit}`,
  }));
}
