/**
 * The frame of every panel: a title, what state it is in, and its content.
 *
 * The content is drawn whenever there is some. A panel that is not live dims it and dates it.
 */
import type { ReactNode } from 'react';
import { formatDate, formatNear } from './format';
import { Mark } from './mark';
import type { PanelState } from './state';
import { Button } from './ui/button';
import { cn } from './ui/cn';
import { zoneName } from './zone';

interface PanelProps {
  title: string;
  state: PanelState;
  /** What to say when there is nothing, as a sentence. */
  empty: ReactNode;
  /** Short facts or controls on the right of the title. */
  aside?: ReactNode;
  onRetry?: () => void;
  className?: string;
  children: ReactNode;
}

export function Panel({ title, state, empty, aside, onRetry, className, children }: PanelProps) {
  return (
    <section
      className={cn('flex min-h-0 min-w-0 flex-col rounded border border-line bg-panel', className)}
      data-state={state.name}
      aria-label={title}
    >
      <header className="flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 px-3 py-1">
        <h2 className="text-control font-medium">{title}</h2>
        <StateNote state={state} />
        <div className="ml-auto flex flex-wrap items-center gap-2 text-label text-muted">{aside}</div>
      </header>
      <Content state={state} empty={empty} onRetry={onRetry}>
        {children}
      </Content>
    </section>
  );
}

type ContentProps = Pick<PanelProps, 'state' | 'empty' | 'onRetry' | 'children'>;

function Content({ state, empty, onRetry, children }: ContentProps) {
  if (state.name === 'loading') return <Skeleton />;
  if (state.name === 'empty') return <p className="px-3 pb-3 text-muted">{empty}</p>;
  if (state.name === 'error' && state.asOf === null) {
    return (
      <div className="px-3 pb-3" role="alert">
        <p>{sentence(state.cause)}</p>
        {state.hint && <p className="text-muted">{sentence(state.hint)}</p>}
        {onRetry && (
          <Button kind="link" className="mt-1" onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    );
  }
  const old = state.name === 'stale' || state.name === 'error';
  return <div className={cn('min-h-0 flex-1 overflow-auto', old && 'opacity-60')}>{children}</div>;
}

/** Shown only after a moment: what comes at once needs no sign. */
function Skeleton() {
  return (
    <div className="skeleton flex flex-1 flex-col gap-2 px-3 pb-3" role="status">
      <span className="sr-only">Waiting for data</span>
      <div className="h-3 w-2/3 rounded bg-hover" />
      <div className="h-3 w-1/2 rounded bg-hover" />
      <div className="h-3 w-3/5 rounded bg-hover" />
    </div>
  );
}

function StateNote({ state }: { state: PanelState }) {
  switch (state.name) {
    case 'stale':
      return <Mark tone="stale" word={dated(state.asOf) ?? 'stale'} className="text-label" />;
    case 'error':
      return <Mark tone="critical" word={dated(state.asOf) ?? 'no data'} className="text-label" />;
    case 'frozen':
      return <Mark tone="quiet" word="frozen" className="text-label" />;
    default:
      return null;
  }
}

function dated(asOf: string | null): string | null {
  return asOf === null ? null : `as of ${formatNear(asOf, formatDate(Date.now()))} ${zoneName()}`;
}

/** With a capital letter and an end. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const first = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
