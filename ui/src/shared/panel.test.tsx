/** A panel says what state it is in; what it has stays, unless there never was any. */
import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { Panel } from './panel';
import type { PanelState } from './state';

const draw = (state: PanelState, onRetry?: () => void) =>
  render(
    <Panel title="Sales" state={state} empty="No sales in this range." {...(onRetry && { onRetry })}>
      <p>42 sold</p>
    </Panel>,
  );

it('is a region with a heading', () => {
  const { unmount } = draw({ name: 'live' });
  expect(screen.getByRole('region', { name: 'Sales' }).textContent).toMatch(/42 sold/);
  expect(screen.getByRole('heading', { name: 'Sales' })).toBeTruthy();
  unmount();
});

it('tells loading, empty and broken apart', async () => {
  const first = draw({ name: 'loading' });
  expect(screen.getByRole('status').textContent).toMatch(/Waiting for data|Loading/);
  first.unmount();
  const second = draw({ name: 'empty' });
  expect(screen.getByText('No sales in this range.')).toBeTruthy();
  expect(screen.queryByText('42 sold')).toBeNull();
  second.unmount();
  const onRetry = vi.fn();
  const third = draw({ name: 'error', asOf: null, cause: 'it is gone', hint: 'look' }, onRetry);
  expect(screen.getByRole('alert').textContent).toMatch(/It is gone\.\s*Look\./);
  await userEvent.click(screen.getByRole('button', { name: /try again/i }));
  expect(onRetry).toHaveBeenCalledOnce();
  third.unmount();
});

it('keeps what it had when the connection is lost, with its time', () => {
  const { unmount } = draw({ name: 'error', asOf: '2026-03-01T12:34:56Z', cause: 'it is gone' });
  expect(screen.getByText('42 sold')).toBeTruthy();
  expect(screen.getByText(/as of/).textContent).toMatch(/\d\d:\d\d:56/);
  expect(screen.queryByRole('alert')).toBeNull();
  unmount();
});
