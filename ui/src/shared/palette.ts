/**
 * The colours of both themes.
 *
 * Red is critical alone, in both themes: no series looks like it. Series are told apart under the common kinds of colour blindness, and everything is readable on its ground;
 * palette.test.ts computes both, because palettes that only look fine have turned out not to be.
 */
export type Theme = 'dark' | 'light';

export interface Palette {
  ground: string;
  panel: string;
  line: string;
  text: string;
  muted: string;
  accent: string;
  hover: string;
  ok: string;
  warn: string;
  critical: string;
  stale: string;
  /** Areas of redirects and client errors, beside `series[0]` and `critical`. */
  redirects: string;
  clientErrors: string;
  series: readonly string[];
}

export const PALETTES: Record<Theme, Palette> = {
  dark: {
    ground: '#0e1518',
    panel: '#141d21',
    line: '#2a383e',
    text: '#dce5e6',
    muted: '#93a5a9',
    accent: '#4fc3c0',
    hover: '#1a262b',
    ok: '#5fa8d3',
    warn: '#feac65',
    critical: '#fb624f',
    stale: '#8a8f98',
    redirects: '#8a8f98',
    clientErrors: '#feac65',
    series: ['#56b4e9', '#fdd55e', '#915a80', '#4ef4dc', '#dd957a', '#6368d7'],
  },
  light: {
    ground: '#f4f6f4',
    panel: '#ffffff',
    line: '#d3dad8',
    text: '#16211f',
    muted: '#4f605f',
    accent: '#0b6e72',
    hover: '#eef2f0',
    ok: '#1f6fa8',
    warn: '#99560a',
    critical: '#b00a1d',
    stale: '#646b75',
    redirects: '#8d959f',
    clientErrors: '#c08016',
    series: ['#0b6ea8', '#571649', '#2e3090', '#a0835e', '#5a5862', '#528ef2'],
  },
};

/** Series are dashed too, so that no colour has to be seen to tell them apart. */
export const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [1, 3]];

export function variablesOf(palette: Palette): Record<string, string> {
  const { series, ...named } = palette;
  const variables = Object.fromEntries(Object.entries(named).map(([name, value]) => [`--${name}`, value]));
  series.forEach((value, index) => {
    variables[`--series-${index + 1}`] = value;
  });
  return variables;
}
