import { describe, expect, it } from 'vitest';
import { activeOf, firstTabs, read, stepTabs, type Tabs, type TabsEvent, titleOf, written } from './tabs';

const all = (tabs: Tabs, ...events: TabsEvent[]) => events.reduce(stepTabs, tabs);
const three = all(
  firstTabs('a', 'SELECT 1'),
  { type: 'opened', id: 'b', text: 'SELECT 2' },
  { type: 'opened', id: 'c', text: '' },
);
const ids = ({ tabs }: Tabs) => tabs.map(({ id }) => id).join('');

describe('tabs', () => {
  it('are opened, chosen and put in another order', () => {
    expect([ids(three), three.active]).toEqual(['abc', 'c']);
    expect(activeOf(all(three, { type: 'chosen', id: 'a' })).state.text).toBe('SELECT 1');
    expect(ids(all(three, { type: 'moved', id: 'c', before: 'a' }))).toBe('cab');
    expect(ids(all(three, { type: 'moved', id: 'a', before: null }))).toBe('bca');
    expect(all(three, { type: 'chosen', id: 'nobody' })).toBe(three);
  });

  it('are closed one by one, and one is always left', () => {
    const two = all(three, { type: 'closed', id: 'c', blank: 'z' });
    expect([ids(two), two.active]).toEqual(['ab', 'b']);
    const one = all(two, { type: 'closed', id: 'a', blank: 'z' });
    expect([ids(one), one.active]).toEqual(['b', 'b']);
    const none = all(one, { type: 'closed', id: 'b', blank: 'z' });
    expect([ids(none), activeOf(none).state.text]).toEqual(['z', '']);
  });

  it('are told of their own runs only', () => {
    const event = { type: 'started', id: 'r', statement: 'SELECT 1', from: 0, at_ms: 0 } as const;
    const running = all(three, { type: 'editor', id: 'a', event });
    expect(running.tabs.map(({ state }) => state.run.status)).toEqual(['running', 'idle', 'idle']);
  });

  it('are called by their name, else by what they read', () => {
    const titled = (text: string, name = '') => {
      const tabs = all(firstTabs('a', text), { type: 'named', id: 'a', name });
      return titleOf(activeOf(tabs));
    };
    expect(titled('SELECT * FROM lake.logs')).toBe('lake.logs');
    expect(titled('SELECT * FROM lake.logs', ' mine ')).toBe('mine');
    expect(titled('-- a remark\nSHOW TABLES')).toBe('SHOW TABLES');
    expect(titled('')).toBe('New query');
  });
});

it('keeps texts and names, and reads what it kept', () => {
  const named = all(three, { type: 'named', id: 'b', name: 'second' }, { type: 'chosen', id: 'b' });
  const back = read(written(named));
  expect(back?.tabs.map(({ id, name, state }) => [id, name, state.text])).toEqual([
    ['a', null, 'SELECT 1'],
    ['b', 'second', 'SELECT 2'],
    ['c', null, ''],
  ]);
  expect(back?.active).toBe('b');
  for (const broken of [null, '', '{', '[]', '{"tabs":[]}', '{"tabs":[{"id":1,"text":"x"}]}'])
    expect(read(broken)).toBeNull();
  expect(read('{"active":"gone","tabs":[{"id":"a","text":"x"},{"id":"a","text":"y"}]}')).toMatchObject({
    active: 'a',
    tabs: [{}],
  });
});
