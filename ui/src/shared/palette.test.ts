/**
 * Colours can be read, and series be told apart, by people who see colours differently too.
 */
import { describe, expect, it } from 'vitest';
import { PALETTES, type Palette, type Theme } from './palette';
import { classOfStatus, stacked } from './status';

type Rgb = [number, number, number];

const THEMES = Object.entries(PALETTES) as [Theme, Palette][];

function linear(hex: string): Rgb {
  const channel = (at: number) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

function contrast(a: string, b: string): number {
  const light = (hex: string) => {
    const [r, g, b] = linear(hex);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [light(a), light(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB. */
const SIGHTS: Record<string, number[][]> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protan: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deutan: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritan: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function apply(matrix: number[][], rgb: Rgb): Rgb {
  return matrix.map(row =>
    Math.max(
      0,
      row.reduce((sum, factor, at) => sum + factor * (rgb[at] ?? 0), 0),
    ),
  ) as Rgb;
}

function oklab([r, g, b]: Rgb): Rgb {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function distance(a: string, b: string, sight: string): number {
  const matrix = SIGHTS[sight] ?? [];
  const [x, y] = [oklab(apply(matrix, linear(a))), oklab(apply(matrix, linear(b)))];
  return Math.hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
}

describe.each(THEMES)('%s', (_, palette) => {
  it('can be read', () => {
    for (const ground of [palette.ground, palette.panel, palette.hover]) {
      for (const text of [palette.text, palette.muted, palette.accent])
        expect(contrast(text, ground), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      for (const status of [palette.ok, palette.warn, palette.critical, palette.stale])
        expect(contrast(status, ground), `${status} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    }
    const areas = [...palette.series, palette.redirects, palette.clientErrors];
    for (const series of areas) expect(contrast(series, palette.panel)).toBeGreaterThanOrEqual(3);
  });

  it.each(Object.keys(SIGHTS))('keeps series apart for %s sight', sight => {
    const { series } = palette;
    for (let a = 0; a < series.length; a++)
      for (let b = a + 1; b < series.length; b++)
        expect(
          distance(series[a] ?? '', series[b] ?? '', sight),
          `${series[a]} and ${series[b]}`,
        ).toBeGreaterThanOrEqual(0.1);
  });
});

describe.each(THEMES)('classes of status, %s', (_, palette) => {
  const colourOf = (digit: string) => {
    const { colour } = classOfStatus(digit);
    return typeof colour === 'number' ? (palette.series[colour] ?? '') : palette[colour];
  };
  const hueOf = (hex: string) => {
    const [, a, b] = oklab(linear(hex));
    return { hue: (Math.atan2(b, a) * 180) / Math.PI, chroma: Math.hypot(a, b) };
  };

  const isRed = (hex: string) => {
    const { hue, chroma } = hueOf(hex);
    return chroma > 0.08 && hue > -20 && hue < 40;
  };

  it('has server errors alone in red', () => {
    expect(['1', '2', '3', '4', '5', '7'].filter(digit => isRed(colourOf(digit)))).toEqual(['5']);
    expect(colourOf('5')).toBe(palette.critical);
  });

  it('has no series that looks like one', () => {
    expect(palette.series.filter(isRed)).toEqual([]);
    for (const series of palette.series)
      expect(distance(series, palette.critical, 'normal'), series).toBeGreaterThanOrEqual(0.1);
  });

  it.each(Object.keys(SIGHTS))('keeps them apart for %s sight', sight => {
    const digits = ['2', '3', '4', '5'];
    for (const a of digits)
      for (const b of digits)
        if (a < b)
          expect(distance(colourOf(a), colourOf(b), sight), `${a}xx and ${b}xx`).toBeGreaterThanOrEqual(0.08);
  });
});

it('stacks server errors on top', () => {
  expect(stacked(['5', '9', '2', '4', '3'])).toEqual(['9', '2', '3', '4', '5']);
});

it('notices colours that cannot be told apart', () => {
  expect(distance('#d62728', '#2ca02c', 'deutan')).toBeLessThan(0.1);
});
