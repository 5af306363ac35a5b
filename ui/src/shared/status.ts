/**
 * Classes of status: how each is called and drawn, in both themes alike. Nothing but server errors is red, and they are
 * last, so that a stack has them on top.
 */
import type { Palette } from './palette';

type Colour = number | keyof Omit<Palette, 'series'>;

const CLASSES: Readonly<Record<string, { label: string; colour: Colour }>> = {
  '1': { label: '1xx', colour: 'muted' },
  '2': { label: '2xx', colour: 0 },
  '3': { label: '3xx', colour: 'redirects' },
  '4': { label: '4xx', colour: 'clientErrors' },
  '5': { label: '5xx', colour: 'critical' },
};

export const CLIENT_ERRORS: Colour = 'clientErrors';
export const SERVER_ERRORS: Colour = 'critical';

export function classOfStatus(digit: string): { label: string; colour: Colour } {
  return CLASSES[digit] ?? { label: `${digit}xx`, colour: 'muted' };
}

/** In the order in which they are stacked. */
export function stacked(digits: readonly string[]): string[] {
  return [...digits].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function rank(digit: string): number {
  return digit in CLASSES ? Number(digit) : 0;
}

const LEVELS: readonly [RegExp, Colour][] = [
  [/^(fatal|critical|crit|emerg|alert|error|err|severe)/i, 'critical'],
  [/^warn/i, 'clientErrors'],
  [/^(debug|trace|other)/i, 'muted'],
];

/** Of a level by its word; errors alone are red. */
export function levelColour(level: string, at: number): Colour {
  return LEVELS.find(([word]) => word.test(level))?.[1] ?? at;
}
