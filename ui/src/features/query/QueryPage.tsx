/**
 * Ask in SQL, or by clicking: over live views, over the lake, or both. What a view shows as it is can be followed live.
 */
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useReducer, useRef } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { useGo, useUrl } from '../../shared/nav';
import { statementAt } from '../../shared/result/statement';
import { Catalog } from './Catalog';
import { firstQuery } from './samples';
import { TabBar } from './TabBar';
import { activeOf, firstTabs, keyOf, read, stepTabs, type Tabs, written } from './tabs';
import { newId, useRunner } from './useRunner';
import { Workspace } from './Workspace';

/** The address and what is kept follow the editor after a pause. */
const SETTLE_MS = 400;

export function QueryPage() {
  const version = useQuery({
    queryKey: ['version'],
    queryFn: () => answerOf(api.GET('/api/v1/version')),
    retry: false,
  });
  const catalog = useQuery({
    queryKey: ['tables'],
    queryFn: () => answerOf(api.GET('/api/v1/tables')),
    retry: false,
  });
  // Without an answer there is still something to type into.
  const settled = [version, catalog].every(({ data, error }) => data !== undefined || error !== null);
  if (!settled) return <p className="skeleton p-4 text-muted">Loading tables…</p>;
  const dataflow = version.data?.dataflow ?? '';
  return <Page key={dataflow} dataflow={dataflow} catalog={catalog.data} />;
}

interface PageProps {
  dataflow: string;
  catalog: Schemas['Tables'] | undefined;
}

/** The tabs that were kept; the query of the address, if there is one, is in the one that is shown. */
function begun(dataflow: string, q: string | undefined, first: string): Tabs {
  const tabs = read(localStorage.getItem(keyOf(dataflow)));
  if (tabs === null) return firstTabs(newId(), q ?? first);
  if (q === undefined) return tabs;
  const same = tabs.tabs.find(({ state }) => state.text === q);
  if (same !== undefined) return stepTabs(tabs, { type: 'chosen', id: same.id });
  const { id, state } = activeOf(tabs);
  return state.text.trim() === ''
    ? stepTabs(tabs, { type: 'editor', id, event: { type: 'replaced', text: q } })
    : stepTabs(tabs, { type: 'opened', id: newId(), text: q });
}

function Page({ dataflow, catalog }: PageProps) {
  const { q } = useUrl();
  const go = useGo();
  const [all, send] = useReducer(stepTabs, null, () => begun(dataflow, q, firstQuery(catalog)));
  const runner = useRunner(useCallback((id, event) => send({ type: 'editor', id, event }), []));
  const tab = activeOf(all);
  const { text } = tab.state;

  const shown = useRef(tab);
  shown.current = tab;
  /** What this page wrote into the address itself. It comes back late, when the person may have typed on. */
  const ours = useRef(q);
  const show = useCallback(
    (query: string) => {
      const { id } = shown.current;
      send({ type: 'editor', id, event: { type: 'replaced', text: query } });
      const { text, from } = statementAt(query, 0, 0);
      void runner.start(id, text, from);
    },
    [runner],
  );
  // A query that comes with the address is shown and, since it only reads, run.
  useEffect(() => {
    if (q === undefined || q === shown.current.state.text || q === ours.current) return;
    ours.current = q;
    show(q);
  }, [q, show]);
  // Once: what the page was opened with.
  useEffect(() => {
    const { id, state } = shown.current;
    const { text, from } = statementAt(state.text, 0, 0);
    void runner.start(id, text, from);
  }, [runner]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text === q) return;
      ours.current = text === '' ? undefined : text;
      go({ q: text === '' ? undefined : text } as object);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [text, q, go]);
  useKept(keyOf(dataflow), written(all));

  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full md:flex-row">
      <Catalog catalog={catalog} text={text} onPick={show} />
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <TabBar
          all={all}
          send={send}
          onOpen={() => send({ type: 'opened', id: newId(), text: '' })}
          onClose={id => {
            runner.leave(id);
            send({ type: 'closed', id, blank: newId() });
          }}
        />
        <Workspace
          key={tab.id}
          tab={tab}
          catalog={catalog}
          send={event => send({ type: 'editor', id: tab.id, event })}
          onRun={(statement, from) => void runner.start(tab.id, statement, from)}
          onCancel={() => void runner.cancel(tab.id)}
          onShow={show}
        />
      </div>
    </div>
  );
}

/** Keeps a text in the browser: after a pause, and at once when the page is left. */
function useKept(key: string, text: string): void {
  const newest = useRef(text);
  newest.current = text;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another text begins another pause.
  useEffect(() => {
    const keep = () => {
      try {
        localStorage.setItem(key, newest.current);
      } catch {
        // The browser keeps nothing, or has no room: the tabs are those of this visit.
      }
    };
    const timer = setTimeout(keep, SETTLE_MS);
    window.addEventListener('pagehide', keep);
    return () => {
      clearTimeout(timer);
      window.removeEventListener('pagehide', keep);
    };
  }, [key, text]);
  useEffect(
    () => () => {
      try {
        localStorage.setItem(key, newest.current);
      } catch {
        // As above.
      }
    },
    [key],
  );
}
