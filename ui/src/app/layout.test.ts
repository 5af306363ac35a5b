/**
 * Which panels there are, for the dataflows a page may meet.
 */
import { expect, it } from 'vitest';
import { FEATURED_VIEWS, layoutFor } from './layout';

const catalogOf = (...names: string[]) => names.map(name => ({ name, columns: [], rows: 0 }));

it('shows every panel while the views are unknown or all there', () => {
  const full = { traffic: true, endpoints: true, anomalies: true, browser: 'right', roomy: false };
  expect(layoutFor(null)).toEqual(full);
  expect(layoutFor(catalogOf(...FEATURED_VIEWS, 'more'))).toEqual(full);
});

it('gives the place of a missing panel to the view browser', () => {
  expect(layoutFor(catalogOf('anomalies'))).toMatchObject({ traffic: false, browser: 'left', roomy: true });
  expect(layoutFor(catalogOf('hits_by_status'))).toMatchObject({ browser: 'right', roomy: true });
});
