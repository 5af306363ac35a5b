/**
 * The tabs of the query page: texts with a name, one of them shown. They are kept in the browser, for each dataflow apart.
 */
import { type Editing, type Event, editing, step } from './machine';

export interface QueryTab {
  id: string;
  /** What the person called it; without, it is called by its text. */
  name: string | null;
  state: Editing;
}

export interface Tabs {
  tabs: readonly QueryTab[];
  active: string;
}

export type TabsEvent =
  | { type: 'opened'; id: string; text: string }
  | { type: 'closed'; id: string; blank: string }
  | { type: 'chosen'; id: string }
  | { type: 'named'; id: string; name: string }
  /** Put before another one, or at the end. */
  | { type: 'moved'; id: string; before: string | null }
  | { type: 'editor'; id: string; event: Event };

const TABS_MAX = 30;
const NAME_CHARACTERS_MAX = 80;
/** Of a text that a tab without a name is called by. */
const TITLE_CHARACTERS_MAX = 28;

export function firstTabs(id: string, text: string): Tabs {
  return { tabs: [{ id, name: null, state: editing(text) }], active: id };
}

export function stepTabs(all: Tabs, event: TabsEvent): Tabs {
  const { tabs, active } = all;
  const at = tabs.findIndex(({ id }) => id === event.id);
  switch (event.type) {
    case 'opened': {
      if (at >= 0 || tabs.length >= TABS_MAX) return all;
      return { tabs: [...tabs, { id: event.id, name: null, state: editing(event.text) }], active: event.id };
    }
    case 'closed': {
      if (at < 0) return all;
      const left = tabs.filter(({ id }) => id !== event.id);
      if (left.length === 0) return firstTabs(event.blank, '');
      const next = left[Math.min(at, left.length - 1)]?.id ?? active;
      return { tabs: left, active: active === event.id ? next : active };
    }
    case 'chosen':
      return at < 0 || active === event.id ? all : { ...all, active: event.id };
    case 'named': {
      const name = event.name.trim().slice(0, NAME_CHARACTERS_MAX);
      return changed(all, event.id, tab => ({ ...tab, name: name === '' ? null : name }));
    }
    case 'moved': {
      const tab = tabs[at];
      if (tab === undefined || event.id === event.before) return all;
      const others = tabs.filter(it => it !== tab);
      const to = others.findIndex(({ id }) => id === event.before);
      return { ...all, tabs: others.toSpliced(to < 0 ? others.length : to, 0, tab) };
    }
    case 'editor':
      return changed(all, event.id, tab => {
        const state = step(tab.state, event.event);
        return state === tab.state ? tab : { ...tab, state };
      });
  }
}

function changed(all: Tabs, id: string, change: (tab: QueryTab) => QueryTab): Tabs {
  const tabs = all.tabs.map(tab => (tab.id === id ? change(tab) : tab));
  return tabs.some((tab, at) => tab !== all.tabs[at]) ? { ...all, tabs } : all;
}

export function activeOf({ tabs, active }: Tabs): QueryTab {
  const tab = tabs.find(({ id }) => id === active) ?? tabs[0];
  if (tab === undefined) throw new Error('there is always a tab');
  return tab;
}

/** Its name, or the beginning of its text without what every query begins with. */
export function titleOf({ name, state }: QueryTab): string {
  if (name !== null) return name;
  const text = state.text
    .replace(/--[^\n]*/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const [, relation] = /\bfrom\s+("[^"]+"|[\w.]+)/i.exec(text) ?? [];
  const title = relation ?? text;
  if (title === '') return 'New query';
  return title.length > TITLE_CHARACTERS_MAX ? `${title.slice(0, TITLE_CHARACTERS_MAX - 1)}…` : title;
}

/** As it is kept: texts and names, without what ran. */
export function written({ tabs, active }: Tabs): string {
  return JSON.stringify({
    active,
    tabs: tabs.map(({ id, name, state }) => ({ id, name, text: state.text })),
  });
}

/** What was kept, or `null` if there is nothing that can be read. */
export function read(kept: string | null): Tabs | null {
  let all: unknown;
  try {
    all = JSON.parse(kept ?? 'null');
  } catch {
    return null;
  }
  const { tabs: given, active } = (all ?? {}) as { tabs?: unknown; active?: unknown };
  if (!Array.isArray(given)) return null;
  const tabs: QueryTab[] = [];
  for (const it of given.slice(0, TABS_MAX)) {
    const { id, name, text } = (it ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || typeof text !== 'string' || tabs.some(tab => tab.id === id)) continue;
    tabs.push({ id, name: typeof name === 'string' ? name : null, state: editing(text) });
  }
  const [first] = tabs;
  if (first === undefined) return null;
  return { tabs, active: tabs.some(({ id }) => id === active) ? String(active) : first.id };
}

/** Where the tabs of a dataflow are kept. */
export function keyOf(dataflow: string): string {
  return `tidelake.tabs.${dataflow}`;
}
