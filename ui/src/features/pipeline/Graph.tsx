/**
 * The dataflow as it runs: what reads what, how much flows, and which part the cause of a slow pipeline points at.
 * A node that is clicked tells more beside the graph, until it is closed.
 */
import { useMemo, useRef } from 'react';
import type { Pipeline, Schemas } from '../../api/wire';
import { useSize } from '../../shared/chart';
import { formatRate } from '../../shared/format';
import { useMedia } from '../../shared/live';
import { Shape, toneOfHealth } from '../../shared/mark';
import { useGo, useUrl } from '../../shared/nav';
import { cn } from '../../shared/ui/cn';
import { depthsOf, NODE, place, RANK_GAP, zoomOf } from './layout';
import { BUSY_LIMIT, factsOf, limitOf, troubleOf } from './words';

export function Graph({ pipeline }: { pipeline: Pipeline }) {
  const wide = useMedia('(min-width: 768px)');
  return wide ? <Drawn pipeline={pipeline} /> : <Listed pipeline={pipeline} />;
}

/** On a phone: the same parts in the order of the flow, each further in than what it reads. */
function Listed({ pipeline: { nodes, edges, cause, sources } }: { pipeline: Pipeline }) {
  const depths = depthsOf(
    nodes.map(({ id }) => id),
    edges,
  );
  const depthOf = (id: string) => depths.get(id) ?? 0;
  return (
    <ul aria-label="Dataflow graph" className="flex flex-col gap-1 px-3 pb-3">
      {[...nodes]
        .sort((a, b) => depthOf(a.id) - depthOf(b.id))
        .map(node => (
          <li key={node.id} style={{ paddingLeft: depthOf(node.id) * 14 }}>
            <NodeButton node={node} isCause={cause?.node === node.id} letters={undecoded(sources)} />
          </li>
        ))}
    </ul>
  );
}

function Drawn({ pipeline }: { pipeline: Pipeline }) {
  const { nodes, edges, cause, sources } = pipeline;
  const { node: open } = useUrl();
  const ids = nodes.map(({ id }) => id).join();
  const links = edges.map(({ from, to }) => `${from}>${to}`).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the shape of the graph decides where nodes stand, rates do not.
  const placed = useMemo(
    () =>
      place(
        nodes.map(({ id }) => id),
        edges,
      ),
    [ids, links],
  );
  const rateOf = (id: string) => nodes.find(node => node.id === id)?.per_second ?? 0;
  const kinds = new Map(nodes.map(({ id, kind }) => [id, kind]));
  const rates = new Map(edges.map(({ from, to, per_second }) => [`${from}>${to}`, per_second]));
  const most = Math.max(1, ...nodes.map(({ per_second }) => per_second ?? 0));
  const frame = useRef<HTMLDivElement>(null);
  const zoom = zoomOf(placed.width, useSize(frame).width);
  return (
    <div className="mx-2 overflow-x-auto pb-2" tabIndex={0} ref={frame}>
      <div className="relative mx-auto" style={{ width: placed.width, height: placed.height, zoom }}>
        <svg width={placed.width} height={placed.height} className="absolute inset-0" aria-hidden="true">
          {placed.edges.map(({ from, to, points }) => (
            <path
              key={`${from}>${to}`}
              d={pathOf(points)}
              fill="none"
              stroke="var(--muted)"
              strokeOpacity={opacityOf(open, from, to)}
              strokeWidth={1 + 2.5 * Math.sqrt(rateOf(from) / most)}
            />
          ))}
          {placed.edges.map(({ from, to, points }) => {
            const rate = rates.get(`${from}>${to}`);
            const at = open === to ? points[0] : points.at(-1);
            // All lines of a source carry the same; the one to its records tells it, the others when they are looked at.
            const told =
              (from.startsWith('source:') && kinds.get(to) === 'table') || open === from || open === to;
            if (rate == null || at === undefined || !told || to === 'lake') return null;
            return (
              <text
                key={`${from}>${to}`}
                data-edge={`${from}>${to}`}
                x={at.x + (open === to ? RANK_GAP / 2 : -RANK_GAP / 2)}
                y={at.y - 5}
                textAnchor="middle"
                className="fill-muted text-[11px]"
                style={{ paintOrder: 'stroke', stroke: 'var(--panel)', strokeWidth: 4 }}
              >
                {formatRate(rate)}/s
              </text>
            );
          })}
        </svg>
        <ul aria-label="Dataflow graph">
          {nodes.map(node => {
            const at = placed.nodes.get(node.id);
            if (at === undefined) return null;
            return (
              <li
                key={node.id}
                className="absolute"
                style={{ left: at.x - NODE.width / 2, top: at.y - NODE.height / 2 }}
              >
                <NodeButton
                  node={node}
                  isCause={cause?.node === node.id}
                  letters={undecoded(sources)}
                  style={NODE}
                />
              </li>
            );
          })}
        </ul>
      </div>
    </div>
  );
}

interface NodeButtonProps {
  node: Schemas['Node'];
  isCause: boolean;
  /** Records that could not be decoded. */
  letters: number;
  style?: React.CSSProperties;
}

function NodeButton({ node, isCause, letters, style }: NodeButtonProps) {
  const { node: open } = useUrl();
  const go = useGo();
  const limit = limitOf(node);
  const load = node.busy ?? node.busy_share_max_worker;
  const trouble = isCause ? 'bottleneck' : (limit ?? troubleOf(node));
  return (
    <button
      type="button"
      data-node={node.id}
      aria-pressed={open === node.id}
      className={cn(
        'relative flex w-full flex-col justify-center overflow-hidden rounded border border-line bg-ground px-2 py-1 text-left leading-4 hover:bg-hover aria-pressed:border-accent',
        node.health === 'degraded' && 'border-warn',
        (isCause || limit !== null) && 'border-2 border-warn',
        node.health === 'down' && 'border-2 border-critical',
      )}
      style={style}
      onClick={() => go({ node: open === node.id ? undefined : node.id } as object)}
    >
      <span className="w-full truncate">
        <Shape tone={isCause || limit !== null ? 'warn' : toneOfHealth(node.health)} />
        {node.name}
      </span>
      <span className="w-full truncate text-label text-muted">
        {trouble !== null && (
          <span className={node.health === 'down' ? 'text-critical' : 'text-warn'}>{trouble} · </span>
        )}
        {factsOf(node, letters).join(' · ')}
      </span>
      {load != null && (
        <span
          className="absolute bottom-0 left-0 h-0.5"
          style={{
            width: `${Math.min(100, Math.round(100 * load))}%`,
            background: load > BUSY_LIMIT ? 'var(--warn)' : 'var(--series-1)',
          }}
          aria-hidden="true"
        />
      )}
    </button>
  );
}

function undecoded(sources: Pipeline['sources']): number {
  return sources.reduce((sum, it) => sum + it.undecoded, 0);
}

/** Everything ends in the lake; those lines would hide the others, and are drawn of what is looked at. */
function opacityOf(open: string | undefined, from: string, to: string): number {
  if (open === from || open === to) return 0.9;
  if (to === 'lake') return 0;
  if (open !== undefined) return 0.18;
  return 0.7;
}

function pathOf(points: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  let path = `M${first.x},${first.y}`;
  let before = first;
  for (const point of rest) {
    const middle = (before.x + point.x) / 2;
    path += ` C${middle},${before.y} ${middle},${point.y} ${point.x},${point.y}`;
    before = point;
  }
  return path;
}
