/**
 * The frame of every panel: a title, what state it is in, and its content.
 *
 * The content is drawn whenever there is some. A panel that is not live dims it and dates it.
 */
import type { ReactNode } from 'react';
import { formatTime } from './format';
import { Mark } from './mark';
import type { PanelState } from './state';

interface PanelProps {
  title: string;
  /** Names the panel for the style sheet. */
  name: string;
  state: PanelState;
  /** What to say when there is nothing, as a sentence. */
  empty: string;
  /** Short facts or controls on the right of the title. */
  aside?: ReactNode;
  children: ReactNode;
}

export function Panel({ title, name, state, empty, aside, children }: PanelProps) {
  return (
    <section className={`panel panel-${name}`} data-state={state.name} aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        <StateNote state={state} />
        <div className="panel-aside">{aside}</div>
      </header>
      <Content state={state} empty={empty}>
        {children}
      </Content>
    </section>
  );
}

function Content({ state, empty, children }: { state: PanelState; empty: string; children: ReactNode }) {
  if (state.name === 'loading') return <p className="panel-note">Waiting for the first data…</p>;
  if (state.name === 'empty') return <p className="panel-note">{empty}</p>;
  if (state.name === 'error' && state.asOf === null) {
    return <p className="panel-note">Nothing to show yet: {state.cause}.</p>;
  }
  return <div className="panel-body">{children}</div>;
}

/** The header of the page names the cause; here it matters of when the data is. */
function StateNote({ state }: { state: PanelState }) {
  if (state.name === 'stale') return <Mark tone="stale" word={dated(state.asOf) ?? 'stale'} />;
  if (state.name === 'error') return <Mark tone="critical" word={dated(state.asOf) ?? 'no connection'} />;
  return null;
}

function dated(asOf: string | null): string | null {
  return asOf === null ? null : `as of ${formatTime(asOf)} UTC`;
}
