/** The strip says the one most important thing, and leads to where one can look. */
import { screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import type { Pipeline, StreamEvent } from '../../api/wire';
import { draw } from '../../shared/testing';
import { Watch } from './useWorld';
import { Verdict } from './Verdict';

const part = (name: string, status = 'ok', detail = '') => ({ name, status, detail });
const pipeline = (...components: object[]): StreamEvent => ({
  type: 'pipeline',
  data: {
    components,
    sources: [],
    threads: [],
    nodes: [],
    edges: [],
    cause: null,
    commit: null,
    commits_open: 0,
  } as unknown as Pipeline,
});
const ANSWERS = { 'GET /views': () => ({ epoch: 1, views: [] }) };

it('says that nothing is wrong, then what is, and leads there', async () => {
  const { feed, user, address } = await draw(
    <>
      <Watch />
      <Verdict />
    </>,
    { answers: ANSWERS },
  );
  const strip = screen.getByRole('region', { name: 'Current status' });
  await feed(pipeline(part('engine'), part('lake')));
  await waitFor(() => expect(strip.textContent).toMatch(/No active incidents.*2 of 2 components healthy/), {
    timeout: 5_000,
  });
  await feed(pipeline(part('engine'), part('lake', 'down', 'the disk is full')));
  await waitFor(() => expect(strip.textContent).toMatch(/Lake is down.*the disk is full/), {
    timeout: 8_000,
  });
  await user.click(within(strip).getByRole('button', { name: /Pipeline/ }));
  await waitFor(() => expect(address().path).toBe('/pipeline'));
}, 20_000);
