/**
 * Two series of bars drawn by uPlot.
 *
 * React only owns the element. The chart is made once per colour scheme; new data goes to it directly, so a
 * change costs one canvas drawing and no elements.
 */
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatNumber } from '../../shared/format';
import { useMedia } from '../../shared/live';
import type { Minutes } from './minutes';

/** With fewer minutes than this the chart still spans so many, so bars do not become walls. */
const SPAN_MIN_S = 30 * 60;

interface BarChartProps {
  minutes: Minutes;
  summary: string;
  onPoint(index: number | null): void;
}

export function BarChart({ minutes, summary, onPoint }: BarChartProps) {
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const newest = useRef(minutes);
  newest.current = minutes;
  const dark = useMedia('(prefers-color-scheme: dark)');

  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of the colour scheme needs a new chart.
  useEffect(() => {
    const parent = element.current;
    if (parent === null) return;
    const made = new uPlot(optionsFor(parent, onPoint), columnsOf(newest.current), parent);
    chart.current = made;
    const resized = new ResizeObserver(() => made.setSize(sizeOf(parent)));
    resized.observe(parent);
    return () => {
      resized.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [dark, onPoint]);

  useEffect(() => chart.current?.setData(columnsOf(minutes)), [minutes]);

  return <div className="chart" ref={element} role="img" aria-label={summary} />;
}

function columnsOf({ start_s, requests, errors }: Minutes): uPlot.AlignedData {
  return [start_s, requests, errors];
}

function sizeOf(parent: HTMLElement): { width: number; height: number } {
  return { width: Math.max(parent.clientWidth, 100), height: Math.max(parent.clientHeight, 80) };
}

function optionsFor(parent: HTMLElement, onPoint: (index: number | null) => void): uPlot.Options {
  const colour = (name: string) => getComputedStyle(parent).getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour('--muted'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  const bars = uPlot.paths.bars?.({ size: [0.72, 40, 1] });
  return {
    ...sizeOf(parent),
    padding: [8, 8, 0, 0],
    legend: { show: false },
    tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    scales: {
      x: { range: (_, low, high) => [Math.min(low, high - SPAN_MIN_S) - 30, high + 30] },
      y: { range: (_, _low, high) => [0, Math.max(high * 1.08, 1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 64, size: 26, values: (_, ticks) => ticks.map(clockOf) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map(shortNumber) },
    ],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    series: [
      {},
      { label: 'requests', fill: colour('--series-1'), width: 0, paths: bars, points: { show: false } },
      { label: 'errors', fill: colour('--series-3'), width: 0, paths: bars, points: { show: false } },
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

function clockOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 16);
}

/** A tick of the axis: thousands above ten of them, and nothing between whole requests. */
function shortNumber(value: number): string {
  if (!Number.isInteger(value)) return '';
  return value >= 10_000
    ? `${formatNumber(value / 1000, value % 1000 === 0 ? 0 : 1)} k`
    : formatNumber(value);
}
