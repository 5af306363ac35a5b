/** One panel of a board: what a live view shows is followed, any other query is asked again after a while. */
import { useQuery } from '@tanstack/react-query';
import { Ellipsis, GripVertical } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { askSql } from '../../api/client';
import type { Row } from '../../api/wire';
import { chosen, type Panel } from '../../shared/boards';
import { formatTime } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useView } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo } from '../../shared/nav';
import { Panel as Framed } from '../../shared/panel';
import { choiceText } from '../../shared/result/choice';
import { type Catalog, type MeantColumn, meantOf } from '../../shared/result/columns';
import { ResultChart } from '../../shared/result/ResultChart';
import { viewShownBy } from '../../shared/result/statement';
import { useMayChange } from '../../shared/session';
import { answerState, type PanelState, panelState } from '../../shared/state';
import { cn } from '../../shared/ui/cn';
import { Menu } from '../../shared/ui/menu';

/** A query that cannot be followed is asked again so often. */
const EVERY_S = 10;

interface BoardPanelProps {
  panel: Panel;
  catalog: Catalog | undefined;
  /** Whether what is dragged would take its place. */
  isTarget: boolean;
  onDrag: (dragging: boolean) => void;
  /** So many places further. */
  onMove: (by: number) => void;
  onChange: (change: Partial<Panel>) => void;
  onRemove: () => void;
}

export function BoardPanel({ panel, catalog, ...rest }: BoardPanelProps) {
  const views = useMemo(
    () => (catalog?.tables ?? []).filter(({ kind }) => kind === 'live view').map(({ name }) => name),
    [catalog],
  );
  const view = viewShownBy(panel.query, views);
  // Before it is known what is live, nothing is asked.
  if (catalog === undefined) return <Frame panel={panel} {...rest} answer={LOADING} />;
  return view === null ? (
    <Polled panel={panel} {...rest} />
  ) : (
    <Live panel={panel} view={view} catalog={catalog} {...rest} />
  );
}

interface Shown {
  state: PanelState;
  columns: readonly MeantColumn[];
  rows: readonly Row[];
  /** How it is kept up to date. */
  kept: ReactNode;
  onRetry?: () => void;
}

const LOADING: Shown = { state: { name: 'loading' }, columns: [], rows: [], kept: null };

type PanelProps = Omit<BoardPanelProps, 'catalog'>;

function Live({ view, catalog, ...rest }: PanelProps & { view: string; catalog: Catalog }) {
  const live = useView(view);
  const link = useLive(state => state.link);
  const asOf = useLastFresh();
  const frozen = useFrozen();
  const columns = live?.snapshot.columns;
  const meant = useMemo(
    () => (columns === undefined ? [] : meantOf(columns, view, catalog)),
    [columns, view, catalog],
  );
  const state = panelState(link, live === null ? null : live.rows.length, asOf, frozen);
  const kept = state.name === 'live' && <Mark tone="live" word="live" />;
  return <Frame {...rest} answer={{ state, columns: meant, rows: live?.rows ?? [], kept }} />;
}

function Polled(props: PanelProps) {
  const { query } = props.panel;
  const frozen = useFrozen();
  const asked = useQuery({
    queryKey: ['board panel', query],
    queryFn: ({ signal }) => askSql(query, { signal }),
    refetchInterval: frozen ? false : 1_000 * EVERY_S,
    staleTime: 1_000 * EVERY_S,
    retry: false,
  });
  const { data, refetch } = asked;
  const state = answerState(asked, data?.rows.length ?? null);
  return (
    <Frame
      {...props}
      answer={{
        state: frozen && state.name === 'live' ? { name: 'frozen', asOf: null } : state,
        columns: data?.columns ?? [],
        rows: (data?.rows ?? []) as Row[],
        kept: (
          <span title={data === undefined ? undefined : `Newest answer: ${formatTime(data.epoch, 'ms')}`}>
            {frozen ? 'not polled while frozen' : `polled every ${EVERY_S} s`}
            {data?.truncated && ' · truncated'}
          </span>
        ),
        onRetry: () => void refetch(),
      }}
    />
  );
}

interface FrameProps extends PanelProps {
  answer: Shown;
}

function Frame({ panel, isTarget, onDrag, onMove, onChange, onRemove, answer }: FrameProps) {
  const go = useGo();
  const mayChange = useMayChange();
  const [isChanging, setIsChanging] = useState(false);
  const [isNaming, setIsNaming] = useState(false);
  const { title, query, chart, wide } = panel;
  const { state, columns, rows, kept, onRetry } = answer;
  const open = () => {
    const written = choiceText(chart);
    go({ q: query, tab: 'chart', ...(written === undefined ? {} : { chart: written }) }, '/query');
  };
  const changes = [
    {
      label: isChanging ? 'Done with the chart' : 'Change chart',
      onSelect: () => setIsChanging(!isChanging),
    },
    { label: 'Rename', onSelect: () => setIsNaming(true) },
    { label: wide ? 'Half width' : 'Full width', onSelect: () => onChange({ wide: !wide }) },
    { label: 'Move earlier', onSelect: () => onMove(-1) },
    { label: 'Move later', onSelect: () => onMove(1) },
    { label: 'Remove', onSelect: onRemove },
  ];
  return (
    <Framed
      title={title}
      state={state}
      empty="No results. The query succeeded and returned no rows."
      className={cn('h-80', isTarget && 'border-accent')}
      {...(onRetry === undefined ? {} : { onRetry })}
      aside={
        <>
          {isNaming && mayChange && (
            <Title
              title={title}
              onDone={next => {
                setIsNaming(false);
                if (next !== null && next.trim() !== '') onChange({ title: next.trim() });
              }}
            />
          )}
          {kept}
          {mayChange && (
            <button
              type="button"
              draggable
              className="inline-flex size-6 cursor-grab items-center justify-center rounded hover:bg-hover"
              aria-label={`Move ${title}`}
              title="Drag, or use the arrow keys"
              onDragStart={event => {
                event.dataTransfer.effectAllowed = 'move';
                event.dataTransfer.setData('text/plain', title);
                onDrag(true);
              }}
              onDragEnd={() => onDrag(false)}
              onKeyDown={event => {
                const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
                if (by === undefined) return;
                event.preventDefault();
                onMove(by);
              }}
            >
              <GripVertical size={14} aria-hidden="true" />
            </button>
          )}
          <Menu
            trigger={
              <button
                type="button"
                className="inline-flex size-6 items-center justify-center rounded hover:bg-hover"
                aria-label={`Actions of ${title}`}
              >
                <Ellipsis size={14} aria-hidden="true" />
              </button>
            }
            items={[{ label: 'Open in Query', onSelect: open }, ...(mayChange ? changes : [])]}
          />
        </>
      }
    >
      <ResultChart
        columns={columns}
        rows={rows}
        choice={chart}
        {...(isChanging && mayChange ? { onChoice: next => onChange({ chart: chosen(next) }) } : {})}
      />
    </Framed>
  );
}

function Title({ title, onDone }: { title: string; onDone: (title: string | null) => void }) {
  const [text, setText] = useState(title);
  return (
    <input
      // biome-ignore lint/a11y/noAutofocus: it was opened to type into it.
      autoFocus
      aria-label="Title of the panel"
      className="h-6 w-44 rounded border border-line bg-ground px-1 text-text"
      value={text}
      onChange={({ target }) => setText(target.value)}
      onBlur={() => onDone(text)}
      onKeyDown={event => {
        if (event.key === 'Enter') onDone(text);
        else if (event.key === 'Escape') onDone(null);
      }}
    />
  );
}
